// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/invalidation_ledger.hpp"

#include <algorithm>
#include <bit>

#include "models/base/address.hpp"

namespace gnomon::observe {

namespace {

constexpr std::uint64_t block_pages = 512;

unsigned ones(std::uint64_t word) { return static_cast<unsigned>(std::popcount(word)); }

/// The bits of word `word` of a block that stand for pages of [first, last], counted from the block's first. The
/// word holds one of them.
std::uint64_t mask_of(std::uint64_t word, std::uint64_t first, std::uint64_t last) {
  const std::uint64_t low = word * 64;
  const std::uint64_t from = std::max(first, low) - low;
  const std::uint64_t to = std::min(last, low + 63) - low;
  return (~std::uint64_t{0} >> (63 - (to - from))) << from;
}

/// Visits (block index, first page in it, last page in it) of a page range.
template <class F>
void for_blocks(std::uint64_t first, std::uint64_t last, F&& visit) {
  for (std::uint64_t index = first / block_pages; index <= last / block_pages; ++index) {
    const std::uint64_t base = index * block_pages;
    visit(index, std::max(first, base) - base, std::min(last, base + block_pages - 1) - base);
  }
}

}  // namespace

InvalidationLedger::Domain& InvalidationLedger::domain(std::uint32_t id) {
  if (id >= domains_.size()) domains_.resize(id + 1);
  return domains_[id];
}

void InvalidationLedger::change(std::uint32_t id, std::uint64_t iova, std::uint64_t bytes, bool mapped) {
  Domain& d = domain(id);
  for_blocks(iova >> page_shift, (iova + bytes - 1) >> page_shift,
             [&](std::uint64_t index, std::uint64_t first, std::uint64_t last) {
               Block& block = d.pages.block(index);
               for (std::uint64_t w = first / 64; w <= last / 64; ++w) {
                 const std::uint64_t mask = mask_of(w, first, last);
                 const std::uint64_t was = block.mapped[w] & mask;
                 d.mapped += mapped ? ones(mask & ~was) : 0;
                 d.mapped -= mapped ? 0 : ones(was);
                 block.mapped[w] = mapped ? block.mapped[w] | mask : block.mapped[w] & ~mask;
                 block.modified[w] |= mask;
               }
               if (!block.listed) d.modified.push_back(index);
               block.listed = true;
             });
}

InvalidationLedger::Covered InvalidationLedger::settle_range(Domain& d, std::uint64_t iova, std::uint64_t bytes) {
  Covered covered;
  const std::uint64_t first = iova >> page_shift;
  const std::uint64_t last = (iova + (bytes - 1)) >> page_shift;
  const auto settle = [&](Block& block, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t w = from / 64; w <= to / 64; ++w) {
      const std::uint64_t mask = mask_of(w, from, to);
      covered.pages += ones((block.mapped[w] | block.modified[w]) & mask);
      covered.modified += ones(block.modified[w] & mask);
      block.modified[w] &= ~mask;
    }
  };
  if (last / block_pages - first / block_pages >= d.pages.size()) {  // a block far larger than what is mapped
    d.pages.for_each([&](std::uint64_t index, Block& block) {
      const std::uint64_t base = index * block_pages;
      if (base > last || base + block_pages - 1 < first) return;
      settle(block, std::max(first, base) - base, std::min(last, base + block_pages - 1) - base);
    });
    return covered;
  }
  for_blocks(first, last, [&](std::uint64_t index, std::uint64_t from, std::uint64_t to) {
    if (Block* block = d.pages.find(index)) settle(*block, from, to);
  });
  return covered;
}

InvalidationLedger::Covered InvalidationLedger::settle_all(Domain& d) {
  Covered covered{d.mapped, 0};
  for (const std::uint64_t index : d.modified) {
    Block& block = d.pages.block(index);
    block.listed = false;
    for (unsigned w = 0; w < words; ++w) {
      covered.pages += ones(block.modified[w] & ~block.mapped[w]);
      covered.modified += ones(block.modified[w]);
      block.modified[w] = 0;
    }
  }
  d.modified.clear();
  return covered;
}

InvalidationLedger::Covered InvalidationLedger::on(const trace::GuestRequest& e) {
  using trace::RequestType;
  if (e.type != RequestType::map && e.type != RequestType::unmap && e.type != RequestType::invalidate) return {};
  if (e.domain == trace::all_domains) {
    Covered sum;
    for (Domain& d : domains_) {
      const Covered part = settle_all(d);
      sum.pages += part.pages;
      sum.modified += part.modified;
    }
    return sum;
  }
  if (e.bytes == trace::whole_domain) return settle_all(domain(e.domain));
  return e.bytes == 0 ? Covered{} : settle_range(domain(e.domain), e.iova, e.bytes);
}

}  // namespace gnomon::observe
