// SPDX-License-Identifier: Apache-2.0
#include "guest/dma/bounced_dma.hpp"

#include <cerrno>

namespace gnomon::guest {

namespace {

constexpr std::uint64_t offset_of(std::uint64_t address) {
  return address & (page_size - 1);
}
constexpr std::uint64_t whole_pages(std::uint64_t bytes) {
  return (bytes + page_size - 1) & ~(page_size - 1);
}

/// memcpy or memset of `bytes`, by what a page takes.
Time copy_time(const Cpu& cpu, std::uint64_t bytes) {
  return cpu.costs().memset_page * bytes / page_size;
}

}  // namespace

int BouncedDma::map_one(Cpu& cpu, const Run& run, DmaAccess access, DmaMapping& mapping) {
  Run page_run = run;
  Run bounced;
  if (what_ == What::everything || offset_of(run.start.value | run.bytes) != 0) {
    const std::uint64_t pages = whole_pages(run.bytes);
    const Swiotlb::Slot slot = pool_.allocate(pages);
    cpu.work(cpu.costs().iova_tree_step * slot.slots_searched);
    if (!slot.start) return ENOMEM;  // "swiotlb buffer is full"
    ++bounces_;
    bounced = {*slot.start, run.bytes};
    page_run = {*slot.start, pages};
    if (access.read) cpu.work(copy_time(cpu, run.bytes));
    cpu.work(copy_time(cpu, pages - run.bytes));  // the padding is zeroed: it may hold somebody else's data
  }
  if (const int error = dma_.map(cpu, {&page_run, 1}, access, one_); error != 0) {
    if (bounced.bytes != 0) pool_.free(bounced.start, page_run.bytes);
    return error;
  }
  mapping.segments.push_back({one_.segments.front().address, run.bytes});
  mapping.bounced.push_back(bounced);
  return 0;
}

int BouncedDma::map(Cpu& cpu, std::span<const Run> runs, DmaAccess access, DmaMapping& mapping) {
  mapping.segments.clear();
  mapping.bounced.clear();
  mapping.copy_back = access.write;
  for (const Run& run : runs) {
    if (const int error = map_one(cpu, run, access, mapping); error != 0) {
      for (std::size_t i = 0; i < mapping.segments.size(); ++i) {  // DMA_ATTR_SKIP_CPU_SYNC
        unmap_one(cpu, mapping.segments[i], mapping.bounced[i], false);
      }
      mapping.segments.clear();
      return error;
    }
  }
  return 0;
}

void BouncedDma::unmap(Cpu& cpu, const DmaMapping& mapping) {
  if (mapping.bounced.empty()) return dma_.unmap(cpu, mapping);  // coherent
  for (std::size_t i = 0; i < mapping.segments.size(); ++i) {
    unmap_one(cpu, mapping.segments[i], mapping.bounced[i], mapping.copy_back);
  }
}

void BouncedDma::unmap_one(Cpu& cpu, const DmaSegment& segment, const Run& bounced, bool copy_back) {
  one_.segments.assign(1, {segment.address, whole_pages(segment.bytes)});
  one_.single = true;
  dma_.unmap(cpu, one_);
  if (bounced.bytes == 0) return;
  if (copy_back) cpu.work(copy_time(cpu, bounced.bytes));
  pool_.free(bounced.start, whole_pages(bounced.bytes));
}

}  // namespace gnomon::guest
