// SPDX-License-Identifier: Apache-2.0
// The LPAE table against a flat map, the unit with its caches against the same map, and nested walks against a
// walker written plainly from the architecture's text.
#include <rapidcheck/catch.h>

#include <map>
#include <optional>

#include "tests/unit/iommu/smmuv3_host.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using namespace gnomon::iommu::test;
using smmuv3::Stage;
using smmuv3::StreamConfig;

namespace {

/// Page by page: where it leads.
using Flat = std::map<std::uint64_t, std::uint64_t>;

std::uint64_t any_size() {
  return *rc::gen::element(std::uint64_t{4096}, std::uint64_t{2} << 20);
}

/// One random map or unmap of the table and of the flat map; returns the range whose translations changed.
struct Changed {
  std::uint64_t iova = 0;
  std::uint64_t bytes = 0;
  bool tables = false;
};
Changed change(pgtable::ArmLpaeTable<HpaSpace>& table, Flat& flat, bool split) {
  const std::uint64_t size = any_size();
  const std::uint64_t count = *rc::gen::inRange<std::uint64_t>(1, size == 4096 ? 40 : 3);
  const std::uint64_t iova = *rc::gen::inRange<std::uint64_t>(0, (16 << 20) / size) * size;
  std::vector<Hpa> unlinked;
  if (*rc::gen::arbitrary<bool>()) {
    const std::uint64_t to = *rc::gen::inRange<std::uint64_t>(0, (64 << 20) / size) * size;
    const auto done = table.map(Iova{iova}, Hpa{to}, size, count, pgtable::read_write);
    for (std::uint64_t at = 0; at != done.bytes; at += 4096) RC_ASSERT(flat.emplace(iova + at, to + at).second);
    return {};
  }
  const auto done = table.unmap(Iova{iova}, size, count, split, unlinked);
  for (std::uint64_t at = 0; at != done.bytes; at += 4096) {
    const bool was = flat.erase(iova + at) != 0;
    RC_ASSERT(was || done.kind == pgtable::LpaeUnmapped::table);
  }
  return {iova, done.bytes, done.kind == pgtable::LpaeUnmapped::table};
}

/// DDI 0487's walk for a 4 KiB granule and a 48-bit input, a level at a time, with nothing shared with the unit.
struct Plain {
  const PhysicalMemory& memory;
  unsigned reads = 0;

  std::optional<std::uint64_t> word(std::uint64_t at) {
    ++reads;
    if (at > memory.size() - 8) return std::nullopt;
    return memory.read<std::uint64_t>(Hpa{at});
  }
  std::optional<std::uint64_t> second(std::uint64_t table, std::uint64_t ipa, bool write) {
    for (int level = 0; level <= 3; ++level) {
      const int shift = 39 - 9 * level;
      const auto d = word(table + ((ipa >> shift) & 511) * 8);
      if (!d || (*d & 1) == 0) return std::nullopt;
      const bool page = level == 3;
      if (page && (*d & 2) == 0) return std::nullopt;
      if (page || (*d & 2) == 0) {
        if ((*d >> 10 & 1) == 0 || (*d >> (write ? 7 : 6) & 1) == 0) return std::nullopt;
        const std::uint64_t low = (std::uint64_t{1} << shift) - 1;
        return (*d & 0x0000'ffff'ffff'f000 & ~low) | (ipa & low);
      }
      table = *d & 0x0000'ffff'ffff'f000;
    }
    return std::nullopt;
  }
  std::optional<std::uint64_t> nested(std::uint64_t ttb0, std::uint64_t s2ttb, std::uint64_t va, bool write) {
    std::uint64_t table = ttb0;
    for (int level = 0; level <= 3; ++level) {
      const int shift = 39 - 9 * level;
      const auto at = second(s2ttb, table + ((va >> shift) & 511) * 8, false);
      if (!at) return std::nullopt;
      const auto d = word(*at);
      if (!d || (*d & 1) == 0) return std::nullopt;
      const bool page = level == 3;
      if (page && (*d & 2) == 0) return std::nullopt;
      if (page || (*d & 2) == 0) {
        const bool denied = (*d >> 10 & 1) == 0 || (*d >> 6 & 1) == 0 || (write && (*d >> 7 & 1) != 0);
        if (denied) return std::nullopt;
        const std::uint64_t low = (std::uint64_t{1} << shift) - 1;
        return second(s2ttb, (*d & 0x0000'ffff'ffff'f000 & ~low) | (va & low), write);
      }
      table = *d & 0x0000'ffff'ffff'f000;
    }
    return std::nullopt;
  }
};

std::optional<std::uint64_t> answer(const Translation& t) {
  if (t.kind != Translation::Kind::translated) return std::nullopt;
  return t.hpa.value;
}

}  // namespace

TEST_CASE("an LPAE table says what a flat map says, and so does hardware after the invalidations") {
  rc::prop("", [] {
    SmmuHost h;
    Flat flat;
    const bool split = *rc::gen::arbitrary<bool>();
    for (int step = *rc::gen::inRange(1, 30); step != 0; --step) {
      const Changed c = change(h.first, flat, split);
      for (std::uint64_t done = 0; done < c.bytes;) {
        smmuv3::TlbiRange range{c.iova + done, !c.tables, 1, 31, 0, 3};
        h.run<IotlbInvalidated>(smmuv3::TlbiNhVa{0, SmmuHost::asid, range});
        done += range.bytes();
      }
      for (int look = 0; look != 12; ++look) {
        const std::uint64_t iova = *rc::gen::inRange<std::uint64_t>(0, 4096) * 4096 + 0x123;
        const auto known = flat.find(iova & ~std::uint64_t{0xfff});
        const std::optional<std::uint64_t> expected =
            known == flat.end() ? std::nullopt : std::optional(known->second + 0x123);
        const auto soft = h.first.lookup(Iova{iova});
        RC_ASSERT((soft ? std::optional(soft->hpa.value) : std::nullopt) == expected);
        RC_ASSERT(answer(h.read(iova)) == expected);
      }
    }
  });
}

TEST_CASE("nested walks agree with a plain walker, cold in the number of reads too") {
  rc::prop("", [] {
    IommuConfig config;
    config.walk_cache_entries = {0, 0, 0, 0};
    SmmuHost h(StreamConfig::nested, config);
    // The stage-1 tables and the context descriptor lie in the guest's memory one to one, in parts read-only or
    // missing.
    h.map2(SmmuHost::contexts, SmmuHost::contexts);
    const std::uint64_t hole = *rc::gen::inRange<std::uint64_t>(0, 40);
    for (std::uint64_t page = 0; page != 32; ++page) {
      const std::uint64_t at = 0x100'0000 + page * 4096;
      if (page != hole) h.map2(at, at);
    }
    for (int i = 0; i != 6; ++i) {
      const std::uint64_t ipa = 0x4000'0000 + *rc::gen::inRange<std::uint64_t>(0, 64) * 4096;
      const bool writable = *rc::gen::arbitrary<bool>();
      h.map2(ipa, 0x2000'0000 + static_cast<std::uint64_t>(i) * 4096, 4096, 1,
             writable ? pgtable::read_write : pgtable::read_only);
      h.map(*rc::gen::inRange<std::uint64_t>(0, 1024) * 4096, ipa, 4096, 1,
            *rc::gen::arbitrary<bool>() ? pgtable::read_write : pgtable::read_only);
    }
    bool first = true;
    for (std::uint64_t page = 0; page != 1024; ++page) {
      if (!h.first.lookup(Iova{page * 4096}) && page % 97 != 0) continue;
      const bool write = *rc::gen::arbitrary<bool>();
      Plain plain{h.memory};
      const auto expected = plain.nested(h.first.root().value, h.second.root().value, page * 4096 + 8, write);
      const Translation t = write ? h.write(page * 4096 + 8) : h.read(page * 4096 + 8);
      RC_ASSERT(answer(t) == expected);
      if (first && expected) RC_ASSERT(t.walk_reads == plain.reads);
      first = false;
      const auto truth =
          h.unit.resolve(SmmuHost::device, Iova{page * 4096 + 8}, write ? Access::write : Access::read);
      RC_ASSERT((truth ? std::optional(truth->hpa.value) : std::nullopt) == expected);
    }
  });
}
