// SPDX-License-Identifier: Apache-2.0
// What the guest is there for: fio, a benchmark of an API, a network test.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "guest/kernel/cpu.hpp"

namespace gnomon::guest {

/// A file the workload leaves beside the results, as its real counterpart prints it.
struct WorkloadOutput {
  std::string name;
  std::string text;
};

class Workload {
 public:
  virtual ~Workload() = default;
  /// Starts from `cpu`, the boot CPU. `on_done` runs on the CPU that saw the end.
  virtual void start(Cpu& cpu, std::function<void(Cpu&)> on_done) = 0;
  /// When it ends by its own limits, in simulated time; Time::max() where it has none.
  virtual Time horizon() const = 0;
  /// After the end, at simulated time `now`.
  virtual std::vector<WorkloadOutput> outputs(Time now) const = 0;
};

}  // namespace gnomon::guest
