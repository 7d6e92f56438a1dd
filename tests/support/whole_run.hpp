// SPDX-License-Identifier: Apache-2.0
// Small configurations built in code, and whole runs of them in a process of their own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "platform/run/simulate.hpp"
#include "tests/support/recorder.hpp"

namespace gnomon::test {

/// fio's `rw=randwrite bs=<bytes> iodepth=<depth> number_ios=<ios>`, engine libaio.
fio::JobSpec random_writes(std::uint64_t bytes, std::uint32_t depth, std::uint64_t ios);
fio::JobSpec random_reads(std::uint64_t bytes, std::uint32_t depth, std::uint64_t ios);

/// A guest of one vCPU with the behaviour of Linux 6.12: strict, behind virtio-iommu with page sizes 4K, 2M and 1G,
/// 4 KiB random writes at depth 1. The whole workload is the measured window.
scenario::Configuration base_configuration();
/// The same with DMA_FQ and the flush queue virtio-iommu gets in 6.12: one a CPU, 256 slots, 10 ms.
scenario::Configuration lazy_configuration();

/// What a run left behind.
struct WholeRun {
  run::SimulationResult result;
  Events events;  ///< empty unless asked for

  double metric(const std::string& name) const;  ///< throws std::out_of_range where the run reports no such metric
  std::uint64_t count(trace::Verdict verdict) const;
};

enum class Keep { nothing, events };
WholeRun run_whole(const scenario::Configuration& configuration, Keep keep = Keep::nothing,
                   const std::string& timeline = {});

}  // namespace gnomon::test
