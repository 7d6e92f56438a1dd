// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/refill_ledger.hpp"

#include <algorithm>

namespace gnomon::observe {

using trace::Granularity;

namespace {
constexpr std::uint64_t block_pages = 512;
}

RefillLedger::RefillLedger(std::function<std::uint32_t(SourceId)> guest_domain_of)
    : guest_domain_of_(std::move(guest_domain_of)) {}

/// Visits the pages that were ever used.
template <class Visit>
void RefillLedger::for_pages(Domain& domain, std::uint64_t iova, std::uint64_t bytes, Visit&& visit) {
  if (bytes == 0) return;
  const std::uint64_t first = iova >> page_shift;
  const std::uint64_t last = (iova + (bytes - 1)) >> page_shift;
  const std::uint64_t first_block = first / block_pages, last_block = last / block_pages;
  const auto in_block = [&](std::uint64_t index, Block& block) {
    if (index < first_block || index > last_block) return;
    const std::uint64_t to = index == last_block ? last % block_pages : block_pages - 1;
    for (std::uint64_t page = index == first_block ? first % block_pages : 0; page <= to; ++page) {
      if (block.pages[page].epoch != 0) visit(block.pages[page]);
    }
  };
  if (last_block - first_block >= domain.pages.size()) {
    domain.pages.for_each(in_block);
    return;
  }
  for (std::uint64_t index = first_block; index <= last_block; ++index) {
    if (Block* block = domain.pages.find(index)) in_block(index, *block);
  }
}

void RefillLedger::on(Time /*at*/, const trace::DmaBurst& burst) {
  if (burst.domain >= domains_.size()) domains_.resize(std::size_t{burst.domain} + 1);
  Domain& domain = domains_[burst.domain];
  if (!domain.used) {
    domain.used = true;
    domain.guest = guest_domain_of_(SourceId{static_cast<std::uint16_t>(burst.source)});
  }
  const std::uint64_t number = burst.iova >> page_shift;
  Page& page = domain.pages.block(number / block_pages).pages[number % block_pages];
  if (burst.iotlb_hit == 0) charge(domain, page);
  page = {domain.epoch, 0, false};
}

void RefillLedger::charge(const Domain& domain, const Page& page) {
  if (!open_) return;
  const bool whole = page.epoch != domain.epoch;
  auto reason = Reason::capacity;
  if (page.epoch == 0) {
    reason = Reason::cold;
  } else if (page.dropped != 0 || whole) {
    reason = page.changed ? Reason::invalidated_modified : Reason::invalidated_unmodified;
    auto by = static_cast<Granularity>(page.dropped - 1);
    if (page.dropped == 0) {
      const bool known = domain.epoch - page.epoch <= domain.ended_by.size();
      by = known ? domain.ended_by[page.epoch % domain.ended_by.size()] : Granularity::domain;
    }
    ++by_[static_cast<std::size_t>(by)];
  }
  ++counts_[static_cast<std::size_t>(reason)];
}

void RefillLedger::on(Time /*at*/, const trace::IotlbInvalidated& e) {
  const auto end_epoch = [&e](Domain& domain) {
    domain.ended_by[domain.epoch % domain.ended_by.size()] = e.granularity;
    ++domain.epoch;
  };
  if (e.granularity == Granularity::global) {
    for (Domain& domain : domains_) end_epoch(domain);
  } else if (e.domain < domains_.size()) {
    Domain& domain = domains_[e.domain];
    if (e.granularity == Granularity::domain) return end_epoch(domain);
    for_pages(domain, e.iova, e.bytes, [&](Page& page) {
      if (page.dropped == 0 && page.epoch == domain.epoch)
        page.dropped = 1 + static_cast<std::uint8_t>(e.granularity);
    });
  }
}

void RefillLedger::changed(std::uint32_t guest_domain, std::uint64_t iova, std::uint64_t bytes) {
  for (Domain& domain : domains_) {
    if (!domain.used || domain.guest != guest_domain) continue;
    for_pages(domain, iova, bytes, [&](Page& page) {
      // What changes after the entry was dropped is not why it was.
      if (page.dropped == 0 && page.epoch == domain.epoch) page.changed = true;
    });
  }
}

std::vector<std::pair<std::string, double>> RefillLedger::values() const {
  constexpr std::array names = {"cold", "capacity", "invalidated_modified", "invalidated_unmodified"};
  constexpr std::array granularities = {"page", "range", "domain", "global"};
  std::vector<std::pair<std::string, double>> out;
  for (std::size_t i = 0; i < reasons; ++i)
    out.emplace_back(std::string("iotlb.refills.") + names[i], static_cast<double>(counts_[i]));
  for (std::size_t i = 0; i < granularities.size(); ++i)
    out.emplace_back(std::string("iotlb.refills.after.") + granularities[i], static_cast<double>(by_[i]));
  return out;
}

}  // namespace gnomon::observe
