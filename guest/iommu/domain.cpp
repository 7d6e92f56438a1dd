// SPDX-License-Identifier: Apache-2.0
#include "guest/iommu/domain.hpp"

namespace gnomon::guest {

IommuDriver::MapOutcome IommuDomain::map_run(Cpu& cpu, Iova iova, Run run, DmaAccess access) {
  IommuDriver::MapOutcome done;
  while (done.mapped < run.bytes) {
    const PageChoice pages = choose_page_size(driver_.page_sizes(), iova + done.mapped, run.start + done.mapped,
                                              run.bytes - done.mapped);
    cpu.work(cpu.costs().iommu_call);
    const auto step = driver_.map_pages(cpu, iova + done.mapped, run.start + done.mapped, pages, access);
    done.mapped += step.mapped;
    if (step.error != 0) {
      done.error = step.error;
      break;
    }
  }
  return done;
}

int IommuDomain::map_sg(Cpu& cpu, Iova iova, std::span<const Run> runs, DmaAccess access) {
  const Time began = cpu.now();
  std::uint64_t asked = 0;
  for (const Run& run : runs) asked += run.bytes;
  std::uint64_t mapped = 0;
  std::uint32_t merged_runs = 0;
  int error = 0;
  for (std::size_t i = 0; i < runs.size() && error == 0;) {
    Run run = runs[i++];
    while (i < runs.size() && runs[i].start == run.start + run.bytes) run.bytes += runs[i++].bytes;
    const auto outcome = map_run(cpu, iova + mapped, run, access);
    mapped += outcome.mapped;
    error = outcome.error;
    ++merged_runs;
  }
  if (error == 0) {
    const int sync_error = driver_.iotlb_sync_map(cpu, iova, mapped);
    if (behaviour_.sync_map_can_fail) error = sync_error;
  }
  if (error != 0 && mapped != 0) {
    IotlbGather gather;
    unmap_fast(cpu, iova, mapped, gather);
    iotlb_sync(cpu, gather);
  }
  const auto status = static_cast<std::uint32_t>(error);
  cpu.processor().sync();
  cpu.emit(trace::MapReturned{iova.value, asked, (cpu.now() - began).ps(), driver_.domain(), cpu.id(), merged_runs,
                              status});
  return error;
}

std::uint64_t IommuDomain::unmap_fast(Cpu& cpu, Iova iova, std::uint64_t bytes, IotlbGather& gather) {
  std::uint64_t done = 0;
  while (done < bytes) {
    const PageChoice pages = choose_unmap_size(driver_.page_sizes(), iova + done, bytes - done);
    cpu.work(cpu.costs().iommu_call);
    const std::uint64_t unmapped = driver_.unmap_pages(cpu, iova + done, pages, gather);
    if (unmapped == 0) break;  // a hole: the core stops and says nothing
    done += unmapped;
  }
  return done;
}

void IommuDomain::iotlb_sync(Cpu& cpu, IotlbGather& gather) {
  driver_.iotlb_sync(cpu, gather);
  gather.reset();
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
