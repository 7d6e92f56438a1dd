// SPDX-License-Identifier: Apache-2.0
#include "guest/iommu/domain.hpp"

#include <cerrno>

namespace gnomon::guest {

bool IommuDomain::on_granule(std::uint64_t bits) const {
  const PageSizeBitmap sizes = driver_.page_sizes();
  return !sizes.empty() && (bits & (sizes.smallest() - 1)) == 0;
}

IommuDriver::MapOutcome IommuDomain::map_run(Cpu& cpu, Iova iova, Run run, DmaAccess access) {
  if (!on_granule(iova.value | run.start.value | run.bytes)) return {EINVAL, 0};
  IommuDriver::MapOutcome done;
  while (done.mapped < run.bytes) {
    const Iova at = iova + done.mapped;
    PageChoice pages = choose_page_size(driver_.page_sizes(), at, run.start + done.mapped, run.bytes - done.mapped);
    if (behaviour_.calls != DriverCalls::counted) pages.count = 1;
    cpu.work(cpu.costs().iommu_call);
    ++calls_.map;
    const auto step = driver_.map_pages(cpu, at, run.start + done.mapped, pages, access);
    if (!behaviour_.sync_map && step.mapped != 0) driver_.iotlb_sync_map(cpu, at, step.mapped);
    done.mapped += step.mapped;
    if (step.error != 0) {
      done.error = step.error;
      break;
    }
  }
  return done;
}

int IommuDomain::sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes) {
  if (!behaviour_.sync_map) return 0;  // done call by call
  const int error = driver_.iotlb_sync_map(cpu, iova, bytes);
  return behaviour_.sync_map_can_fail ? error : 0;
}

std::uint64_t IommuDomain::undo_map(Cpu& cpu, Iova iova, std::uint64_t bytes) {
  if (bytes == 0) return 0;
  IotlbGather gather;
  const std::uint64_t undone = unmap_fast(cpu, iova, bytes, gather);
  iotlb_sync(cpu, gather);
  return undone < bytes ? bytes - undone : 0;
}

MapResult IommuDomain::map(Cpu& cpu, Iova iova, Gpa gpa, std::uint64_t bytes, DmaAccess access) {
  const Run run{gpa, bytes};
  return map_sg(cpu, iova, {&run, 1}, access);
}

MapResult IommuDomain::map_sg(Cpu& cpu, Iova iova, std::span<const Run> runs, DmaAccess access) {
  const Time began = cpu.now();
  std::uint64_t asked = 0;
  for (const Run& run : runs) asked += run.bytes;
  std::uint64_t mapped = 0;
  std::uint32_t merged_runs = 0;
  MapResult result;
  for (std::size_t i = 0; i < runs.size() && result.error == 0;) {
    Run run = runs[i++];
    const std::size_t first = i;
    while (i < runs.size() && runs[i].start == run.start + run.bytes) run.bytes += runs[i++].bytes;
    cpu.work(cpu.costs().scatter_element * (i - first + 1));
    const auto outcome = map_run(cpu, iova + mapped, run, access);
    mapped += outcome.mapped;
    result.error = outcome.error;
    ++merged_runs;
  }
  if (result.error == 0) result.error = sync_map(cpu, iova, mapped);
  if (result.error != 0) result.left_mapped = undo_map(cpu, iova, mapped);
  const auto status = static_cast<std::uint32_t>(result.error);
  cpu.processor().sync();
  cpu.emit(trace::MapReturned{iova.value, asked, (cpu.now() - began).ps(), driver_.domain(), cpu.id(), merged_runs,
                              status});
  return result;
}

PageChoice IommuDomain::next_unmap(Iova iova, std::uint64_t bytes) const {
  if (behaviour_.calls == DriverCalls::whole_range) return {bytes, 1};
  PageChoice pages = choose_unmap_size(driver_.page_sizes(), iova, bytes);
  if (behaviour_.calls == DriverCalls::per_page) pages.count = 1;
  return pages;
}

std::uint64_t IommuDomain::unmap_fast(Cpu& cpu, Iova iova, std::uint64_t bytes, IotlbGather& gather) {
  if (!on_granule(iova.value | bytes)) return 0;
  std::uint64_t done = 0;
  while (done < bytes) {
    const PageChoice pages = next_unmap(iova + done, bytes - done);
    cpu.work(cpu.costs().iommu_call);
    ++calls_.unmap;
    const std::uint64_t unmapped = driver_.unmap_pages(cpu, iova + done, pages, gather);
    const bool left_to_flush = !gather.queued && !gather.empty();
    if (!behaviour_.gather && left_to_flush) driver_.sync_gather(cpu, gather);
    if (unmapped == 0) break;  // a hole: the core stops and says nothing
    done += unmapped;
  }
  if (behaviour_.fill_empty_gather && bytes != 0 && gather.empty()) gather.add_range(iova, bytes);
  return done;
}

void IommuDomain::iotlb_sync(Cpu& cpu, IotlbGather& gather) {
  const bool skipped = gather.empty() && (behaviour_.skip_empty_gather || !behaviour_.gather);
  if (skipped) {
    gather.reset();
  } else {
    driver_.sync_gather(cpu, gather);
  }
}

std::uint64_t IommuDomain::unmap(Cpu& cpu, Iova iova, std::uint64_t bytes) {
  const Time began = cpu.now();
  IotlbGather gather;
  const std::uint64_t done = unmap_fast(cpu, iova, bytes, gather);
  iotlb_sync(cpu, gather);
  cpu.processor().sync();
  cpu.emit(trace::UnmapReturned{iova.value, done, (cpu.now() - began).ps(), driver_.domain(), cpu.id(), 0, 0});
  return done;
}

}  // namespace gnomon::guest
