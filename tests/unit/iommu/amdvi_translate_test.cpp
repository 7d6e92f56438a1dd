// SPDX-License-Identifier: Apache-2.0
// What a DMA meets in an AMD-Vi unit: device table, caches, walk, and every fault with its event.
#include <catch2/catch.hpp>

#include "tests/unit/iommu/amdvi_host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using amdvi::EventCode;
using test::AmdviHost;
using Kind = Translation::Kind;

namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;
constexpr std::uint64_t gib = 1024 * mib;

amdvi::IoPageFault page_fault(std::uint64_t iova, bool write = false) {
  amdvi::IoPageFault e;
  e.device = AmdviHost::device;
  e.domain = AmdviHost::domain;
  e.rw = write;
  e.address = Iova{iova};
  return e;
}

/// The DMA faults with this event in the log and nothing else.
template <class Event>
void faults(AmdviHost& h, const Translation& t, const Event& expected) {
  CHECK(t.kind == Kind::fault);
  CHECK(t.recorded);
  CHECK(t.reason == amdvi::code_of(amdvi::encode(expected)));
  CHECK(h.take_event() == amdvi::Event{expected});
  CHECK(h.no_event());
}

/// The directory of level 2 that leads to IOVA 0, and a slot of it.
Hpa directory(AmdviHost& h) {
  return amdvi::decode_page_table_entry(h.memory.read<std::uint64_t>(h.table.root())).addr;
}

}  // namespace

TEST_CASE("AMD-Vi: first walk, then the caches") {
  AmdviHost h;
  h.map(0, 0x5000'0000, 4 * kib, 16);
  const Translation cold = h.read(0x1234);
  CHECK(cold.kind == Kind::translated);
  CHECK(cold.hpa == Hpa{0x5000'1234});
  CHECK(cold.bytes == 0xdcc);
  CHECK(cold.context_reads == 1);
  CHECK(cold.walk_level == 3);
  CHECK(cold.walk_reads == 3);
  CHECK(cold.domain == AmdviHost::domain);
  const Translation near = h.read(0x2000);
  CHECK(near.context_hit);
  CHECK_FALSE(near.iotlb_hit);
  CHECK(near.walk_level == 1);
  CHECK(near.walk_reads == 1);
  const Translation hit = h.write(0x1ff8);
  CHECK(hit.iotlb_hit);
  CHECK(hit.walk_reads == 0);
  CHECK(hit.hpa == Hpa{0x5000'1ff8});
}

TEST_CASE("AMD-Vi: a leaf of any size is one IOTLB entry") {
  AmdviHost h;
  h.map(0xfffe'0000, 0x5000'0000, 64 * kib);
  h.map(8 * mib, 0x6000'0000, 8 * mib);
  CHECK(h.read(0xfffe'0000).bytes == 64 * kib);
  for (std::uint64_t page = 1; page < 16; ++page) {
    const Translation t = h.read(0xfffe'0000 + page * 4 * kib);
    CHECK(t.iotlb_hit);
    CHECK(t.hpa == Hpa{0x5000'0000 + page * 4 * kib});
  }
  CHECK(h.read(8 * mib).walk_reads == 2);
  CHECK(h.read(16 * mib - 1).iotlb_hit);
  CHECK(h.unit.iotlb().size() == 2);
}

TEST_CASE("AMD-Vi: tables of up to six levels; the walk cache reaches down from all of them") {
  AmdviHost h;
  const std::uint64_t iova = ~std::uint64_t{0xfff};
  h.map(iova, 0x5000'0000, 4 * kib);
  h.attach();
  REQUIRE(h.table.levels() == 6);
  CHECK(h.read(iova + 8).walk_reads == 6);
  CHECK(h.invalidate(iova, 4 * kib, false).iotlb_dropped == 1);
  CHECK(h.read(iova + 8).walk_reads == 1);
  CHECK(h.invalidate(iova, 4 * kib, true).walk_cache_dropped == 4);  // tables of level 5 are not cached
  CHECK(h.read(iova).walk_reads == 6);
}

TEST_CASE("AMD-Vi: entries may skip levels where the address bits of those are zero") {
  AmdviHost h;
  const Hpa leaves = h.allocator.allocate();
  h.memory.write(leaves + 5 * 8, encode(amdvi::make_leaf(Hpa{0x5000'0000}, 4 * kib, true, true)));
  h.memory.write(h.table.root() + 8, encode(amdvi::PageTableEntry{true, 1, leaves, false, true, true}));
  const Translation t = h.read(gib + 0x5008);
  CHECK(t.hpa == Hpa{0x5000'0008});
  CHECK(t.walk_reads == 2);
  CHECK(h.read(gib + 0x5010).iotlb_hit);
  faults(h, h.read(gib + 2 * mib + 0x5000), page_fault(gib + 2 * mib + 0x5000));  // bit 21 is skipped
  h.invalidate(gib + 0x5000, 4 * kib, false);
  CHECK(h.read(gib + 0x5000).walk_reads == 1);
  CHECK_FALSE(h.unit.resolve(AmdviHost::device, Iova{gib + 2 * mib + 0x5000}, Access::read));
}

TEST_CASE("AMD-Vi: what is not translated") {
  AmdviHost h;
  SECTION("the unit is off") {
    h.set(amdvi::reg::control, 0);
    const Translation t = h.write(0x1234);
    CHECK(t.kind == Kind::pass_through);
    CHECK(t.hpa == Hpa{0x1234});
    CHECK(t.bytes == 0xfee0'0000 - 0x1234);
    CHECK(h.read(0xfee0'0000).kind == Kind::unsupported_request);
  }
  SECTION("V is 0") {
    h.attach(AmdviHost::device, amdvi::DeviceTableEntry{});
    CHECK(h.write(0x1234).kind == Kind::pass_through);
    CHECK(h.write(0x1234).context_hit);
  }
  SECTION("mode 0, within IR and IW") {
    amdvi::DeviceTableEntry e = h.entry();
    e.mode = 0;
    e.iw = false;
    h.attach(AmdviHost::device, e);
    const Translation t = h.read(0x1234);
    CHECK(t.kind == Kind::pass_through);
    CHECK(t.permissions == pgtable::read_only);
    amdvi::IoPageFault denied = page_fault(0x1234, true);
    denied.pr = denied.pe = true;
    faults(h, h.write(0x1234), denied);
  }
  SECTION("the interrupt range") {
    const Translation t = h.write(0xfeef'fffc);
    CHECK(t.kind == Kind::interrupt_request);
    CHECK(t.bytes == 4);
    faults(h, h.read(0xfee0'0000), amdvi::InvalidDeviceRequest{AmdviHost::device, false, {}, Iova{0xfee0'0000}});
  }
  CHECK_FALSE(h.unit.resolve(AmdviHost::device, Iova{0x1234}, Access::write));
}

TEST_CASE("AMD-Vi: device table faults") {
  AmdviHost h;
  const SourceId device = AmdviHost::device;
  const Iova iova{0x1000};
  SECTION("beyond the table") {
    h.set(amdvi::reg::device_table, amdvi::device_table_register(AmdviHost::device_table, 4096));
    const Translation t = h.write(0x1000);
    CHECK(t.context_reads == 0);
    faults(h, t, amdvi::IllegalDevTableEntry{device, false, true, false, false, iova});
    CHECK(h.unit.translate(SourceId{127}, iova, Access::read).kind == Kind::pass_through);
  }
  SECTION("a reserved bit") {
    amdvi::Bits256 raw = encode(h.entry());
    raw.qw[1] |= std::uint64_t{1} << 42;
    h.attach(device, raw);
    faults(h, h.read(0x1000), amdvi::IllegalDevTableEntry{device, false, false, true, false, iova});
    raw.qw[0] &= ~std::uint64_t{1};  // without V it does not matter
    h.attach(device, raw);
    CHECK(h.read(0x1000).kind == Kind::pass_through);
  }
  SECTION("mode 7") {
    amdvi::DeviceTableEntry e = h.entry();
    e.mode = 7;
    h.attach(device, e);
    faults(h, h.read(0x1000), amdvi::IllegalDevTableEntry{device, false, false, false, false, iova});
  }
  SECTION("memory does not answer") {
    h.set(amdvi::reg::device_table, amdvi::device_table_register(Hpa{AmdviHost::memory_bytes}, 0x20'0000));
    faults(h, h.read(0x1000),
           amdvi::DevTabHardwareError{device, false, false, false, amdvi::HardwareErrorType::master_abort,
                                      Hpa{AmdviHost::memory_bytes + 0x310 * 32}});
  }
  SECTION("TV is 0") {
    amdvi::DeviceTableEntry e = h.entry();
    e.tv = false;
    h.attach(device, e);
    faults(h, h.read(0x1000), page_fault(0x1000));
  }
  CHECK_FALSE(h.unit.resolve(device, iova, Access::read));
}

TEST_CASE("AMD-Vi: more levels than HATS says are illegal") {
  AmdviHost h({}, {amdvi::HostTableLevels::four});
  CHECK(h.get(amdvi::reg::extended_features) == 0x40);
  h.map(std::uint64_t{1} << 48, 0x5000'0000, 4 * kib);
  h.attach();
  faults(h, h.read(0x1000),
         amdvi::IllegalDevTableEntry{AmdviHost::device, false, false, false, false, Iova{0x1000}});
  CHECK_THROWS_AS(AmdviHost({}, {amdvi::HostTableLevels::reserved}), std::invalid_argument);
}

TEST_CASE("AMD-Vi: page faults") {
  AmdviHost h;
  h.map(0x1000, 0x5000'0000, 4 * kib, 1, pgtable::read_only);
  h.read(0x1000);
  SECTION("not present: no leaf, no table, beyond the span") {
    faults(h, h.read(0x2000), page_fault(0x2000));
    faults(h, h.write(gib), page_fault(gib, true));
    faults(h, h.read(512 * gib), page_fault(512 * gib));
    CHECK(h.read(512 * gib).walk_reads == 0);
  }
  SECTION("permissions, of a cached leaf too") {
    amdvi::IoPageFault denied = page_fault(0x1008, true);
    denied.pr = denied.pe = true;
    const Translation t = h.write(0x1008);
    CHECK(t.walk_level == 3);  // the walk began at the root
    faults(h, t, denied);
    // Once the table permits it, the walk replaces the cached leaf.
    h.map(0x1000, 0x5000'0000, 4 * kib);
    CHECK(h.write(0x1008).kind == Kind::translated);
    CHECK(h.write(0x1008).iotlb_hit);
  }
  SECTION("permissions of a directory entry") {
    h.map(4 * mib, 0x6000'0000, 4 * kib);
    const Hpa slot = directory(h) + 2 * 8;
    h.memory.write(slot, h.memory.read<std::uint64_t>(slot) & ~(std::uint64_t{1} << 62));
    amdvi::IoPageFault denied = page_fault(4 * mib, true);
    denied.pr = denied.pe = true;
    faults(h, h.write(4 * mib), denied);
    CHECK(h.read(4 * mib).permissions == pgtable::read_only);
  }
  SECTION("a reserved bit of an entry") {
    h.memory.write(directory(h) + 8, std::uint64_t{0x6010'0000'0000'1201});
    amdvi::IoPageFault reserved = page_fault(2 * mib);
    reserved.pr = reserved.rz = true;
    faults(h, h.read(2 * mib), reserved);
  }
  SECTION("levels that are not below, leaf sizes that are not the level's") {
    amdvi::IoPageFault invalid = page_fault(2 * mib);
    invalid.pr = true;
    for (const std::uint64_t raw : {0x6000'0000'0000'1401, 0x6000'0000'0000'1601,  // level 2 and 3 below level 2
                                    0x6000'0000'0000'7e01,                         // 64 KiB in level 2
                                    0x6000'0000'3fff'fe01}) {                      // 2 GiB
      h.memory.write(directory(h) + 8, raw);
      faults(h, h.read(2 * mib), invalid);
    }
  }
  SECTION("memory does not answer") {
    h.memory.write(directory(h) + 8, std::uint64_t{0x6000'0001'0000'0201});
    faults(h, h.read(2 * mib + 0x5000),
           amdvi::PageTabHardwareError{AmdviHost::device, AmdviHost::domain, false, false, false,
                                       amdvi::HardwareErrorType::master_abort, Hpa{0x1'0000'0028}});
  }
  CHECK(h.unit.resolve(AmdviHost::device, Iova{0x1fff}, Access::read)->hpa == Hpa{0x5000'0fff});
}

TEST_CASE("AMD-Vi: not-present entries are not cached") {
  AmdviHost h;
  CHECK_FALSE(h.unit.capability().np_cache);
  h.map(0x1000, 0x5000'0000, 4 * kib);
  h.read(0x1000);
  CHECK(h.read(0x2000).kind == Kind::fault);
  h.map(0x2000, 0x6000'0000, 4 * kib);
  CHECK(h.read(0x2000).hpa == Hpa{0x6000'0000});
}

TEST_CASE("AMD-Vi: SA logs no page fault of the device, SE one until the entry is fetched anew") {
  AmdviHost h;
  amdvi::DeviceTableEntry e = h.entry();
  SECTION("SA") {
    e.sa = true;
    h.attach(AmdviHost::device, e);
    const Translation t = h.read(0x1000);
    CHECK(t.kind == Kind::fault);
    CHECK(t.reason == EventCode::io_page_fault);
    CHECK_FALSE(t.recorded);
    CHECK(h.no_event());
  }
  SECTION("SE") {
    e.se = true;
    h.attach(AmdviHost::device, e);
    faults(h, h.read(0x1000), page_fault(0x1000));
    CHECK_FALSE(h.read(0x1000).recorded);
    CHECK_FALSE(h.read(0x9000).recorded);
    h.refetch();
    faults(h, h.read(0x9000), page_fault(0x9000));
  }
}

TEST_CASE("AMD-Vi: devices of a domain share translations, not permissions") {
  AmdviHost h;
  const SourceId other{0x0418};
  amdvi::DeviceTableEntry e = h.entry();
  e.iw = false;
  h.attach(other, e);
  h.map(0x1000, 0x5000'0000, 4 * kib);
  CHECK(h.unit.translate(other, Iova{0x1000}, Access::read).permissions == pgtable::read_only);
  CHECK(h.write(0x1000).iotlb_hit);
  CHECK(h.unit.translate(other, Iova{0x1000}, Access::write).kind == Kind::fault);
  CHECK_FALSE(h.unit.resolve(other, Iova{0x1000}, Access::write));
}

TEST_CASE("AMD-Vi: the device table entry is cached until it is invalidated") {
  AmdviHost h;
  h.map(0x1000, 0x5000'0000, 4 * kib);
  h.read(0x1000);
  amdvi::DeviceTableEntry e = h.entry();
  e.domain = DomainId{9};
  h.attach(AmdviHost::device, e);
  CHECK(h.read(0x1000).domain == AmdviHost::domain);
  CHECK(h.run<ContextCacheInvalidated>(amdvi::InvalidateDevtabEntry{SourceId{0x0311}}).dropped == 0);
  CHECK(h.read(0x1000).domain == AmdviHost::domain);
  const auto done = h.run<ContextCacheInvalidated>(amdvi::InvalidateDevtabEntry{AmdviHost::device});
  CHECK(done.granularity == Granularity::device);
  CHECK(done.source == AmdviHost::device);
  CHECK(done.dropped == 1);
  const Translation t = h.read(0x1000);
  CHECK(t.domain == DomainId{9});
  CHECK_FALSE(t.iotlb_hit);  // another tag
}
