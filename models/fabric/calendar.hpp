// SPDX-License-Identifier: Apache-2.0
// The event calendar of what has no thread of its own: steps of devices and the IOMMU, timers. Whoever runs takes
// the steps that come before anybody else's turn: a trip through the kernel costs more than most of them.
#pragma once

#include <cstdint>
#include <functional>

#include "models/fabric/simulated_time.hpp"

namespace gnomon {

/// What a module does at a time, again and again. Steps due at one instant are taken in the order they were asked
/// for.
class TimedStep {
 public:
  /// To be made while the platform is built. `take` may not suspend; it runs at global_time(), in anybody's
  /// process.
  explicit TimedStep(std::function<void()> take);
  ~TimedStep();
  TimedStep(const TimedStep&) = delete;
  TimedStep& operator=(const TimedStep&) = delete;

  /// Due at `due`, or now where that has passed. Changes nothing where it is due by then already. Time::max():
  /// never.
  void at(Time due);
  void cancel();

 private:
  friend class Calendar;
  std::function<void()> take_;
  Time due_ = Time::max();
  std::uint64_t entry_ = 0;  // number of the entry that counts; 0: none
};

/// Takes the next step if it is due at or before `limit` and nobody else is at or before it: nobody could tell the
/// difference. Else false, and nothing changed. Only in a process of ours.
bool take_next_step(Time limit);

/// Lets the running process be at `target` (>= global_time()) without suspending: takes the steps until then. False
/// where somebody else is due by `target`, or time goes on for too long without the kernel: suspend until `target`.
bool advance_to(Time target);

/// The running process will return or wait: the kernel is told of the next step. What was done ahead of the
/// kernel's time is done.
void meet_kernel_again();

/// Suspends the thread that runs until the kernel's time is `at` (>= kernel_time()). process_resumed() comes next.
void wait_until_kernel(Time at);

}  // namespace gnomon
