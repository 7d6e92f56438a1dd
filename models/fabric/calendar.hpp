// SPDX-License-Identifier: Apache-2.0
// The event calendar of the platform: steps of devices and of the IOMMU, timers, turns of software threads. Whoever
// waits takes what comes next: a trip through the kernel costs more than most steps.
#pragma once

#include <cstdint>
#include <functional>

#include "models/fabric/context.hpp"
#include "models/fabric/simulated_time.hpp"

namespace gnomon {

class SoftwareThread;

/// What a module does at a time, again and again. Steps due at one instant are taken in the order they were asked
/// for, and all of them before a thread goes on.
class TimedStep {
 public:
  /// To be made while the platform is built. `take` runs at global_time(), on anybody's stack; it may not wait.
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
  friend class SoftwareThread;
  explicit TimedStep(SoftwareThread& thread);

  std::function<void()> take_;
  SoftwareThread* const thread_ = nullptr;  // whose turn this is
  Time due_ = Time::max();
  std::uint64_t number_ = 0;  // of its entry
};

/// A thread of the machine's software, with a stack of its own. It waits in the calendar: a switch between two of them
/// takes a fifth of the instructions of a switch between processes of the kernel. It runs from time zero on; at one
/// instant, threads go on in the order in which they asked for it.
class SoftwareThread {
 public:
  /// To be made while the platform is built. What `run` throws, run_simulation() throws again. `switches` counts how
  /// often the thread was switched to.
  SoftwareThread(std::function<void()> run, std::uint64_t& switches);

  /// By the thread itself. Waits until `at` (>= global_time()).
  void wait_until(Time at);
  /// By the thread itself. Waits until wake_at() says.
  void wait();
  /// By the thread itself. Waits until the kernel's own time is global_time().
  void meet_kernel();
  /// By anybody. The thread, which waits, goes on at `at`, or now where that has passed, or earlier where it was told
  /// so.
  void wake_at(Time at) { turn_.at(at); }

 private:
  friend class Calendar;
  Context& execute();
  void leave_to(Context& next);

  std::function<void()> run_;
  std::uint64_t& switches_;
  Context context_{[this]() -> Context& { return execute(); }};
  TimedStep turn_{*this};
};

// ---- for processes of the kernel that are plugged into the platform ------------------------------------------------
// They call process_resumed() first whenever they run, notify by notify_at(), and wait by these two.

/// The running process will return or wait: the kernel is told of the next step.
void meet_kernel_again();

/// Suspends the thread that runs until the kernel's time is `at` (>= kernel_time()). process_resumed() comes next.
void wait_until_kernel(Time at);

}  // namespace gnomon
