// SPDX-License-Identifier: Apache-2.0
// A caller of the IOMMU API that does what a list says, and times it: iommu_map_sg, iommu_unmap, and unmaps that
// share a gather. No DMA: what a policy costs, and what it covers.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "guest/iommu/domain.hpp"
#include "guest/kernel/guest_pages.hpp"
#include "guest/kernel/workload.hpp"

namespace gnomon::guest {

struct ApiOperation {
  enum class Kind : std::uint8_t {
    map,         ///< iommu_map_sg
    unmap,       ///< iommu_unmap
    unmap_fast,  ///< iommu_unmap_fast into the open gather
    sync,        ///< iommu_iotlb_sync of the open gather
    flush_all,   ///< iommu_flush_iotlb_all
  };
  Kind kind = Kind::map;
  Iova iova;
  std::uint64_t bytes = 0;
  std::uint64_t each = 0;   ///< bytes a call; 0: all in one
  unsigned runs = 1;        ///< of a map: equal, physically scattered runs
  std::uint64_t phase = 0;  ///< of a map: how far the physical address is off the IOVA's alignment, bytes
};

struct ApiBenchmarkSpec {
  std::vector<ApiOperation> prepare;     ///< once, before the measured window
  std::vector<ApiOperation> operations;  ///< the measured list
  unsigned repeat = 1;                   ///< times
};

class ApiBenchmark final : public Workload, private Thread {
 public:
  /// `spec` and `domain` must outlive the workload. Runs on `cpu`. Buffers come from `pages`.
  ApiBenchmark(const ApiBenchmarkSpec& spec, IommuDomain& domain, Cpu& cpu, GuestPages& pages);

  void start(Cpu& cpu, std::function<void(Cpu&)> on_done) override;
  Time horizon() const override { return Time::max(); }
  /// api.txt: what each operation returned, by kind.
  std::vector<WorkloadOutput> outputs(Time now) const override;

 private:
  bool turn(Cpu& cpu) override;
  void run(Cpu& cpu, std::size_t operation, bool prepared);
  void map(Cpu& cpu, const ApiOperation& operation, Gpa buffer);
  void unmap(Cpu& cpu, const ApiOperation& operation);
  void sync(Cpu& cpu);
  Gpa allocate(const ApiOperation& operation, GuestPages& pages) const;

  const ApiBenchmarkSpec& spec_;
  IommuDomain& domain_;
  Cpu& cpu_;
  std::vector<Gpa> prepare_buffers_, buffers_;  // by operation; unused but for maps
  std::function<void(Cpu&)> on_done_;
  unsigned round_ = 0;
  bool prepared_ = false;
  IotlbGather gather_;
  struct Gathered {
    Iova iova;
    std::uint64_t bytes;
    Time began;
  };
  std::vector<Gathered> gathered_;  // unmapped into the open gather
  std::vector<Run> runs_;           // of the map under way
  struct Tally {
    std::uint64_t calls = 0, failed = 0, bytes = 0, left_mapped = 0;
  };
  Tally maps_, unmaps_;
  IommuDomain::Calls calls_;  // when the window opened
};

}  // namespace gnomon::guest
