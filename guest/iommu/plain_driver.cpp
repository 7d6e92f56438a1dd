// SPDX-License-Identifier: Apache-2.0
#include "guest/iommu/plain_driver.hpp"

#include <bit>

#include "guest/kernel/panic.hpp"

namespace gnomon::guest {

std::optional<Gpa> PlainDriver::iova_to_phys(Iova iova) const {
  const auto leaf = table_.find(iova);
  if (!leaf) return std::nullopt;
  return leaf->target + (iova - leaf->start);
}

int PlainDriver::map_leaves(Cpu& cpu, Iova iova, Gpa gpa, PageChoice leaves, DmaAccess access,
                            std::uint64_t& mapped) {
  const auto order = static_cast<unsigned>(std::countr_zero(leaves.page_size));
  for (std::uint64_t i = 0; i < leaves.count; ++i) {
    FreelistHandle replaced;
    const auto step = table_.map(iova + i * leaves.page_size, gpa + i * leaves.page_size, order, access, replaced);
    cpu.work(options_.costs.entry * step.entries + options_.costs.table * step.tables);
    counts_.entries_written += step.entries;
    if (!replaced.empty()) {  // a leaf took the place of a table: caches may hold pointers to it
      flush_iotlb_all(cpu);
      free_tables(cpu, replaced);
    }
    if (step.error != 0) return step.error;
    mapped += leaves.page_size;
  }
  return 0;
}

IommuDriver::MapOutcome PlainDriver::map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) {
  ++counts_.map_calls;
  MapOutcome outcome;
  if (options_.leaves.contains(pages.page_size)) {
    outcome.error = map_leaves(cpu, iova, gpa, pages, access, outcome.mapped);
    return outcome;
  }
  while (outcome.error == 0 && outcome.mapped < pages.bytes()) {
    const std::uint64_t done = outcome.mapped;
    const PageChoice leaves = choose_page_size(options_.leaves, iova + done, gpa + done, pages.bytes() - done);
    outcome.error = map_leaves(cpu, iova + done, gpa + done, leaves, access, outcome.mapped);
  }
  return outcome;
}

PlainPageTable::UnmapStep PlainDriver::clear(Cpu& cpu, Iova iova) {
  const auto step = table_.unmap(iova);
  cpu.work(options_.costs.entry * step.entries);
  counts_.entries_cleared += step.entries;
  return step;
}

void PlainDriver::gather_range(Cpu& cpu, Iova iova, std::uint64_t bytes, IotlbGather& gather) {
  if (gather.queued) return;  // the flush queue flushes all
  if (policy_.sync_before_add(options_.unit, gather, iova, bytes)) {
    ++counts_.early_syncs;
    sync_gather(cpu, gather);
  }
  gather.add_page(iova, bytes);
}

std::uint64_t PlainDriver::unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) {
  count_unmap_call();
  std::uint64_t done = 0;
  Iova first = iova;
  for (Iova at = iova; done < pages.bytes();) {
    const auto step = clear(cpu, at);
    if (step.bytes == 0) {
      if (options_.holes == UnmapHoles::stop) break;
      at += page_size;
      done += page_size;
      continue;
    }
    first = std::min(first, step.start);  // the asked range may begin inside a larger leaf
    at = step.start + step.bytes;
    done += step.bytes;
    if (options_.gathers_leaves) gather_range(cpu, step.start, step.bytes, gather);
  }
  if (done == 0) return 0;
  FreelistHandle detached;
  if (options_.frees_tables) table_.detach_tables(first, first + (done - 1), detached);
  if (!options_.gathers_leaves) gather_range(cpu, first, done, gather);
  // An early sync between leaves dropped no pointers to the tables: their range is flushed once more.
  if (options_.gathers_leaves && !detached.empty() && !gather.queued) gather.add_range(first, done);
  table_.join(gather.freelist, detached);  // not before: an early sync frees what the gather carries
  return done;
}

void PlainDriver::flush(Cpu& cpu, Iova first, Iova last, bool leaf_only) {
  ++counts_.syncs;
  const unsigned blocks = for_each_block(policy_, options_.unit, first, last, [&](FlushBlock block) {
    if (block.whole_domain()) ++counts_.domain_blocks;
    target_.invalidate(block, leaf_only && !block.whole_domain());
  });
  counts_.blocks += blocks;
  cpu.work(options_.costs.flush * blocks + options_.costs.flush_wait);
}

void PlainDriver::iotlb_sync(Cpu& cpu, IotlbGather& gather) {
  if (!gather.empty()) flush(cpu, Iova{gather.start}, Iova{gather.end}, gather.freelist.empty());
}

int PlainDriver::iotlb_sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes) {
  if (options_.unit.caches_non_present && bytes != 0) flush(cpu, iova, iova + (bytes - 1), true);
  return 0;
}

void PlainDriver::flush_iotlb_all(Cpu& cpu) {
  ++counts_.syncs;
  ++counts_.blocks;
  ++counts_.domain_blocks;
  target_.invalidate(flush_whole_domain, false);
  cpu.work(options_.costs.flush + options_.costs.flush_wait);
}

void PlainDriver::free_tables(Cpu& cpu, FreelistHandle tables) {
  cpu.work(options_.costs.table * table_.free_tables(tables));
}

namespace {
PlainDriverOptions amd_2013(const PlainDriverCosts& costs) {
  PlainDriverOptions options = plain_amd_v1;
  options.costs = costs;
  return options;
}
}  // namespace

Amd2013Driver::Amd2013Driver(InvalidationTarget& target, const PlainDriverCosts& costs, std::uint32_t domain)
    : PlainDriver(amd_2013(costs), *find_flush_policy("full"), target, domain) {}

std::uint64_t Amd2013Driver::unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& /*gather*/) {
  count_unmap_call();
  const std::uint64_t asked = pages.bytes();
  if (!std::has_single_bit(asked)) {
    throw GuestPanic(
        "kernel BUG at drivers/iommu/amd_iommu.c: iommu_unmap_page: BUG_ON(!is_power_of_2(page_size))");
  }
  std::uint64_t unmapped = 0;
  for (Iova at = iova; unmapped < asked;) {
    const auto step = clear(cpu, at);
    const std::uint64_t bytes = step.bytes == 0 ? page_size : step.bytes;
    at = (step.bytes == 0 ? at : step.start) + bytes;
    unmapped += bytes;
  }
  if (!std::has_single_bit(unmapped)) {
    throw GuestPanic("kernel BUG at drivers/iommu/amd_iommu.c: iommu_unmap_page: BUG_ON(!is_power_of_2(unmapped))");
  }
  flush_iotlb_all(cpu);
  return unmapped;
}

}  // namespace gnomon::guest
