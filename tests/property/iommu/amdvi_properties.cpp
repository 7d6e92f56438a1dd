// SPDX-License-Identifier: Apache-2.0
// AMD-Vi: encodings against their inverses, the v1 table against a flat map of pages, the walker against one
// written plainly, and the promise of invalidation, which each planted bug breaks.
#include <rapidcheck/catch.h>
#include <map>

#include "tests/unit/iommu/amdvi_host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using test::AmdviHost;

namespace {

template <class T = std::uint64_t>
T below(std::uint64_t bound) {
  return static_cast<T>(*rc::gen::inRange<std::uint64_t>(0, bound));
}
std::uint64_t any64() {
  return *rc::gen::resize(1000, rc::gen::arbitrary<std::uint64_t>());
}
bool flip() {
  return below(2) == 0;
}
SourceId source() {
  return {below<std::uint16_t>(0x10000)};
}
amdvi::RangeOperand range() {
  return {Iova{any64() & amdvi::mask(63, 12)}, flip()};
}

amdvi::Command command() {
  switch (below(7)) {
    case 0: return amdvi::CompletionWait{flip(), flip(), flip(), Hpa{any64() & amdvi::mask(51, 3)}, any64()};
    case 1: return amdvi::InvalidateDevtabEntry{source()};
    case 2:
      return amdvi::InvalidateIommuPages{DomainId{below<std::uint16_t>(0x10000)}, range(), flip(), flip(),
                                         below<std::uint32_t>(1 << 20)};
    case 3:
      return amdvi::InvalidateIotlbPages{
          source(), below<std::uint8_t>(256),      below<std::uint16_t>(0x10000), range(),
          flip(),   below<std::uint32_t>(1 << 20), below<std::uint8_t>(4)};
    case 4: return amdvi::InvalidateInterruptTable{source()};
    case 5:
      return amdvi::CompletePprRequest{source(), flip(), below<std::uint32_t>(1 << 20),
                                       below<std::uint16_t>(0x10000)};
    default: return amdvi::InvalidateIommuAll{};
  }
}

constexpr std::uint64_t window = 4096;                                       // pages: 16 MiB in eight leaf tables
constexpr std::uint64_t first_page = (std::uint64_t{1} << 27) - window / 2;  // around 512 GiB, where the root grows

/// A v1 table and what it must say, page by page.
struct Pair {
  struct Page {
    std::uint64_t hpa_page;
    std::uint64_t leaf_first, leaf_pages;  // IOVA pages
    pgtable::Permissions permissions;
  };
  AmdviHost h;
  std::map<std::uint64_t, Page> flat;

  bool free(std::uint64_t page, std::uint64_t pages) const {
    const auto it = flat.lower_bound(page);
    return it == flat.end() || it->first >= page + pages;
  }
  /// Maps up to `count` pages of 2^order pages each, as many as fit where nothing is mapped.
  std::uint64_t map(std::uint64_t page, unsigned order, std::uint64_t count) {
    const std::uint64_t leaf = std::uint64_t{1} << order;
    page &= ~(leaf - 1);
    std::uint64_t fits = 0;
    while (fits < count && page + (fits + 1) * leaf <= first_page + window && free(page + fits * leaf, leaf))
      ++fits;
    const std::uint64_t hpa_page = (1 + below(1 << 16)) << order;
    const pgtable::Permissions p = below(3) == 0 ? pgtable::read_only : pgtable::read_write;
    const auto m = h.map(page << 12, hpa_page << 12, leaf << 12, fits, p);
    RC_ASSERT(m.status == pgtable::AmdMapStatus::done);
    RC_ASSERT(m.leaves == fits);
    RC_ASSERT(m.bytes == fits * leaf << 12);
    RC_ASSERT(m.levels_walked <= fits * h.table.levels());
    for (std::uint64_t i = 0; i < fits * leaf; ++i)
      flat[page + i] = {hpa_page + i, page + i / leaf * leaf, leaf, p};
    if (m.root_changed) {
      h.attach();
      h.refetch();
    }
    if (m.updated) h.invalidate(page << 12, fits * leaf << 12);
    RC_ASSERT(m.tables_unlinked == h.unlinked.size());
    for (const Hpa table : h.unlinked) h.allocator.free(table);
    h.unlinked.clear();
    return fits;
  }
  /// Unmaps, without the invalidation. The range that was cleared, in pages.
  std::pair<std::uint64_t, std::uint64_t> unmap(std::uint64_t page, std::uint64_t pages) {
    const auto u = h.table.unmap(Iova::from_page(page), pages << 12);
    std::uint64_t cleared = 0;
    std::uint64_t first = page;
    for (auto it = flat.find(page); cleared < pages && it != flat.end(); it = flat.find(page)) {
      const Page leaf = it->second;
      if (cleared == 0) first = leaf.leaf_first;
      flat.erase(flat.find(leaf.leaf_first), flat.lower_bound(leaf.leaf_first + leaf.leaf_pages));
      cleared += leaf.leaf_pages;
      page = leaf.leaf_first + leaf.leaf_pages;
    }
    RC_ASSERT(u.bytes == cleared << 12);
    RC_ASSERT(u.first == Iova::from_page(first));
    RC_ASSERT(u.end == Iova::from_page(page));
    return {first, page};
  }
  bool agrees(std::uint64_t page) const {
    const auto it = flat.find(page);
    const auto got = h.table.lookup(Iova::from_page(page) + 7);
    if (it == flat.end()) return !got;
    return got == pgtable::Mapping{Hpa::from_page(it->second.hpa_page) + 7, it->second.leaf_pages << 12,
                                   it->second.permissions};
  }
  bool translates(std::uint64_t page) {
    const auto it = flat.find(page);
    const Translation t = h.read(page << 12);
    if (it == flat.end()) return t.kind == Translation::Kind::fault;
    return t.kind == Translation::Kind::translated && t.hpa == Hpa::from_page(it->second.hpa_page) &&
           t.permissions == it->second.permissions;
  }
};

std::uint64_t any_page() {
  return first_page + (flip() ? below(8) * 512 : below(window));
}

/// Maps a leaf table's worth, warms every cache, puts one large leaf in its place, and invalidates.
bool survives(const IommuFaults& faults, bool whole_domain) {
  IommuConfig config;
  config.faults = faults;
  AmdviHost h(config);
  h.map(0, 0x4000'0000, 0x1000, 256);
  for (std::uint64_t page = 0; page < 256; ++page) h.read(page << 12);
  h.table.unmap(Iova{0}, 0x10'0000);
  h.map(0, 0x6000'0000, 0x20'0000);  // in place of the leaf table, whose page is used for something else
  for (const Hpa table : h.unlinked) h.memory.write(table, std::uint64_t{0});
  if (whole_domain) {
    h.invalidate_domain();
  } else {
    h.invalidate(0, 0x20'0000);
  }
  for (std::uint64_t page = 0; page < 256; ++page) {
    if (h.read(page << 12).hpa != Hpa{0x6000'0000 + (page << 12)}) return false;
  }
  return true;
}

/// A walker that knows nothing of the model's: each rule of the format once, in the order they are checked.
std::optional<std::pair<std::uint64_t, std::uint64_t>> plain_walk(const PhysicalMemory& memory, std::uint64_t table,
                                                                  unsigned level, std::uint64_t iova, bool write) {
  for (bool permitted = true;;) {
    const unsigned shift = 12 + 9 * (level - 1);
    const std::uint64_t slot = table + (iova >> shift) % 512 * 8;
    if (slot >= memory.size()) return std::nullopt;
    const auto e = memory.read<std::uint64_t>(Hpa{slot});
    const unsigned next = e >> 9 & 7;
    const std::uint64_t address = e & 0x000f'ffff'ffff'f000;
    permitted = permitted && (e >> (write ? 62 : 61) & 1) != 0;
    if ((e & 1) == 0 || (e >> 52 & 0x7f) != 0 || !permitted) return std::nullopt;
    if (next == 0 || next == 7) {
      unsigned size = shift;
      if (next == 7) {
        for (size = 13; (address >> (size - 1) & 1) != 0;) ++size;
        if (size <= shift || size >= shift + 9) return std::nullopt;
      }
      if (size > 52) return std::nullopt;  // more than there are physical addresses
      const std::uint64_t low = (std::uint64_t{1} << size) - 1;
      return std::pair{(address & ~low) | (iova & low), low + 1};
    }
    if ((e >> 59 & 3) != 0 || next >= level) return std::nullopt;
    for (unsigned n = 12 + 9 * next; n < shift; ++n) {
      if ((iova >> n & 1) != 0) return std::nullopt;
    }
    table = address;
    level = next;
  }
}

/// An entry of a random table: mostly well-formed, pointing into the `tables` pages at `first`.
std::uint64_t random_entry(std::uint64_t first, std::uint64_t tables, unsigned level) {
  if (below(8) == 0) return 0;
  if (below(16) == 0) return any64();
  const bool ir = below(8) != 0;
  const bool iw = below(8) != 0;
  if (level > 1 && below(4) != 0) {
    const auto next = static_cast<std::uint8_t>(below(4) == 0 ? 1 + below(6) : level - 1);
    return encode(amdvi::PageTableEntry{true, next, Hpa{first + (below(tables) << 12)}, false, ir, iw});
  }
  const std::uint64_t bytes = amdvi::level_bytes(level) << (level < 6 && flip() ? below(9) : 0);
  return encode(amdvi::make_leaf(Hpa{(any64() & amdvi::page_address_mask) & ~(bytes - 1)}, bytes, ir, iw));
}

}  // namespace

TEST_CASE("AMD-Vi encodings") {
  rc::prop("a range operand covers its range with the smallest block there is", [] {
    const unsigned length = below<unsigned>(53);
    const std::uint64_t bytes = 1 + below(std::uint64_t{1} << length);
    const Iova iova{any64() >> below(20) & ~(flip() ? std::uint64_t{0xfff} : 0)};
    RC_PRE(iova.value + (bytes - 1) >= iova.value);
    const std::uint64_t last = iova.value + (bytes - 1);
    const auto covered = amdvi::decode_range(amdvi::encode_range(iova, bytes));
    if (covered.everything()) {
      RC_ASSERT((iova.value ^ last) >> 52 != 0u);
      return;
    }
    RC_ASSERT(covered.base.value % covered.bytes == 0u);
    RC_ASSERT(covered.base <= iova);
    RC_ASSERT(last - covered.base.value < covered.bytes);
    const std::uint64_t half = covered.bytes / 2;
    RC_ASSERT(covered.bytes == page_size || iova.value / half != last / half);
  });
  rc::prop("commands: decode(encode(x)) == x", [] {
    const amdvi::Command c = command();
    RC_ASSERT(amdvi::decode_command(amdvi::encode(c)) == c);
  });
  rc::prop("any 128 bits decode as a command and as an event, and encode back to themselves", [] {
    amdvi::Bits128 raw = amdvi::encode(command());
    switch (below(4)) {
      case 0: raw.lo ^= std::uint64_t{1} << below(64); break;
      case 1: raw = {any64(), any64()}; break;
      case 2: raw.lo &= amdvi::mask(63, 60) | amdvi::mask(58, 50) | amdvi::mask(15, 0); break;
      default: break;
    }
    RC_CLASSIFY(std::holds_alternative<amdvi::IllegalCommand>(amdvi::decode_command(raw)), "illegal");
    RC_CLASSIFY(std::holds_alternative<amdvi::OtherEvent>(amdvi::decode_event(raw)), "other event");
    RC_ASSERT(amdvi::encode(amdvi::decode_command(raw)) == raw);
    RC_ASSERT(amdvi::encode(amdvi::decode_event(raw)) == raw);
  });
  rc::prop("device table entries and page table entries: encode(decode(x)) is a part of x", [] {
    amdvi::Bits256 raw{{any64(), any64(), any64(), any64()}};
    const auto e = amdvi::decode_device_table_entry(raw);
    for (unsigned i = 0; i < 4; ++i) RC_ASSERT((amdvi::encode(e).qw[i] & ~raw.qw[i]) == 0u);
    RC_ASSERT(amdvi::decode_device_table_entry(amdvi::encode(e)) == e);
    const auto pte = amdvi::decode_page_table_entry(raw.qw[0]);
    RC_ASSERT((amdvi::encode(pte) & ~raw.qw[0]) == 0u);
    RC_ASSERT(amdvi::decode_page_table_entry(amdvi::encode(pte)) == pte);
  });
}

TEST_CASE("AMD v1 table and unit against a flat map") {
  rc::prop("after the invalidation that covers a range, nothing of it translates as before", [] {
    Pair pair;
    for (std::uint64_t i = 0, n = 1 + below(16); i < n; ++i) {
      if (below(5) < 3) {
        pair.map(any_page(), below<unsigned>(11), 1 + below(8));
      } else {
        const std::uint64_t page = any_page();
        const auto [first, end] = pair.unmap(page, 1 + below(flip() ? 20 : window));
        // As Linux does: what the gather spans, directory entries only where tables went, and none did.
        if (first != end) pair.h.invalidate(first << 12, (end - first) << 12, flip());
      }
      for (std::uint64_t k = 0; k < 64; ++k) RC_ASSERT(pair.translates(any_page()));
    }
    for (std::uint64_t page = first_page; page < first_page + window; ++page) {
      RC_ASSERT(pair.agrees(page));
      RC_ASSERT(pair.translates(page));
    }
  });
}

TEST_CASE("AMD-Vi: each planted bug breaks the promise of invalidation, none does without") {
  for (const bool whole_domain : {false, true}) CHECK(survives({}, whole_domain));
  IommuFaults faults;
  faults.ignore_psi_mask = true;
  CHECK_FALSE(survives(faults, false));
  faults = {};
  faults.ignore_domain_invalidation = true;
  CHECK_FALSE(survives(faults, true));
  faults = {};
  faults.keep_walk_cache = true;
  CHECK_FALSE(survives(faults, false));
  CHECK_FALSE(survives(faults, true));
}

TEST_CASE("AMD-Vi: random tables translate as a plain walker says") {
  rc::prop("whatever the entries", [] {
    unsigned found = 0;
    constexpr std::uint64_t tables = 6;
    AmdviHost h;
    const std::uint64_t first = h.allocator.allocate().value;
    for (std::uint64_t i = 1; i < tables; ++i) h.allocator.allocate();
    const auto levels = static_cast<std::uint8_t>(1 + below(6));
    // Few indices of every table are in use: 0 to 3.
    for (std::uint64_t i = 0; i < tables * 4; ++i) {
      const Hpa slot{first + (i / 4 << 12) + i % 4 * 8};
      h.memory.write(slot, random_entry(first, tables, i == 0 ? levels : 1 + below<unsigned>(6)));
    }
    for (std::uint64_t i = 1; i < 4; ++i) h.memory.write(Hpa{first + i * 8}, random_entry(first, tables, levels));
    amdvi::DeviceTableEntry e = h.entry();
    e.mode = levels;
    e.root = Hpa{first};
    h.attach(AmdviHost::device, e);
    for (unsigned i = 0; i < 40; ++i) {
      std::uint64_t iova = below(4096);
      for (unsigned level = 1; level <= levels; ++level) iova |= below(4) << (12 + 9 * (level - 1));
      const bool write = flip();
      const auto expected = plain_walk(h.memory, first, levels, iova, write);
      const Access access = write ? Access::write : Access::read;
      const auto truth = h.unit.resolve(AmdviHost::device, Iova{iova}, access);
      RC_ASSERT(truth.has_value() == expected.has_value());
      // Replicas of a leaf need not be equal here, so only an empty cache must say the same.
      h.run<IotlbInvalidated>(amdvi::InvalidateIommuAll{});
      const Translation t = h.unit.translate(AmdviHost::device, Iova{iova}, access);
      RC_ASSERT((t.kind == Translation::Kind::translated) == expected.has_value());
      if (!expected) continue;
      ++found;
      RC_ASSERT(truth->hpa == Hpa{expected->first});
      RC_ASSERT(truth->page_bytes == expected->second);
      RC_ASSERT(t.hpa == truth->hpa);
    }
    RC_CLASSIFY(found > 5, "more than five of 40 translate");
  });
}
