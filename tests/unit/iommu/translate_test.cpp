// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/unit/iommu/host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using test::Host;
using Kind = Translation::Kind;
using vtd::FaultReason;

namespace {

constexpr std::uint64_t gib = 1 << 30;

vtd::FaultRecord first_record(const Host& h) {
  return vtd::decode_fault_record({h.core.read64(vtd::reg::frcd), h.core.read64(vtd::reg::frcd + 8)});
}

}  // namespace

TEST_CASE("a cold translation reads two context and four paging entries, a warm one none") {
  Host h;
  h.map(0x10'0000, 0x4000'0000, 0x2000);
  Translation t = h.read(0x10'0123);
  CHECK(t.kind == Kind::translated);
  CHECK(t.hpa == Hpa{0x4000'0123});
  CHECK(t.bytes == 0x1000 - 0x123);
  CHECK(t.domain == Host::domain);
  CHECK_FALSE(t.context_hit);
  CHECK(t.context_reads == 2);
  CHECK(t.walk_reads == 4);
  CHECK(t.walk_level == 4);

  t = h.write(0x10'0ff0);
  CHECK(t.iotlb_hit);
  CHECK(t.context_hit);
  CHECK(t.context_reads + t.walk_reads == 0);
  CHECK(t.bytes == 0x10);

  t = h.read(0x10'1000);  // the next page: its leaf table is known
  CHECK_FALSE(t.iotlb_hit);
  CHECK(t.walk_reads == 1);
  CHECK(t.walk_level == 1);
}

TEST_CASE("each paging-structure level that is known saves a read") {
  Host h;
  for (const std::uint64_t iova : {std::uint64_t{0}, std::uint64_t{2} << 20, gib, std::uint64_t{1} << 39}) {
    h.map(iova, 0x4000'0000, 0x1000);
  }
  CHECK(h.read(0).walk_reads == 4);
  CHECK(h.read(2 << 20).walk_reads == 2);
  CHECK(h.read(gib).walk_reads == 3);
  CHECK(h.read(std::uint64_t{1} << 39).walk_reads == 4);
}

TEST_CASE("large leaves answer for their rest") {
  Host h;
  h.map(gib, 2 * gib, gib, pgtable::read_write, pgtable::size_1g);
  const Translation t = h.read(gib + 5);
  CHECK(t.bytes == gib - 5);
  CHECK(t.walk_reads == 2);
  CHECK(h.read(2 * gib - 1).iotlb_hit);
}

TEST_CASE("the interrupt range is never translated, and cuts what lies before it") {
  Host h;
  h.map(3 * gib, 0, gib, pgtable::read_write, pgtable::size_1g);
  CHECK(h.write(0xfee0'0000).kind == Kind::interrupt_request);
  CHECK(h.write(0xfeef'ffff).kind == Kind::interrupt_request);
  CHECK(h.read(0xfee0'1000).kind == Kind::unsupported_request);
  CHECK(h.core.read32(vtd::reg::fsts) == 0);
  CHECK(h.write(0xfedf'f000).bytes == 0x1000);
  CHECK(h.write(3 * gib).bytes == 0xfee0'0000 - 3 * gib);
  CHECK(h.write(0xfef0'0000).kind == Kind::translated);
  CHECK(h.write(0xfef0'0000).bytes == 4 * gib - 0xfef0'0000);
}

TEST_CASE("pass-through, by context entry and with translation off") {
  Host h;
  h.attach(Host::device, {true, false, vtd::TranslationType::pass_through, Hpa{}, 2, Host::domain});
  Translation t = h.write(0x1234);
  CHECK(t.kind == Kind::pass_through);
  CHECK(t.hpa == Hpa{0x1234});
  CHECK(t.bytes == 0xfee0'0000 - 0x1234);
  CHECK(t.walk_reads == 0);
  CHECK(h.write(4 * gib).bytes == (std::uint64_t{1} << 48) - 4 * gib);
  CHECK(h.write(std::uint64_t{1} << 48).reason == FaultReason::address_beyond_mgaw);
  h.core.write32(vtd::reg::gcmd, 0);
  t = h.write(0);
  CHECK(t.kind == Kind::pass_through);
  CHECK(t.bytes == 0xfee0'0000);
  CHECK(t.context_reads == 0);
  CHECK(h.write(~std::uint64_t{0}).bytes == 1);
}

TEST_CASE("a denied access faults, is recorded, and caches nothing") {
  Host h;
  h.map(0x5000, 0x9000, 0x1000, pgtable::read_only);
  Translation t = h.write(0x5678);
  CHECK(t.kind == Kind::fault);
  CHECK(t.reason == FaultReason::write_not_permitted);
  CHECK(t.recorded);
  CHECK(t.walk_reads == 4);
  const vtd::FaultRecord r = first_record(h);
  CHECK(r.f);
  CHECK(r.fi == Iova{0x5000});
  CHECK(r.sid == Host::device);
  CHECK(r.fr == 5);
  CHECK(r.type == vtd::RequestType::write);
  CHECK(h.core.iotlb().size() == 0);
  CHECK(h.read(0x5678).kind == Kind::translated);

  t = h.read(0x7000);
  CHECK(t.reason == FaultReason::read_not_permitted);
  CHECK(t.walk_reads == 1);  // the paging-structure caches of the earlier walk hold
  h.map(0x7000, 0xb000, 0x1000);
  CHECK(h.read(0x7000).hpa == Hpa{0xb000});  // not-present was not cached
}

TEST_CASE("a cached translation without the permission does not deny what the table now grants") {
  Host h;
  h.map(0x5000, 0x9000, 0x1000, pgtable::read_only);
  h.read(0x5000);
  h.unmap(0x5000, 0x1000);
  h.map(0x5000, 0x9000, 0x1000, pgtable::read_write);
  const Translation t = h.write(0x5000);
  CHECK(t.kind == Kind::translated);
  CHECK(t.walk_reads == 4);
  CHECK(h.write(0x5000).iotlb_hit);
}

TEST_CASE("nor does a cached upper entry") {
  Host h;
  h.map(0x5000, 0x9000, 0x2000);
  const auto upper = h.memory.read<std::uint64_t>(h.table.root());
  h.memory.write(h.table.root(), upper & ~std::uint64_t{2});
  CHECK(h.read(0x5000).permissions == pgtable::read_only);
  CHECK(h.write(0x6000).reason == FaultReason::write_not_permitted);
  h.memory.write(h.table.root(), upper);
  const Translation t = h.write(0x6000);
  CHECK(t.kind == Kind::translated);
  CHECK(t.walk_level == 4);
}

TEST_CASE("every way a context cannot be found has its reason") {
  Host h;
  const auto reason = [&](std::uint16_t sid = Host::device.value) {
    const Translation t = h.core.translate(SourceId{sid}, Iova{0x1000}, Access::read);
    CHECK(t.kind == Kind::fault);
    CHECK(t.domain == DomainId{});
    return t.reason;
  };
  const auto context = [&](vtd::Bits128 raw) { h.memory.write(h.context + 0x10 * 16u, raw); };
  const Hpa root_entry = h.root + 3 * 16u;
  const vtd::ContextEntry good{true, false, {}, h.table.root(), 2, Host::domain};

  CHECK(reason(0x0410) == FaultReason::root_entry_not_present);
  CHECK(reason(0x0311) == FaultReason::context_entry_not_present);
  context({vtd::encode(good).lo | 0x10, vtd::encode(good).hi});
  CHECK(reason() == FaultReason::context_entry_reserved);
  vtd::ContextEntry bad = good;
  bad.tt = vtd::TranslationType::reserved;
  context(vtd::encode(bad));
  CHECK(reason() == FaultReason::context_entry_invalid);
  bad = good;
  bad.aw = 1;  // SAGAW has 48 bits only
  context(vtd::encode(bad));
  CHECK(reason() == FaultReason::context_entry_invalid);
  h.memory.write(root_entry, vtd::encode(vtd::RootEntry{true, Hpa{Host::memory_bytes}}));
  CHECK(reason() == FaultReason::context_table_inaccessible);
  h.memory.write(root_entry, vtd::Bits128{h.context.value | 3, 0});
  CHECK(reason() == FaultReason::root_entry_reserved);
  h.core.write64(vtd::reg::rtaddr, Host::memory_bytes);
  CHECK(reason() == FaultReason::root_entry_reserved);  // RTADDR counts only once SRTP has latched it
  const auto set_root = [&](std::uint64_t rtaddr) {
    h.core.write64(vtd::reg::rtaddr, rtaddr);
    h.core.write32(vtd::reg::gcmd, vtd::gcmd::te | vtd::gcmd::qie | vtd::gcmd::srtp);
  };
  set_root(Host::memory_bytes);
  CHECK(reason() == FaultReason::root_table_inaccessible);
  set_root(h.root.value | 1 << 10);
  CHECK(reason() == FaultReason::root_table_address_invalid);
  CHECK(h.core.context_cache().size() == 0);
}

TEST_CASE("paging faults: bad table pointer, reserved bits, address too wide") {
  Host h;
  h.memory.write(h.table.root(), Host::memory_bytes | 3);
  CHECK(h.read(0).reason == FaultReason::paging_entry_inaccessible);
  h.memory.write(h.table.root() + 8, std::uint64_t{0x83});
  CHECK(h.read(std::uint64_t{1} << 39).reason == FaultReason::paging_entry_reserved);
  CHECK(h.read(std::uint64_t{1} << 48).reason == FaultReason::address_beyond_mgaw);
  CHECK(h.read(~std::uint64_t{0}).reason == FaultReason::address_beyond_mgaw);
}

TEST_CASE("fault processing disable keeps qualified faults out of the log") {
  Host h;
  h.attach(Host::device, {true, true, {}, h.table.root(), 2, Host::domain});
  Translation t = h.read(0x1000);
  CHECK(t.kind == Kind::fault);
  CHECK_FALSE(t.recorded);
  CHECK(h.core.read32(vtd::reg::fsts) == 0);
  h.attach(SourceId{0x0311}, {false, true, {}, {}, 0, {}});  // FPD counts even where P is 0
  t = h.core.translate(SourceId{0x0311}, Iova{0}, Access::read);
  CHECK(t.reason == FaultReason::context_entry_not_present);
  CHECK_FALSE(t.recorded);
}

TEST_CASE("two devices of a domain share translations, of two domains not") {
  Host h;
  pgtable::SecondStageTable other(h.memory, h.allocator, 4);
  h.attach(SourceId{0x0311}, {true, false, {}, h.table.root(), 2, Host::domain});
  h.attach(SourceId{0x0312}, {true, false, {}, other.root(), 2, DomainId{8}});
  h.map(0x1000, 0x8000, 0x1000);
  other.map(Iova{0x1000}, Hpa{0x9000}, 0x1000, pgtable::read_write, pgtable::size_4k, h.unlinked);
  CHECK(h.read(0x1000).hpa == Hpa{0x8000});
  CHECK(h.core.translate(SourceId{0x0311}, Iova{0x1000}, Access::read).iotlb_hit);
  const Translation t = h.core.translate(SourceId{0x0312}, Iova{0x1000}, Access::read);
  CHECK(t.walk_reads == 4);
  CHECK(t.hpa == Hpa{0x9000});
}

TEST_CASE("an eviction is told") {
  IommuConfig config;
  config.iotlb_sets = config.iotlb_ways = 1;
  config.walk_cache_entries = {1, 1, 1, 0};
  Host h(config);
  h.map(0, 0x4000'0000, 0x2000);
  h.map(gib, 0x4000'0000, 0x1000);
  Translation t = h.read(0);
  CHECK_FALSE(t.iotlb_evicted);
  CHECK(t.walk_evicted == 0);
  t = h.read(0x1000);
  CHECK(t.iotlb_evicted);
  t = h.read(gib);
  CHECK(t.walk_evicted == 2);  // leaf table and level 2; the level-3 table is the same
}

TEST_CASE("resolve tells what the tables say now, and changes nothing") {
  Host h;
  h.map(0x5000, 0x9000, 0x1000, pgtable::read_only);
  h.read(0x5000);
  h.unmap(0x5000, 0x1000);
  CHECK(h.read(0x5000).kind == Kind::translated);  // stale
  CHECK_FALSE(h.core.resolve(Host::device, Iova{0x5000}, Access::read));
  h.map(0x5000, 0xa000, 0x1000, pgtable::read_only);
  CHECK(h.core.resolve(Host::device, Iova{0x5004}, Access::read)->hpa == Hpa{0xa004});
  CHECK_FALSE(h.core.resolve(Host::device, Iova{0x5004}, Access::write));
  CHECK_FALSE(h.core.resolve(SourceId{0x0999}, Iova{0x5004}, Access::read));
  CHECK_FALSE(h.core.resolve(Host::device, Iova{0xfee0'0000}, Access::write));
  CHECK(h.read(0x5000).hpa == Hpa{0x9000});
  CHECK(h.core.read32(vtd::reg::fsts) == 0);
}

TEST_CASE("configurations out of range are refused") {
  PhysicalMemory memory{4096};
  const auto refused = [&](auto change) {
    IommuConfig config;
    change(config);
    CHECK_THROWS_AS(VtdUnit(config, memory), std::invalid_argument);
  };
  refused([](IommuConfig& c) { c.iotlb_sets = 12; });
  refused([](IommuConfig& c) { c.iotlb_ways = 0; });
  refused([](IommuConfig& c) { c.walk_cache_entries[0] = 24; });
  refused([](IommuConfig& c) { c.context_cache_entries = 0; });
  refused([](IommuConfig& c) { c.sagaw = 0b1; });
  refused([](IommuConfig& c) { c.address_width = 58; });
  refused([](IommuConfig& c) { c.max_address_mask = 49; });
  refused([](IommuConfig& c) { c.fault_records = 0; });
  CHECK_NOTHROW(VtdUnit(IommuConfig{}, memory));
}
