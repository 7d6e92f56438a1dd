// SPDX-License-Identifier: Apache-2.0
// The emulated VT-d unit by itself: registers, its queue, contexts, walks and what the host is told. The guest's
// side is written by hand.
#include <catch2/catch.hpp>
#include <stdexcept>
#include <vector>

#include "models/hypervisor/core/intel_iommu_device.hpp"
#include "models/pgtable/first_level_table.hpp"
#include "models/pgtable/second_stage_table.hpp"
#include "models/spec/vtd/registers.hpp"
#include "tests/support/mmio_processor.hpp"
#include "tests/support/recording_shadow.hpp"

using namespace gnomon;
using hypervisor::IntelIommuDevice;
using hypervisor::IntelIommuDeviceConfig;
using hypervisor::IntelShadowing;
using hypervisor::ServedCommand;
using test::RecordingShadow;
namespace reg = vtd::reg;

namespace {

constexpr Gpa root_table{0x1000}, context_table{0x2000}, queue{0x4000};
constexpr std::uint64_t m2 = std::uint64_t{2} << 20;
constexpr SourceId device_1{0x0008}, device_2{0x0010};

/// Legacy mode, tables by hand: domain 1 over `table`.
struct Unit {
  explicit Unit(const IntelIommuDeviceConfig& config = {}) : device(ram, config) {
    device.add_endpoint(device_1, shadow);
    device.add_endpoint(device_2, other);
    ram.write(root_table, vtd::encode(vtd::RootEntry{true, Hpa{context_table.value}}));
  }
  void enable() {
    device.write_register(reg::iqa, queue.value, 8);
    device.write_register(reg::rtaddr, root_table.value, 8);
    device.write_register(reg::gcmd, vtd::gcmd::srtp, 4);
    device.write_register(reg::gcmd, vtd::gcmd::qie, 4);
    device.write_register(reg::gcmd, vtd::gcmd::qie | vtd::gcmd::te, 4);
    serve();
  }
  void set_context(SourceId source, std::uint16_t did, Gpa table_root,
                   vtd::TranslationType tt = vtd::TranslationType::untranslated_only) {
    const vtd::ContextEntry entry{true, false, tt, Hpa{table_root.value}, 2, DomainId{did}};
    ram.write(context_table + (source.value & 0xffu) * 16, vtd::encode(entry));
  }
  void serve() {
    while (device.pending()) {
      const ServedCommand served = device.serve(port);
      last = served;
      if (served.kind == ServedCommand::Kind::illegal) return;
    }
  }
  void run(const vtd::InvalidationDescriptor& d) {
    ram.write(queue + tail, vtd::encode(d));
    tail = (tail + 16) % 4096;
    device.write_register(reg::iqt, tail, 4);
    serve();
  }
  void forget() {
    shadow.calls.clear();
    port.reads = port.look_ups = 0;
  }
  void map(std::uint64_t iova, std::uint64_t gpa, std::uint64_t bytes,
           pgtable::Permissions p = pgtable::read_write) {
    std::vector<Gpa> unlinked;
    REQUIRE(table.map(Iova{iova}, Gpa{gpa}, bytes, p, pgtable::all_sizes, unlinked).bytes == bytes);
  }
  void unmap(std::uint64_t iova, std::uint64_t bytes) {
    std::vector<Gpa> unlinked;
    table.unmap(Iova{iova}, bytes, unlinked);
  }

  PhysicalMemory memory{16 << 20};
  GuestRam ram{memory, Hpa{0}, 16 << 20, Backing::pages_4k, 1};
  LineMonitor monitor;
  pgtable::GuestTableMemory tables{ram, Gpa{0x10'0000}, Gpa{16 << 20}};
  pgtable::GuestSecondStageTable table{tables, 4};
  test::CountingPort port{ram, monitor};
  RecordingShadow shadow;
  RecordingShadow other;
  IntelIommuDevice device;
  ServedCommand last;
  std::uint64_t tail = 0;
};

vtd::IotlbInvalidate pages(std::uint64_t iova, std::uint8_t am, std::uint16_t did = 1) {
  return {vtd::Granularity::device_or_page, true, true, DomainId{did}, am, false, Iova{iova}};
}
vtd::IotlbInvalidate whole(std::uint16_t did) {
  return {vtd::Granularity::domain, true, true, DomainId{did}, 0, false, {}};
}
vtd::ContextCacheInvalidate context_of(SourceId source) {
  return {vtd::Granularity::device_or_page, {}, source, 0};
}

/// Enabled, device_1 in domain 1.
struct Running : Unit {
  explicit Running(const IntelIommuDeviceConfig& config = {}) : Unit(config) {
    enable();
    set_context(device_1, 1, table.root());
    run(context_of(device_1));
    forget();
  }
};

}  // namespace

TEST_CASE("intel-iommu: capabilities as QEMU has them") {
  Unit u;
  const auto cap = vtd::decode_capability(u.device.read_register(reg::cap, 8));
  CHECK(cap.cm);
  CHECK(cap.psi);
  CHECK(cap.mamv == 18);
  CHECK(cap.sagaw == 0b110);
  CHECK(cap.mgaw == 47);
  CHECK(cap.sslps == 3);
  CHECK(u.device.read_register(reg::cap + 4, 4) == u.device.read_register(reg::cap, 8) >> 32);
  CHECK(u.device.read_register(reg::ver, 4) == 0x10);
  const auto ecap = vtd::decode_extended_capability(u.device.read_register(reg::ecap, 8));
  CHECK(ecap.qi);
  CHECK(!ecap.smts);
  CHECK(!ecap.c);
  CHECK(u.device.read_register(0x1000, 4) == ~0ull);

  IntelIommuDeviceConfig config;
  config.address_bits = 39;
  config.caching_mode = false;
  config.scalable = true;
  config.shadowing = IntelShadowing::nested;
  const auto narrow = IntelIommuDevice::capability(config);
  CHECK(narrow.sagaw == 0b010);
  CHECK(!narrow.cm);
  CHECK(narrow.fs1gp);
  CHECK(IntelIommuDevice::extended_capability(config).fsts);
  CHECK(!IntelIommuDevice::extended_capability(config).ssts);
  config.scalable = false;
  CHECK_THROWS_AS(IntelIommuDevice(u.ram, config), std::invalid_argument);
  config = {};
  config.address_bits = 57;
  CHECK_THROWS_AS(IntelIommuDevice(u.ram, config), std::invalid_argument);
  CHECK_THROWS_AS(u.device.add_endpoint(device_1, u.shadow), std::invalid_argument);
}

TEST_CASE("intel-iommu: an endpoint is in bypass until translation is on, or where its context says so") {
  Unit u;
  CHECK(u.shadow.bypass);
  u.set_context(device_2, 2, {}, vtd::TranslationType::pass_through);
  u.enable();
  CHECK(!u.shadow.bypass);
  CHECK(u.other.bypass);
  u.device.write_register(reg::gcmd, vtd::gcmd::qie, 4);
  u.serve();
  CHECK(u.shadow.bypass);
  CHECK((u.device.read_register(reg::gsts, 4) & vtd::gcmd::te) == 0);
}

TEST_CASE("intel-iommu: a context makes the whole table known, its end unmaps everything at once") {
  Unit u;
  u.enable();
  u.map(0x10000, 0x5000, 3 * page_size);
  u.set_context(device_1, 1, u.table.root());
  u.run(context_of(device_2));
  CHECK(u.shadow.calls.empty());
  u.run(context_of(device_1));
  CHECK(u.shadow.calls.size() == 3);
  CHECK(u.device.mapping_count(device_1) == 3);
  u.ram.write(context_table + 8 * 16, vtd::Bits128{});
  u.forget();
  u.run(context_of(device_1));
  CHECK(u.shadow.calls == std::vector<RecordingShadow::Call>{{false, 0, 0, std::uint64_t{1} << 48}});
  CHECK(u.device.mapping_count(device_1) == 0);
  CHECK(u.shadow.pages.empty());
}

TEST_CASE("intel-iommu: a page-selective invalidation walks its block, and skips what is recorded") {
  Running u;
  u.map(0x10000, 0x5000, 4 * page_size);
  u.map(0x20000, 0x9000, page_size);  // outside the block
  u.run(pages(0x10000, 3));
  CHECK(u.last.kind == ServedCommand::Kind::invalidate);
  CHECK(u.last.domain == 1);
  CHECK(u.last.iova == Iova{0x10000});
  CHECK(u.last.bytes == 8 * page_size);
  CHECK(u.shadow.calls.size() == 4);
  CHECK(u.port.reads == 3 + 3 + 8 + 3);  // and the other endpoint's context, which is absent
  CHECK(u.port.look_ups == 8);
  u.forget();
  u.run(pages(0x10000, 3));
  CHECK(u.shadow.calls.empty());
  CHECK(u.port.look_ups == 8);
  u.run(pages(0x10000, 3, 7));  // of another domain
  CHECK(u.shadow.calls.empty());
}

TEST_CASE("intel-iommu: an absent directory entry is one event of its whole span, beyond the block too") {
  Running u;
  u.map(m2, 0x1000, 3 * page_size);
  u.map(m2 + 0x100000, 0x9000, page_size);
  u.run(whole(1));
  CHECK(u.shadow.calls.size() == 4);
  u.unmap(m2, m2);  // the table falls out
  u.forget();
  u.run(pages(m2, 0));
  CHECK(u.shadow.calls == std::vector<RecordingShadow::Call>{{false, m2, 0, m2}});
  CHECK(u.device.mapping_count(device_1) == 0);
  CHECK(u.port.reads == 3 + 3 + 3);
  u.forget();
  u.run(pages(m2, 0));
  CHECK(u.shadow.calls.empty());
}

TEST_CASE("intel-iommu: what changed under a record is unmapped first, and counted") {
  Running u;
  u.map(m2, 0x1000, page_size);
  u.run(pages(m2, 0));
  u.unmap(m2, page_size);
  u.map(m2, 0x2000, page_size, pgtable::read_only);
  u.forget();
  u.run(pages(m2, 0));
  CHECK(u.shadow.calls ==
        std::vector<RecordingShadow::Call>{{false, m2, 0, page_size}, {true, m2, 0x2000, page_size}});
  CHECK(u.device.replaced() == 1);
  // Small records under a new large leaf: one unmap of its span.
  u.map(m2 + page_size, 0x3000, page_size);
  u.run(pages(m2, 1));
  u.unmap(m2, m2);
  u.map(m2, m2, m2);
  u.forget();
  u.run(pages(m2, 0));
  CHECK(u.shadow.calls == std::vector<RecordingShadow::Call>{{false, m2, 0, m2}, {true, m2, m2, m2}});
  CHECK(u.device.mapping_count(device_1) == 1);
}

TEST_CASE("intel-iommu: a domain-wide invalidation reads every present table, whatever changed") {
  Running u;
  for (std::uint64_t i = 0; i < 10; ++i) u.map(i * m2, 0x1000, page_size);
  u.run(whole(1));
  CHECK(u.shadow.calls.size() == 10);
  u.forget();
  u.run(whole(1));
  CHECK(u.shadow.calls.empty());
  CHECK(u.port.reads == 3 + 512 * (3 + 10) + 3);
  CHECK(u.last.bytes == ~0ull);
  u.forget();
  u.run(vtd::IotlbInvalidate{});
  CHECK(u.last.domain == ~0u);
  CHECK(u.port.reads == 3 + 512 * 13 + 3);
}

TEST_CASE("intel-iommu: permissions are those of all levels; a refused map stays recorded") {
  Running u;
  u.map(m2, 0x1000, page_size);
  const std::uint64_t top = u.ram.read<std::uint64_t>(u.table.root());
  u.ram.write(u.table.root(), top & ~std::uint64_t{3});  // no level above permits anything
  u.run(pages(m2, 0));
  CHECK(u.shadow.calls.empty());
  u.ram.write(u.table.root(), top);
  u.shadow.refuse_after = 0;
  u.run(pages(m2, 0));
  CHECK(u.shadow.pages.empty());
  CHECK(u.device.refused() == 1);
  CHECK(u.device.mapping_count(device_1) == 1);
}

TEST_CASE("intel-iommu: an entry with reserved bits, or out of memory, is passed over") {
  Running u;
  u.map(m2, 0x1000, 2 * page_size);
  u.run(pages(m2, 1));
  u.forget();
  const Gpa leaf_table{
      u.ram.read<std::uint64_t>(
          Gpa{u.ram.read<std::uint64_t>(Gpa{u.ram.read<std::uint64_t>(u.table.root()) & ~0xfffull}) & ~0xfffull} +
          8) &
      ~0xfffull};
  u.ram.write<std::uint64_t>(leaf_table, 0x1003 | std::uint64_t{1} << 50);
  u.run(pages(m2, 1));
  CHECK(u.shadow.calls.empty());
  CHECK(u.shadow.pages.size() == 2);
  u.ram.write<std::uint64_t>(u.table.root(), (std::uint64_t{1} << 40) | 3);  // a table where there is no memory
  u.run(pages(m2, 1));
  CHECK(u.shadow.calls.empty());
}

TEST_CASE("intel-iommu: waits write their status, or raise the completion bit") {
  Running u;
  u.ram.write<std::uint32_t>(Gpa{0x8004}, 77);
  u.run(vtd::InvalidationWait{false, true, false, false, 2, Hpa{0x8000}});
  CHECK(u.last.kind == ServedCommand::Kind::wait);
  CHECK(u.ram.read<std::uint32_t>(Gpa{0x8000}) == 2);
  CHECK(u.ram.read<std::uint32_t>(Gpa{0x8004}) == 77);
  CHECK(u.device.read_register(reg::ics, 4) == 0);
  u.run(vtd::InvalidationWait{true, false, false, false, 0, {}});
  CHECK(u.device.read_register(reg::ics, 4) == 1);
  u.device.write_register(reg::ics, 1, 4);
  CHECK(u.device.read_register(reg::ics, 4) == 0);
}

TEST_CASE("intel-iommu: an illegal descriptor stops the queue at it until the error is cleared") {
  Running u;
  const std::uint64_t at = u.tail;
  const auto refused = GENERATE(
      vtd::InvalidationDescriptor{
          vtd::IllegalDescriptor{vtd::QueueErrorInfo::invalid_descriptor_type, {0xf, 0}, {}}},
      vtd::InvalidationDescriptor{vtd::IllegalDescriptor{vtd::QueueErrorInfo::reserved_field, {0x132, 0}, {}}},
      vtd::InvalidationDescriptor{pages(0, 19)}, vtd::InvalidationDescriptor{vtd::InvalidationWait{}});
  u.run(refused);
  CHECK(u.last.kind == ServedCommand::Kind::illegal);
  CHECK(u.device.read_register(reg::fsts, 4) == vtd::fsts::iqe);
  CHECK(u.device.read_register(reg::iqh, 8) == at);
  CHECK(u.device.read_register(reg::iqercd, 8) != 0);
  u.run(vtd::InvalidationWait{false, true, false, false, 2, Hpa{0x8000}});
  CHECK(u.ram.read<std::uint32_t>(Gpa{0x8000}) == 0);  // stopped: nothing more is fetched
  u.ram.write(queue + at, vtd::encode(vtd::InvalidationDescriptor{whole(1)}));
  u.device.write_register(reg::fsts, vtd::fsts::iqe, 4);
  u.serve();
  CHECK(u.ram.read<std::uint32_t>(Gpa{0x8000}) == 2);
  CHECK(u.device.read_register(reg::iqh, 8) == u.tail);
  CHECK(u.device.read_register(reg::iqercd, 8) == 0);
}

TEST_CASE("intel-iommu: a tail beyond the queue, or odd for wide descriptors, is an error") {
  Running u;
  u.device.write_register(reg::iqt, 4096, 4);
  u.serve();
  CHECK(u.device.read_register(reg::fsts, 4) == vtd::fsts::iqe);
  CHECK(u.device.read_register(reg::iqercd, 8) == static_cast<std::uint64_t>(vtd::QueueErrorInfo::invalid_tail));

  IntelIommuDeviceConfig config;
  config.scalable = true;
  Unit wide(config);
  wide.device.write_register(reg::iqa, queue.value | vtd::iqa_dw | 1, 8);
  wide.device.write_register(reg::gcmd, vtd::gcmd::qie, 4);
  wide.device.write_register(reg::iqt, 16, 4);
  CHECK(wide.device.read_register(reg::fsts, 4) == vtd::fsts::iqe);
  CHECK(!wide.device.pending());
}

TEST_CASE("intel-iommu: device-TLB, interrupt and PASID cache descriptors change no mapping") {
  Running u;
  u.map(m2, 0x1000, page_size);
  u.run(vtd::DeviceTlbInvalidate{});
  CHECK(u.last.kind == ServedCommand::Kind::configure);
  u.run(vtd::InterruptEntryCacheInvalidate{});
  CHECK(u.last.kind == ServedCommand::Kind::configure);
  CHECK(u.shadow.calls.empty());
  CHECK(u.port.reads == 0);
}

TEST_CASE("intel-iommu: planted bugs") {
  IntelIommuDeviceConfig config;
  SECTION("unmap events are dropped") {
    config.faults.skip_unmap_events = true;
    Running u(config);
    u.map(m2, 0x1000, page_size);
    u.run(pages(m2, 0));
    u.unmap(m2, page_size);
    u.run(pages(m2, 0));
    CHECK(u.shadow.pages.size() == 1);
    CHECK(u.device.mapping_count(device_1) == 0);
  }
  SECTION("the address mask is ignored") {
    config.faults.ignore_address_mask = true;
    Running u(config);
    u.map(m2, 0x1000, 4 * page_size);
    u.run(pages(m2, 2));
    CHECK(u.shadow.pages.size() == 1);
    CHECK(u.last.bytes == 4 * page_size);
  }
}
