// SPDX-License-Identifier: Apache-2.0
// The IOTLB against a map that never evicts: it may forget, but never remembers what it was not told or told to
// drop.
#include <rapidcheck/catch.h>
#include <iterator>
#include <map>
#include <tuple>
#include <vector>

#include "models/iommu/core/iotlb.hpp"

using namespace gnomon;
using namespace gnomon::iommu;

namespace {

using Key = std::tuple<std::uint16_t, std::uint32_t, std::uint64_t, std::uint64_t>;  // domain, PASID, size, page

struct Reference {
  std::map<Key, pgtable::Mapping> entries;  // mapping of the page's first byte

  std::optional<pgtable::Mapping> lookup(CacheTag tag, Iova iova, std::uint64_t bytes) const {
    const auto it = entries.find({tag.domain.value, tag.pasid.value, bytes, iova.value / bytes});
    if (it == entries.end()) return std::nullopt;
    return pgtable::Mapping{it->second.hpa + iova.value % bytes, bytes, it->second.permissions};
  }
  template <class Predicate>
  void drop(Predicate&& p) {
    std::erase_if(entries, [&](const auto& e) { return p(e.first); });
  }
};

std::uint64_t below(std::uint64_t bound) {
  return *rc::gen::inRange<std::uint64_t>(0, bound);
}
CacheTag any_tag() {
  return {DomainId{static_cast<std::uint16_t>(below(3))},
          below(2) == 0 ? no_pasid : Pasid{static_cast<std::uint32_t>(below(2))}};
}
// Few enough addresses for collisions, spread over page sizes and sets.
Iova any_iova() {
  return {below(3) << 30 | below(3) << 21 | below(40) << 12 | below(4096)};
}
constexpr std::uint64_t sizes[] = {1u << 12, 1u << 13, 1u << 16, 1u << 21, 1u << 25, 1u << 30};

void operate(Iotlb& tlb, Reference& ref) {
  const auto domain = DomainId{static_cast<std::uint16_t>(below(3))};
  const auto same = [&](const Key& k) { return std::get<0>(k) == domain.value; };
  switch (below(16)) {
    case 0:
      tlb.invalidate_global();
      ref.entries.clear();
      break;
    case 1:
      tlb.invalidate_domain(domain);
      ref.drop(same);
      break;
    case 2:
    case 3:
    case 4: {
      const std::uint64_t bytes = page_size << below(20);
      const Iova base{any_iova().value & ~(bytes - 1)};
      tlb.invalidate_pages(domain, base, bytes);
      ref.drop([&](const Key& k) {
        const std::uint64_t first = std::get<3>(k) * std::get<2>(k);
        return same(k) && first < base.value + bytes && base.value < first + std::get<2>(k);
      });
      break;
    }
    default: {
      const CacheTag tag = any_tag();
      const Iova iova = any_iova();
      const std::uint64_t bytes = sizes[below(std::size(sizes))];
      const Hpa page{below(1000) * bytes};
      tlb.insert(tag, iova, {page + iova.value % bytes, bytes, pgtable::read_write});
      ref.entries[{tag.domain.value, tag.pasid.value, bytes, iova.value / bytes}] = {page, bytes,
                                                                                     pgtable::read_write};
    }
  }
}

/// What the IOTLB says of an address is what one of the page sizes in the reference says.
void agrees(Iotlb& tlb, const Reference& ref, CacheTag tag, Iova iova, bool must_hit) {
  const auto got = tlb.lookup(tag, iova);
  bool known = false;
  bool matched = false;
  for (const std::uint64_t bytes : sizes) {
    const auto expected = ref.lookup(tag, iova, bytes);
    known |= expected.has_value();
    matched |= expected.has_value() && got == expected;
  }
  RC_ASSERT(!got || matched);
  if (must_hit) RC_ASSERT(got.has_value() == known);
}

}  // namespace

TEST_CASE("IOTLB against a map") {
  rc::prop("large enough never to evict, it knows exactly what the map knows", [] {
    Iotlb tlb(16, 256);
    Reference ref;
    for (std::uint64_t i = 0, n = 20 + below(200); i < n; ++i) {
      operate(tlb, ref);
      agrees(tlb, ref, any_tag(), any_iova(), true);
      RC_ASSERT(tlb.size() == ref.entries.size());
    }
  });
  rc::prop("small, it knows a part of it", [] {
    Iotlb tlb(std::uint32_t{1} << below(4), 1 + static_cast<std::uint32_t>(below(4)));
    Reference ref;
    for (std::uint64_t i = 0, n = 20 + below(200); i < n; ++i) {
      operate(tlb, ref);
      agrees(tlb, ref, any_tag(), any_iova(), false);
      RC_ASSERT(tlb.size() <= tlb.capacity());
    }
  });
  rc::prop("what was inserted last is there", [] {
    Iotlb tlb(4, 2);
    Reference ref;
    for (std::uint64_t i = 0, n = below(60); i < n; ++i) operate(tlb, ref);
    const CacheTag tag = any_tag();
    const Iova iova = any_iova();
    tlb.insert(tag, iova, {Hpa{iova.offset_in_page()}, 4096, pgtable::read_only});
    RC_ASSERT((tlb.lookup(tag, iova) == pgtable::Mapping{Hpa{iova.offset_in_page()}, 4096, pgtable::read_only}));
  });
}
