// SPDX-License-Identifier: Apache-2.0
// Scalable-mode translation against a walker written a second time, plainly, from the specification's bit
// positions: tables of every depth and leaf size, with holes and broken entries.
#include <rapidcheck/catch.h>

#include "tests/unit/iommu/scalable_host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using test::ScalableHost;
using Pgtt = ScalableHost::Pgtt;

namespace {

using u64 = std::uint64_t;

u64 below(u64 bound) {
  return *rc::gen::inRange<u64>(0, bound);
}

/// An answer: a fault reason, or an address, the block around it that shares it, and what may be done there.
struct Answer {
  unsigned fault = 0;
  u64 address = 0;
  u64 block = 0;
  bool readable = false;
  bool writable = false;
};

struct Reference {
  const PhysicalMemory& memory;
  unsigned first_levels, second_levels;
  u64 first_root, second_root;
  bool nested;
  unsigned reads = 0;

  bool fetch(u64 address, u64& entry) {
    ++reads;
    if (address + 8 > memory.size()) return false;
    entry = memory.read<u64>(Hpa{address});
    return true;
  }

  u64 second_width() const { return second_levels == 3 ? 39 : 48; }

  Answer second(u64 input, bool write) {
    u64 table = second_root;
    bool r = true, w = true;
    for (unsigned level = second_levels; level >= 1; --level) {
      u64 entry = 0;
      if (!fetch(table + ((input >> (3 + 9 * level)) & 511) * 8, entry)) {
        return {level == second_levels ? 0x7bu : 0x78u};
      }
      if ((entry & 3) == 0) return {0x79};
      const bool leaf = level == 1 || (entry & 0x80) != 0;
      if (leaf && level > 3) return {0x7a};
      if ((entry & 0x000f'c000'0000'0000) != 0) return {0x7a};
      const u64 block = u64{1} << (3 + 9 * level);
      if (leaf && (entry & (block - 1) & ~u64{0xfff}) != 0) return {0x7a};
      r = r && (entry & 1) != 0;
      w = w && (entry & 2) != 0;
      if (write ? !w : !r) return {write ? 0x85u : 0x86u};
      const u64 next = entry & 0x000f'ffff'ffff'f000;
      if (leaf) return {0, next | (input & (block - 1)), block, r, w};
      table = next;
    }
    return {};
  }

  /// Where a first-stage table lies.
  Answer table_at(u64 pointer, unsigned denied) {
    if (!nested) return {0, pointer, 4096, true, true};
    if ((pointer >> second_width()) != 0) return {0x74};
    Answer a = second(pointer, false);
    if (a.fault == 0x86) a.fault = denied;
    return a;
  }

  Answer first(u64 input, bool write) {
    Answer table = table_at(first_root, 0x75);
    if (table.fault != 0) return table;
    bool w = true;
    for (unsigned level = first_levels; level >= 1; --level) {
      u64 entry = 0;
      if (!fetch(table.address + ((input >> (3 + 9 * level)) & 511) * 8, entry)) {
        return {level == first_levels ? 0x73u : 0x70u};
      }
      if ((entry & 1) == 0) return {0x71};
      const bool leaf = level == 1 || (entry & 0x80) != 0;
      const u64 block = u64{1} << (3 + 9 * level);
      if (leaf && level > 3) return {0x72};
      if ((entry >> 63) != 0) return {0x72};
      if (!nested && (entry & 0x000f'c000'0000'0000) != 0) return {0x72};
      if (leaf && level > 1 && (entry & (block - 1) & ~u64{0x1fff}) != 0) return {0x72};
      if ((entry & 4) == 0) return {0x81};
      w = w && (entry & 2) != 0;
      if (write && !w) return {0x85};
      const u64 flags = 0x20 | (leaf && write ? 0x40 : 0);
      if ((entry & flags) != flags && !table.writable) return {0x77};
      const u64 next = entry & 0x000f'ffff'ffff'f000;
      if (!leaf) {
        table = table_at(next, 0x76);
        if (table.fault != 0) return table;
        continue;
      }
      const u64 output = (next & ~(block - 1)) | (input & (block - 1));
      const bool dirty = write || (entry & 0x40) != 0;
      if (!nested) return {0, output, block, true, w && dirty};
      if ((output >> second_width()) != 0) return {0x84};
      Answer page = second(output, write);
      page.block = page.block < block ? page.block : block;
      page.writable = page.writable && w && dirty;
      return page;
    }
    return {};
  }

  Answer operator()(bool through_first, u64 input, bool write) {
    reads = 0;
    Answer a;
    if (through_first) {
      const u64 upper = input >> (first_levels == 4 ? 47 : 56);
      const u64 ones = ~u64{0} >> (first_levels == 4 ? 47 : 56);
      a = upper != 0 && upper != ones ? Answer{0x80} : first(input, write);
    } else {
      a = (input >> second_width()) != 0 ? Answer{0x83} : second(input, write);
    }
    if (a.fault == 0 && a.address >= 0xfee0'0000 && a.address <= 0xfeef'ffff) return {0x87};
    return a;
  }
};

constexpr u64 gib = u64{1} << 30;
constexpr u64 mib2 = u64{1} << 21;

IommuConfig any_config(bool caches) {
  IommuConfig c = test::scalable_config();
  c.first_stage_5_levels = true;
  c.sagaw = 0b00110;
  c.iotlb_sets = std::uint32_t{1} << below(4);
  c.iotlb_ways = 1 + static_cast<std::uint32_t>(below(4));
  if (!caches) c.walk_cache_entries = {0, 0, 0, 0};
  return c;
}

/// Tables of random depth and content. All interesting addresses lie in the first pages of the first four 2 MiB of
/// four GiBs, in two far apart regions.
struct World : ScalableHost {
  explicit World(bool caches)
      : ScalableHost(any_config(caches), below(2) == 0 ? page_size : gib * 8),
        first_levels(4 + static_cast<unsigned>(below(2))),
        second_levels(stride == page_size ? 4 - static_cast<unsigned>(below(2)) : 4),
        deep_first(memory, allocator, first_levels),
        deep_second(memory, allocator, second_levels),
        deep_guest(*this, first_levels) {
    mode = std::array{Pgtt::nested, Pgtt::nested, Pgtt::first_stage, Pgtt::second_stage}[below(4)];
    back();
    for (u64 i = 0, n = 2 + below(6); i < n; ++i) map_first();
    for (const auto& [gpa, hpa] : pages) {  // every page of the guest's tables, read-only now and then
      const auto p = below(8) == 7 ? pgtable::read_only : pgtable::read_write;
      deep_second.map(Iova{gpa}, hpa, page_size, p, pgtable::size_4k, unlinked);
    }
    entry.aw = vtd::aw_of_levels(second_levels);
    entry.ssptptr = deep_second.root();
    entry.fspm = vtd::fspm_of_levels(first_levels);
    entry.pgtt = mode;
    entry.fsptptr = mode == Pgtt::nested ? deep_guest.root().value : deep_first.root().value;
    write_entry(entry);
    for (u64 i = below(6); i > 0; --i) break_entry();
  }

  u64 any_block() { return below(4) * gib + below(4) * mib2; }
  u64 any_iova() {
    const u64 region = below(4) == 0 && mode != Pgtt::second_stage ? u64{3} << 44 : 0;
    return region | (any_block() + (below(3) == 0 ? below(mib2) : below(16) * 4096 + below(4096)));
  }
  void back() {
    for (u64 g = 0; g < 4; ++g) {
      if (below(3) == 2) {
        deep_second.map(Iova{g * gib}, Hpa{below(5) * gib}, gib, pgtable::read_write, pgtable::size_1g, unlinked);
        continue;
      }
      for (u64 b = 0; b < 4; ++b) {
        if (below(6) == 5) continue;
        const auto p = below(5) == 4   ? pgtable::read_only
                       : below(8) == 7 ? pgtable::write_only
                                       : pgtable::read_write;
        const auto size = below(2) == 0 ? pgtable::size_4k : pgtable::size_2m;
        deep_second.map(Iova{g * gib + b * mib2}, Hpa{below(2000) * mib2}, mib2, p, size, unlinked);
      }
    }
  }
  void map_first() {
    const auto size = std::array{pgtable::size_4k, pgtable::size_2m, pgtable::size_1g}[below(3)];
    const u64 iova = any_iova() & ~(size - 1);
    const u64 target = (any_block() + below(16) * 4096) & ~(size - 1);
    const u64 bytes = size == pgtable::size_4k ? (1 + below(32)) * 4096 : size;
    const auto p = below(4) == 3 ? pgtable::read_only : pgtable::read_write;
    deep_first.map(Iova{iova}, Hpa{target}, bytes, p, size, unlinked);
    deep_guest.map(Iova{iova}, Gpa{target}, bytes, p, size, guest_unlinked);
  }
  /// Turns a bit over in an entry on the way to some address, in one of the tables.
  void break_entry() {
    const bool second_table = below(2) == 0;
    const bool in_guest = !second_table && mode == Pgtt::nested;
    const unsigned levels = second_table ? second_levels : first_levels;
    const unsigned stop = 1 + static_cast<unsigned>(below(levels));
    const Iova iova{any_iova()};
    u64 table = second_table ? deep_second.root().value
                : in_guest   ? deep_guest.root().value
                             : deep_first.root().value;
    for (unsigned level = levels;; --level) {
      if (in_guest && pages.count(table) == 0) return;
      const Hpa host = in_guest ? pages.at(table) : Hpa{table};
      if (host.value >= memory_bytes) return;
      const Hpa slot = host + vtd::table_index(iova, level) * 8u;
      const u64 raw = memory.read<u64>(slot);
      if (level == stop) {
        constexpr std::array<unsigned, 12> bits{0, 1, 2, 5, 6, 7, 12, 13, 33, 46, 48, 63};
        memory.write(slot, raw ^ u64{1} << bits[below(bits.size())]);
        return;
      }
      if ((raw & 3) == 0 || (raw & 0x80) != 0) return;
      table = raw & 0x000f'ffff'ffff'f000;
    }
  }
  Reference reference() const {
    return {memory, first_levels, second_levels, entry.fsptptr, entry.ssptptr.value, mode == Pgtt::nested};
  }
  void agree(const Translation& t, const Answer& expected, u64 iova, bool check_block) const {
    RC_ASSERT((t.kind == Translation::Kind::fault) == (expected.fault != 0));
    if (expected.fault != 0) {
      RC_ASSERT(unsigned{t.reason.value} == expected.fault);
      return;
    }
    RC_ASSERT(t.hpa.value == expected.address);
    if (!check_block) return;
    RC_ASSERT((t.permissions == pgtable::Permissions{expected.readable, expected.writable}));
    const u64 rest = expected.block - (iova & (expected.block - 1));
    RC_ASSERT(t.bytes <= rest);
    const auto stops_short = [&](u64 from) { return from < 0xfee0'0000 && from + rest > 0xfee0'0000; };
    if (!stops_short(iova) && !stops_short(expected.address)) RC_ASSERT(t.bytes == rest);
  }

  unsigned first_levels, second_levels;
  pgtable::FirstLevelTable deep_first;
  pgtable::HostRadixTable<pgtable::SecondStageEntries> deep_second;
  pgtable::GuestFirstLevelTable deep_guest;
  Pgtt mode;
};

bool interrupt(u64 iova) {
  return iova >= 0xfee0'0000 && iova <= 0xfeef'ffff;
}

}  // namespace

TEST_CASE("two-dimensional walks against a reference") {
  rc::prop("cold: outcome, block, permissions and the number of reads", [] {
    World w(false);
    Reference reference = w.reference();
    unsigned deepest = 0;
    for (u64 i = 0; i < 40; ++i) {
      const u64 iova = w.any_iova() | (below(20) == 0 ? u64{1} << (45 + below(19)) : 0);
      const bool write = below(2) == 0;
      if (interrupt(iova)) continue;
      const Answer expected = reference(w.mode != Pgtt::second_stage, iova, write);
      const Access access = write ? Access::write : Access::read;
      const auto truth = w.core.resolve(ScalableHost::device, Iova{iova}, access);
      RC_ASSERT(truth.has_value() == (expected.fault == 0));
      if (truth)
        RC_ASSERT((*truth == pgtable::Mapping{
                                 Hpa{expected.address}, expected.block, {expected.readable, expected.writable}}));
      const Translation t = w.core.translate(ScalableHost::device, Iova{iova}, access);
      w.agree(t, expected, iova, true);
      RC_ASSERT(unsigned{t.walk_reads} == reference.reads);
      deepest = std::max(deepest, reference.reads);
      w.run<IotlbInvalidated>(vtd::IotlbInvalidate{});
    }
    RC_CLASSIFY(deepest >= 24, "a walk of 24 reads or more");
    RC_CLASSIFY(w.mode == Pgtt::nested, "nested");
  });
  rc::prop("warm: the same outcome through any caches, with no more reads", [] {
    World w(true);
    Reference reference = w.reference();
    for (u64 i = 0; i < 120; ++i) {
      const u64 iova = w.any_iova();
      const bool write = below(2) == 0;
      if (interrupt(iova)) continue;
      const Answer expected = reference(w.mode != Pgtt::second_stage, iova, write);
      const Translation t =
          w.core.translate(ScalableHost::device, Iova{iova}, write ? Access::write : Access::read);
      w.agree(t, expected, iova, false);
      RC_ASSERT(unsigned{t.walk_reads} <= reference.reads);
    }
  });
}
