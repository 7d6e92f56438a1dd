// SPDX-License-Identifier: Apache-2.0
// QEMU's amd-iommu: registers, command buffer, and what its shadow tells the host.
#include "models/hypervisor/core/amdvi_device.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "models/cpu/core/line_monitor.hpp"
#include "models/pgtable/amd_v1_table.hpp"
#include "models/spec/amdvi/registers.hpp"
#include "tests/support/recording_shadow.hpp"

using namespace gnomon;
using namespace gnomon::hypervisor;
namespace reg = amdvi::reg;
namespace control = amdvi::control;
namespace status = amdvi::status;
using Call = test::RecordingShadow::Call;
using Kind = ServedCommand::Kind;

namespace {

constexpr Gpa ring{0x1'0000}, devices{0x2'0000}, events{0x3'0000};
constexpr SourceId first_device{0x10}, second_device{0x18}, untold_device{0x20};

/// A guest without an operating system: its tables and commands by hand.
struct Guest final : VmmPort {
  explicit Guest(const AmdviDeviceConfig& config = {}) : device(ram, config) {
    device.add_endpoint(first_device, a);
    device.add_endpoint(second_device, b);
    write(reg::device_table, amdvi::device_table_register(Hpa{devices.value}, page_size));
    write(reg::command_buffer, amdvi::ring_register(Hpa{ring.value}, 8));
    write(reg::event_log, amdvi::ring_register(Hpa{events.value}, 8));
    write(reg::control, control::iommu_en | control::cmd_buf_en | control::event_log_en);
  }
  std::uint64_t read_entry(Gpa address) override {
    ++reads;
    return ram.contains(address, 8) ? ram.read<std::uint64_t>(address) : ~std::uint64_t{0};
  }
  void look_up() override { ++look_ups; }
  void write_guest(Gpa address, std::uint64_t value, unsigned bytes) override {
    ram.write_bytes(address, &value, bytes);
  }

  void write(std::uint32_t offset, std::uint64_t value) { device.write_register(offset, value, 8); }
  std::uint64_t read(std::uint32_t offset) { return device.read_register(offset, 8); }
  void queue(const amdvi::Bits128& raw) {
    ram.write(ring + tail, raw);
    tail = (tail + 16) % 4096;
    write(reg::command_tail, tail);
  }
  ServedCommand run(const amdvi::Command& command) {
    reads = look_ups = 0;
    a.calls.clear();
    b.calls.clear();
    queue(encode(command));
    return device.serve(*this);
  }
  ServedCommand flush(amdvi::RangeOperand range, std::uint16_t domain = 1) {
    return run(amdvi::InvalidateIommuPages{DomainId{domain}, range, true, false, 0});
  }
  ServedCommand flush(std::uint64_t page, std::uint64_t count = 1) {
    return flush(amdvi::encode_range(Iova::from_page(page), count * page_size));
  }
  void set_entry(SourceId source, amdvi::DeviceTableEntry entry) {
    ram.write(devices + source.value * 32u, encode(entry));
  }
  amdvi::DeviceTableEntry entry_of(std::uint16_t domain) const {
    amdvi::DeviceTableEntry entry;
    entry.v = entry.tv = entry.ir = entry.iw = true;
    entry.mode = static_cast<std::uint8_t>(table.levels());
    entry.root = Hpa{table.root().value};
    entry.domain = DomainId{domain};
    return entry;
  }
  void attach(SourceId source, std::uint16_t domain = 1) {
    set_entry(source, entry_of(domain));
    run(amdvi::InvalidateDevtabEntry{source});
  }
  void map(std::uint64_t iova_page, std::uint64_t gpa_page, std::uint64_t page_bytes = page_size,
           pgtable::Permissions permissions = pgtable::read_write) {
    std::vector<Gpa> unlinked;
    const auto done =
        table.map(Iova::from_page(iova_page), Gpa::from_page(gpa_page), page_bytes, 1, permissions, unlinked);
    REQUIRE(done.status == pgtable::AmdMapStatus::done);
  }
  void unmap(std::uint64_t iova_page, std::uint64_t pages = 1) {
    table.unmap(Iova::from_page(iova_page), pages * page_size);
  }

  PhysicalMemory memory{16 << 20};
  GuestRam ram{memory, Hpa{0}, 16 << 20, Backing::pages_4k, 1};
  pgtable::GuestTableMemory tables{ram, Gpa{0x10'0000}, Gpa{16 << 20}};
  pgtable::AmdV1Table<GpaSpace> table{tables};
  test::RecordingShadow a, b;
  AmdviDevice device;
  std::uint64_t tail = 0, reads = 0, look_ups = 0;
};

using Pages = std::map<std::uint64_t, std::uint64_t>;

}  // namespace

TEST_CASE("amd-iommu: NpCache is advertised, in both of its encodings") {
  CHECK((encode(AmdviDevice::capability()) >> 26 & 1) == 1);
  Guest g;
  CHECK(amdvi::decode_extended_features(g.read(reg::extended_features)).ia_sup);
  CHECK(amdvi::decode_extended_features(g.read(reg::extended_features)).hats == amdvi::HostTableLevels::six);
}

TEST_CASE("amd-iommu: registers by halves, what is writable, what a write does besides") {
  Guest g;
  g.device.write_register(reg::device_table, 0xffff'ffff, 4);
  g.device.write_register(reg::device_table + 4, 0xffff'ffff, 4);
  CHECK(g.read(reg::device_table) == amdvi::device_table_writable);
  CHECK(g.device.read_register(reg::device_table + 4, 4) == 0x000f'ffff);
  CHECK(g.device.read_register(reg::device_table, 4) == 0xffff'f1ff);
  g.write(reg::command_head, 0xffff'ffff);
  CHECK(g.read(reg::command_head) == 0x7'fff0);
  g.write(reg::command_buffer, amdvi::ring_register(Hpa{ring.value}, 9));
  CHECK(g.read(reg::command_head) == 0);
  g.write(reg::extended_features, 0);
  CHECK(g.read(reg::extended_features) == encode(AmdviDevice::features()));
  CHECK(g.read(0x4000 - 4) == ~std::uint64_t{0});  // over the end
  CHECK(g.read(0x38) == 0);
}

TEST_CASE("amd-iommu: commands are served when CmdBufEn and IommuEn are set, one a call") {
  Guest g;
  g.write(reg::control, control::cmd_buf_en);
  g.queue(encode(amdvi::CompletionWait{true, false, false, Hpa{0x5000}, 7}));
  g.queue(encode(amdvi::CompletionWait{true, true, false, Hpa{0x5008}, 8}));
  CHECK_FALSE(g.device.pending());
  CHECK(g.device.serve(g).kind == Kind::none);
  g.write(reg::control, control::cmd_buf_en | control::iommu_en);
  REQUIRE(g.device.pending());
  const ServedCommand served = g.device.serve(g);
  CHECK(served.kind == Kind::wait);
  CHECK(g.ram.read<std::uint64_t>(Gpa{0x5000}) == 7);
  CHECK(g.ram.read<std::uint64_t>(Gpa{0x5008}) == 0);
  CHECK(g.read(reg::command_head) == 16);
  CHECK((g.read(reg::status) & status::com_wait_int) == 0);
  g.device.serve(g);
  CHECK(g.ram.read<std::uint64_t>(Gpa{0x5008}) == 8);
  CHECK(g.read(reg::status) == (status::com_wait_int | status::cmd_buf_run));
  g.write(reg::status, status::com_wait_int);
  CHECK(g.read(reg::status) == status::cmd_buf_run);
  CHECK_FALSE(g.device.pending());
}

TEST_CASE("amd-iommu: the ring wraps") {
  Guest g;
  for (std::uint64_t i = 1; i <= 600; ++i) {
    g.run(amdvi::CompletionWait{true, false, false, Hpa{0x5000}, i});
    REQUIRE(g.ram.read<std::uint64_t>(Gpa{0x5000}) == i);
  }
  CHECK(g.read(reg::command_head) == 600 % 256 * 16);
}

TEST_CASE("amd-iommu: an illegal command is logged; the queue stops, or goes on as QEMU's does") {
  AmdviDeviceConfig config;
  config.illegal_stops = GENERATE(true, false);
  Guest g(config);
  g.queue({std::uint64_t{9} << 60, 0});
  g.queue(encode(amdvi::CompletionWait{true, false, false, Hpa{0x5000}, 7}));
  CHECK(g.device.serve(g).kind == Kind::illegal);
  CHECK(amdvi::decode_event(g.ram.read<amdvi::Bits128>(events)) ==
        amdvi::Event{amdvi::IllegalCommandError{Hpa{ring.value}}});
  CHECK(g.read(reg::event_tail) == 16);
  CHECK((g.read(reg::status) & status::event_log_int) != 0);
  CHECK(((g.read(reg::status) & status::cmd_buf_run) == 0) == config.illegal_stops);
  CHECK(g.device.pending() == !config.illegal_stops);
  if (config.illegal_stops) {
    CHECK(g.read(reg::command_head) == 0);
    g.write(reg::control, control::iommu_en);
    g.write(reg::command_head, 16);
    g.write(reg::control, control::iommu_en | control::cmd_buf_en);
  }
  CHECK(g.device.serve(g).kind == Kind::wait);
  CHECK(g.ram.read<std::uint64_t>(Gpa{0x5000}) == 7);
}

TEST_CASE("amd-iommu: a full event log overflows and is not overwritten") {
  AmdviDeviceConfig config;
  config.illegal_stops = false;
  Guest g(config);
  for (unsigned i = 0; i < 300; ++i) {
    g.queue({0, 0});
    CHECK(g.device.serve(g).kind == Kind::illegal);
  }
  CHECK(g.read(reg::event_tail) == 255 * 16);
  CHECK((g.read(reg::status) & status::event_overflow) != 0);
  CHECK((g.read(reg::status) & status::event_log_run) == 0);
  g.write(reg::event_head, 255 * 16);
  g.write(reg::status, status::event_overflow);
  g.queue({0, 0});
  g.device.serve(g);
  CHECK(g.read(reg::event_tail) == 0);
}

TEST_CASE("amd-iommu: a command buffer outside memory") {
  Guest g;
  g.write(reg::command_buffer, amdvi::ring_register(Hpa{std::uint64_t{1} << 40}, 8));
  g.write(reg::command_tail, 16);
  CHECK(g.device.serve(g).kind == Kind::illegal);
  const auto event = amdvi::decode_event(g.ram.read<amdvi::Bits128>(events));
  CHECK(std::holds_alternative<amdvi::CommandHardwareError>(event));
}

TEST_CASE("amd-iommu: until its entry translates an endpoint sees guest memory; then what its table says") {
  Guest g;
  CHECK(g.a.bypass);
  g.map(0x100, 5);
  g.map(0x200, 0x40, 16 * page_size);
  g.attach(first_device);
  CHECK_FALSE(g.a.bypass);
  CHECK(g.b.bypass);
  CHECK(g.a.calls ==
        std::vector<Call>{{true, 0x100'000, 0x5000, page_size}, {true, 0x200'000, 0x40'000, 16 * page_size}});
  CHECK(g.device.mapping_count(first_device) == 2);

  SECTION("another table in the same breath is not looked at: the guest flushes its domain") {
    g.map(0x300, 6);
    g.run(amdvi::InvalidateDevtabEntry{first_device});
    CHECK(g.a.calls.empty());
  }
  SECTION("no table: bypass again") {
    amdvi::DeviceTableEntry entry = g.entry_of(1);
    GENERATE_REF(0, 1) == 0 ? void(entry.mode = 0) : void(entry.v = false);
    g.set_entry(first_device, entry);
    g.run(amdvi::InvalidateDevtabEntry{first_device});
    CHECK(g.a.bypass);
    CHECK(g.a.pages.empty());
    CHECK(g.device.mapping_count(first_device) == 0);
  }
  SECTION("an entry that cannot be used: nothing at all") {
    amdvi::DeviceTableEntry entry = g.entry_of(1);
    const int how = GENERATE(0, 1, 2);
    if (how == 0) entry.tv = false;
    if (how == 1) entry.mode = 7;
    g.set_entry(first_device, entry);
    if (how == 2) g.ram.write(devices + first_device.value * 32u, std::uint64_t{0x7} | 1 << 8);  // reserved
    g.run(amdvi::InvalidateDevtabEntry{first_device});
    CHECK_FALSE(g.a.bypass);
    CHECK(g.a.pages.empty());
  }
  SECTION("an entry beyond the device table is no entry") {
    test::RecordingShadow far;
    g.device.add_endpoint(SourceId{128}, far);
    CHECK(far.bypass);
    g.run(amdvi::InvalidateDevtabEntry{SourceId{128}});
    CHECK_FALSE(far.bypass);
    CHECK(g.reads == 0);
  }
  SECTION("somebody else's entry") {
    g.run(amdvi::InvalidateDevtabEntry{untold_device});
    CHECK(g.reads == 0);
  }
}

TEST_CASE("amd-iommu: an invalidation walks from the root for each page of its range, and tells only differences") {
  Guest g;
  g.attach(first_device);
  g.map(0x100, 5);
  g.map(0x102, 6, 2 * page_size);
  const ServedCommand served = g.flush(0x100, 4);
  CHECK(served.kind == Kind::invalidate);
  CHECK(served.domain == 1);
  CHECK(served.iova == Iova::from_page(0x100));
  CHECK(served.bytes == 4 * page_size);
  CHECK(g.reads == 2 + 3 * 3);  // page, hole, two pages
  CHECK(g.look_ups == 3);
  CHECK(g.a.calls ==
        std::vector<Call>{{true, 0x100'000, 0x5000, page_size}, {true, 0x102'000, 0x6000, 2 * page_size}});
  g.flush(0x100, 4);
  CHECK(g.a.calls.empty());
  CHECK(g.look_ups == 3);

  g.unmap(0x100);
  g.flush(0x100, 4);  // the two pages are walked, and known
  CHECK(g.a.calls == std::vector<Call>{{false, 0x100'000, 0, page_size}});
}

TEST_CASE("amd-iommu: an unmap grows to what was mapped, whichever page of it the command names") {
  Guest g;
  g.attach(first_device);
  g.map(0x100, 0x40, 16 * page_size);
  g.flush(0x100);
  CHECK(g.a.calls == std::vector<Call>{{true, 0x100'000, 0x40'000, 16 * page_size}});
  g.unmap(0x100, 16);
  g.flush(0x107);
  CHECK(g.a.calls == std::vector<Call>{{false, 0x100'000, 0, 16 * page_size}});
  CHECK(g.look_ups == 1);
  CHECK(g.device.mapping_count(first_device) == 0);
}

TEST_CASE("amd-iommu: the block of a command may be far larger than what changed") {
  Guest g;
  g.attach(first_device);
  for (std::uint64_t i = 0; i < 512; ++i) g.map(0x200 + i, 2 * i + 1);
  g.flush(0x200, 512);
  CHECK(g.a.calls.size() == 512);
  g.unmap(0x2ff, 2);
  g.flush(amdvi::encode_range(Iova::from_page(0x2ff), 2 * page_size));  // one command: pages 0x200 to 0x3ff
  CHECK(g.look_ups == 512);
  CHECK(g.a.calls == std::vector<Call>{{false, 0x2ff'000, 0, page_size}, {false, 0x300'000, 0, page_size}});
}

TEST_CASE("amd-iommu: what is absent above the last level is stepped over at once") {
  Guest g;
  g.attach(first_device);
  CHECK(g.reads == 2 + 512);  // the root's entries
  CHECK(g.look_ups == 512);
  g.map(0, 5);
  g.flush(amdvi::every_page);
  CHECK(g.reads == 2 + 512 * 3 + 511 * 2 + 511);
  CHECK(g.a.pages == Pages{{0, 5}});
}

TEST_CASE("amd-iommu: QEMU 10.2's walk is a level short: smaller steps, and superpages that are wrong") {
  AmdviDeviceConfig config;
  config.short_steps = true;
  Guest g(config);
  g.attach(first_device);
  CHECK(g.look_ups == 512 * 512);  // 2 MiB each
  g.map(0x200, 0x800, 512 * page_size);
  g.flush(0x200, 2);
  CHECK(g.a.pages == Pages{{0x200, 0x800}, {0x201, 0x800}});
  g.map(0x400, 0x900, 256 * page_size);  // sizes in between are right
  g.flush(0x400, 256);
  CHECK(g.a.calls == std::vector<Call>{{true, 0x400'000, 0x900'000, 256 * page_size}});
}

TEST_CASE("amd-iommu: a whole domain, by any block above 2^51") {
  Guest g;
  g.attach(first_device);
  g.map(0x100, 5);
  const auto range =
      GENERATE(as<amdvi::RangeOperand>{}, amdvi::every_page, amdvi::encode_range(Iova{0}, std::uint64_t{1} << 52));
  const ServedCommand served = g.flush(range);
  CHECK(served.bytes == ~std::uint64_t{0});
  CHECK(g.a.pages == Pages{{0x100, 5}});
}

TEST_CASE("amd-iommu: a command is for the endpoints of its domain") {
  Guest g;
  g.attach(first_device, 1);
  g.attach(second_device, 2);
  g.map(0x100, 5);
  g.flush(amdvi::encode_range(Iova::from_page(0x100), page_size), 2);
  CHECK(g.a.pages.empty());
  CHECK(g.b.pages == Pages{{0x100, 5}});
  CHECK(g.reads == 2 * 2 + 3);
  g.set_entry(first_device, g.entry_of(2));  // both now
  g.flush(amdvi::encode_range(Iova::from_page(0x100), page_size), 2);
  CHECK(g.a.pages == Pages{{0x100, 5}});
  CHECK(g.b.calls.empty());
  g.unmap(0x100);
  const ServedCommand served = g.run(amdvi::InvalidateIommuAll{});
  CHECK(served.domain == ~std::uint32_t{0});
  CHECK(served.bytes == ~std::uint64_t{0});
  CHECK(g.a.pages.empty());
  CHECK(g.b.pages.empty());
}

TEST_CASE("amd-iommu: permissions are those of all levels together; none is absent") {
  Guest g;
  g.attach(first_device);
  g.map(0x100, 5, page_size, pgtable::read_only);
  struct Accesses final : ShadowTarget {
    bool map(Iova, Gpa, std::uint64_t, DmaAccess access) override {
      seen.push_back(access);
      return true;
    }
    void unmap(Iova, std::uint64_t) override {}
    std::vector<DmaAccess> seen;
  } target;
  g.device.add_endpoint(untold_device, target);
  g.attach(untold_device);
  CHECK(target.seen == std::vector{DmaAccess::read});
  amdvi::DeviceTableEntry entry = g.entry_of(1);
  entry.ir = false;
  g.set_entry(first_device, entry);
  g.flush(0x100);
  CHECK(g.a.pages.empty());
}

TEST_CASE("amd-iommu: a leaf that contradicts the record is tried and not recorded") {
  Guest g;
  g.attach(first_device);
  g.map(0x100, 5);
  g.flush(0x100);
  g.map(0x100, 6);  // no invalidation of the first in between
  g.flush(0x100);
  CHECK(g.device.conflicts() == 1);
  CHECK(g.a.calls == std::vector<Call>{{true, 0x100'000, 0x6000, page_size}});
  CHECK(g.a.double_map);
  g.unmap(0x100);
  g.flush(0x100);
  CHECK(g.a.calls == std::vector<Call>{{false, 0x100'000, 0, page_size}});
}

TEST_CASE("amd-iommu: a refused map stays recorded, as in QEMU") {
  Guest g;
  g.attach(first_device);
  g.map(0x100, 5);
  g.a.refuse_after = 0;
  g.flush(0x100);
  CHECK(g.device.mapping_count(first_device) == 1);
  g.flush(0x100);
  CHECK(g.a.calls.empty());
}

TEST_CASE("amd-iommu: a table taken away leaves records smaller than the hole") {
  Guest g;
  g.attach(first_device);
  g.map(0x200, 5);
  g.map(0x203, 6);
  g.flush(0x200, 512);
  CHECK(g.a.pages.size() == 2);
  const Gpa middle{g.ram.read<std::uint64_t>(g.table.root()) & 0xf'ffff'f000};
  g.ram.write<std::uint64_t>(middle + 8, 0);
  g.flush(0x200);
  CHECK(g.a.pages == Pages{{0x203, 6}});  // no further than the command reaches
  g.map(0x200, 5);
  g.flush(0x200);
  g.ram.write<std::uint64_t>(middle + 8, 0);
  g.flush(0x200, 512);
  CHECK(g.a.pages.empty());
  CHECK(g.look_ups == 3);
}

TEST_CASE("amd-iommu: tables outside memory") {
  Guest g;
  g.attach(first_device);
  SECTION("the root: nothing is known") {
    amdvi::DeviceTableEntry entry = g.entry_of(1);
    entry.root = Hpa{std::uint64_t{1} << 40};
    g.set_entry(first_device, entry);
    g.flush(amdvi::every_page);
    CHECK(g.reads == 3);
  }
  SECTION("below: what lies there is left alone") {
    g.map(0x100, 5);
    g.map(0x200, 6);
    g.flush(0, 0x400);
    const Gpa middle{g.ram.read<std::uint64_t>(g.table.root()) & 0xf'ffff'f000};
    const auto pointer = g.ram.read<std::uint64_t>(middle);
    g.ram.write<std::uint64_t>(middle, pointer | (std::uint64_t{1} << 40));
    g.flush(0, 0x400);
    CHECK(g.a.pages.size() == 2);
  }
  SECTION("an address above the table's span") {
    g.flush(std::uint64_t{1} << 27);
    CHECK(g.reads == 2);
    CHECK(g.look_ups == 0);
  }
}

TEST_CASE("amd-iommu: six levels reach the end of the address space") {
  Guest g;
  g.map((std::uint64_t{1} << 52) - 1, 5);
  REQUIRE(g.table.levels() == 6);
  g.attach(first_device);
  CHECK(g.a.pages == Pages{{(std::uint64_t{1} << 52) - 1, 5}});
}

TEST_CASE("amd-iommu: commands that shadow nothing") {
  Guest g;
  g.attach(first_device);
  CHECK(g.run(amdvi::InvalidateIotlbPages{first_device, 0, 0, amdvi::every_page, false, 0, 0}).kind ==
        Kind::configure);
  CHECK(g.run(amdvi::InvalidateInterruptTable{first_device}).kind == Kind::configure);
  CHECK(g.run(amdvi::CompletePprRequest{first_device, false, 0, 0}).kind == Kind::configure);
  CHECK(g.reads == 0);
}

TEST_CASE("amd-iommu without shadow reads no tables and tells the host nothing") {
  AmdviDeviceConfig config;
  config.shadow = false;
  Guest g(config);
  CHECK_FALSE(g.a.bypass);
  g.map(0x100, 5);
  g.attach(first_device);
  CHECK(g.flush(0x100).kind == Kind::invalidate);
  g.run(amdvi::InvalidateIommuAll{});
  CHECK(g.a.calls.empty());
  CHECK(g.reads == 0);
}

TEST_CASE("amd-iommu: an endpoint or a container twice") {
  Guest g;
  test::RecordingShadow other;
  CHECK_THROWS_AS(g.device.add_endpoint(first_device, other), std::invalid_argument);
  CHECK_THROWS_AS(g.device.add_endpoint(untold_device, g.a), std::invalid_argument);
}

TEST_CASE("amd-iommu: planted bugs") {
  AmdviDeviceConfig config;
  SECTION("unmaps are not passed on") {
    config.faults.skip_unmap_events = true;
    Guest g(config);
    g.attach(first_device);
    g.map(0x100, 5);
    g.flush(0x100);
    g.unmap(0x100);
    g.flush(0x100);
    CHECK(g.a.pages == Pages{{0x100, 5}});
    CHECK(g.device.mapping_count(first_device) == 0);
  }
  SECTION("the S bit is ignored") {
    config.faults.ignore_size_bit = true;
    Guest g(config);
    g.attach(first_device);
    g.map(0x100, 5);
    g.map(0x101, 7);
    CHECK(g.flush(0x100, 2).bytes == 2 * page_size);
    CHECK(g.a.pages == Pages{{0x100, 5}});
  }
}
