// SPDX-License-Identifier: Apache-2.0
// QEMU's amd-iommu against a plain reference of its algorithm, over random tables and invalidations; and the
// guest's driver on top of it: after a correct sequence the shadow is the guest's table.
#include <rapidcheck.h>

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <vector>

#include "models/spec/amdvi/registers.hpp"
#include "tests/support/amd_bench.hpp"

using namespace gnomon;
using hypervisor::AmdviDevice;
using hypervisor::DmaAccess;

namespace {

struct Piece {
  std::uint64_t bytes = 0;
  std::uint64_t gpa = 0;
  bool operator==(const Piece&) const = default;
};
using Pieces = std::map<std::uint64_t, Piece>;  // by the first byte

Pieces::const_iterator holding(const Pieces& pieces, std::uint64_t first, std::uint64_t last) {
  auto above = pieces.upper_bound(last);
  if (above == pieces.begin()) return pieces.end();
  --above;
  return above->first + (above->second.bytes - 1) >= first ? above : pieces.end();
}

/// A container as VFIO keeps it: no mapping over another, no unmap of a part.
struct Container final : hypervisor::ShadowTarget {
  bool map(Iova iova, Gpa gpa, std::uint64_t bytes, DmaAccess) override {
    if (holding(pieces, iova.value, iova.value + bytes - 1) != pieces.end()) return false;
    pieces[iova.value] = {bytes, gpa.value};
    return true;
  }
  void unmap(Iova iova, std::uint64_t bytes) override {
    const auto found = pieces.find(iova.value);
    bisected |= found == pieces.end() || found->second.bytes != bytes;
    if (found != pieces.end()) pieces.erase(found);
  }
  Pieces pieces;
  bool bisected = false;
};

/// What QEMU does with an invalidation of [first, last], page by page and by the kernel's software walk.
void reference(const pgtable::AmdV1Table<GpaSpace>& table, std::uint64_t first, std::uint64_t last,
               Pieces& shadow) {
  for (std::uint64_t at = first; at <= last;) {
    std::uint64_t bytes = page_size;
    if (const auto leaf = table.lookup(Iova{at})) {
      bytes = leaf->page_bytes;
      const std::uint64_t base = at & ~(bytes - 1);
      if (holding(shadow, base, base + bytes - 1) == shadow.end())
        shadow[base] = {bytes, leaf->gpa.value - (at - base)};
    } else if (const auto known = holding(shadow, at, at); known != shadow.end()) {
      bytes = known->second.bytes;
      shadow.erase(known);
    }
    at = (at & ~(bytes - 1)) + bytes;
  }
}

/// Memory with a device and one endpoint in it; the command buffer is filled by hand.
struct Unit final : hypervisor::VmmPort {
  Unit() {
    device.add_endpoint(SourceId{1}, container);
    device.write_register(amdvi::reg::device_table, amdvi::device_table_register(Hpa{0x2000}, page_size), 8);
    device.write_register(amdvi::reg::command_buffer, amdvi::ring_register(Hpa{0x1000}, 8), 8);
    device.write_register(amdvi::reg::control, amdvi::control::iommu_en | amdvi::control::cmd_buf_en, 8);
    amdvi::DeviceTableEntry entry;
    entry.v = entry.tv = entry.ir = entry.iw = true;
    entry.mode = 3;
    entry.root = Hpa{table.root().value};
    entry.domain = DomainId{1};
    ram.write(Gpa{0x2000} + 32, encode(entry));
    run(amdvi::InvalidateDevtabEntry{SourceId{1}});
  }
  void run(const amdvi::Command& command) {
    ram.write(Gpa{0x1000} + tail, encode(command));
    tail = (tail + 16) % 4096;
    device.write_register(amdvi::reg::command_tail, tail, 4);
    while (device.pending()) device.serve(*this);
  }
  std::uint64_t read_entry(Gpa address) override { return ram.read<std::uint64_t>(address); }
  void look_up() override {}
  void write_guest(Gpa, std::uint64_t, unsigned) override {}

  PhysicalMemory memory{8 << 20};
  GuestRam ram{memory, Hpa{0}, 8 << 20, Backing::pages_4k, 1};
  pgtable::GuestTableMemory tables{ram, Gpa{0x10'0000}, Gpa{8 << 20}};
  pgtable::AmdV1Table<GpaSpace> table{tables};
  Container container;
  AmdviDevice device{ram};
  std::uint64_t tail = 0;
};

std::uint64_t bytes_of_order(unsigned order) {
  return page_size << order;
}

}  // namespace

TEST_CASE("amd-iommu: after every command the shadow is what QEMU's algorithm makes of the guest's table") {
  const bool ok = rc::check([] {
    Unit unit;
    Pieces expected;
    const auto steps = *rc::gen::inRange(1, 120);
    for (int i = 0; i < steps; ++i) {
      // An area of 8 MiB from 4 MiB on: pages, and leaves of up to 4 MiB, in four tables of the last level.
      const auto order = *rc::gen::weightedElement<unsigned>({{6, 0}, {3, 1}, {3, 3}, {2, 4}, {1, 9}, {1, 10}});
      const std::uint64_t bytes = bytes_of_order(order);
      const std::uint64_t at =
          ((std::uint64_t{4} << 20) + *rc::gen::inRange<std::uint64_t>(0, 2048) * page_size) & ~(bytes - 1);
      switch (*rc::gen::inRange(0, 4)) {
        case 0:
        case 1: {  // as the core: never over something mapped
          bool free = true;
          for (std::uint64_t p = 0; p < bytes; p += page_size) free = free && !unit.table.lookup(Iova{at + p});
          if (!free) break;
          std::vector<Gpa> unlinked;
          const std::uint64_t gpa = bytes * *rc::gen::inRange<std::uint64_t>(1, 1000);
          RC_ASSERT(unit.table.map(Iova{at}, Gpa{gpa}, bytes, 1, pgtable::read_write, unlinked).bytes == bytes);
          for (const Gpa page : unlinked) unit.tables.free(page);
          break;
        }
        case 2: unit.table.unmap(Iova{at}, bytes); break;
        default: break;  // nothing changed: an invalidation of what is known
      }
      if (*rc::gen::inRange(0, 3) == 0) continue;  // a guest that forgets some
      const auto extra = *rc::gen::inRange<std::uint64_t>(0, 64) * page_size;
      const amdvi::RangeOperand range = amdvi::encode_range(Iova{at}, bytes + extra);
      unit.run(amdvi::InvalidateIommuPages{DomainId{1}, range, true, false, 0});
      const amdvi::CoveredRange covered = amdvi::decode_range(range);
      RC_ASSERT(covered.base.value <= at);
      reference(unit.table, covered.base.value, covered.base.value + covered.bytes - 1, expected);
      RC_ASSERT(unit.container.pieces == expected);
      RC_ASSERT(!unit.container.bisected);
      RC_ASSERT(unit.device.mapping_count(SourceId{1}) == expected.size());
    }
    unit.run(amdvi::InvalidateIommuAll{});
    reference(unit.table, 0, (std::uint64_t{32} << 20) - 1, expected);
    RC_ASSERT(unit.container.pieces == expected);
  });
  CHECK(ok);
}

TEST_CASE("the AMD driver over amd-iommu: at the return of every call the shadow is the guest's table") {
  const bool ok = rc::check([] {
    test::AmdBench::Options options;
    const auto policies = guest::flush_policies();
    options.driver.kernel.flush_policy = policies[*rc::gen::inRange<std::size_t>(0, policies.size())].policy;
    options.driver.split_flush_all = *rc::gen::arbitrary<bool>();
    options.driver.kernel.pde_bit = *rc::gen::element(guest::PdeBit::always, guest::PdeBit::tables_freed);
    test::AmdBench b(options);
    b.boot();
    struct Buffer {
      std::uint64_t page, count;
    };
    std::vector<Buffer> mapped;
    std::set<std::uint64_t> used;
    std::map<std::uint64_t, std::uint64_t> expected;
    const auto steps = *rc::gen::inRange(1, 60);
    for (int i = 0; i < steps; ++i) {
      if (mapped.empty() || *rc::gen::inRange(0, 3) != 0) {
        const std::uint64_t base = *rc::gen::element<std::uint64_t>(0, 0xfff00, 0x7ffff00);
        const std::uint64_t page = base + *rc::gen::inRange<std::uint64_t>(0, 700);
        std::vector<guest::Run> runs;
        std::uint64_t count = 0;
        for (int r = *rc::gen::inRange(1, 4); r-- > 0;) {
          const auto pages = *rc::gen::inRange<std::uint64_t>(1, 40);
          runs.push_back({Gpa::from_page(*rc::gen::inRange<std::uint64_t>(1, 1 << 20)), pages * page_size});
          count += pages;
        }
        const auto next = used.lower_bound(page);
        if (next != used.end() && *next < page + count) continue;
        REQUIRE(b.map(page, runs) == 0);
        std::uint64_t at = page;
        for (const guest::Run& run : runs) {
          for (std::uint64_t p = 0; p < run.bytes / page_size; ++p) {
            expected[at] = run.start.page() + p;
            used.insert(at++);
          }
        }
        mapped.push_back({page, count});
      } else {
        const auto which = *rc::gen::inRange<std::size_t>(0, mapped.size());
        const Buffer buffer = mapped[which];
        mapped.erase(mapped.begin() + static_cast<std::ptrdiff_t>(which));
        RC_ASSERT(b.unmap(buffer.page, buffer.count) == buffer.count);
        for (std::uint64_t p = 0; p < buffer.count; ++p) {
          expected.erase(buffer.page + p);
          used.erase(buffer.page + p);
        }
      }
      RC_ASSERT(b.shadow.pages == expected);
      RC_ASSERT(!b.shadow.double_map);
    }
    RC_ASSERT(b.device.conflicts() == 0);
  });
  CHECK(ok);
}
