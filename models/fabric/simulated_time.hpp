// SPDX-License-Identifier: Apache-2.0
// Simulated time between this platform's modules and the SystemC kernel: who is ahead of it, and how far.
#pragma once

#include <algorithm>
#include <exception>
#include <systemc>
#include <type_traits>
#include <utility>

#include "models/base/time.hpp"

namespace gnomon {

/// sc_time::from_value(), which is a call into the library, dozens of times an I/O. It also pins the resolution,
/// which is the default here and never changed.
inline sc_core::sc_time to_sc(Time t) {
  using sc_core::sc_time;
  static_assert(std::is_standard_layout_v<sc_time> && sizeof(sc_time) == sizeof(sc_time::value_type));
  sc_time out;  // and its only member have one address
  *reinterpret_cast<sc_time::value_type*>(&out) = t.ps();
  return out;
}
inline Time from_sc(const sc_core::sc_time& t) {
  return Time::ps(t.value());
}
/// What a transaction is late by grows. sc_time's own += wraps past 2^64 ps; this throws TimeOverflow.
inline void add_delay(sc_core::sc_time& delay, Time more) {
  delay = to_sc(from_sc(delay) + more);
}

/// So many activations without time moving are no simulation any more: a whole machine needs a few dozen.
inline constexpr std::uint32_t most_activations_at_an_instant = 1'000'000;

namespace detail {
/// The kernel's time, noted whenever a process resumes: asking the kernel costs a call, hundreds of times
/// an I/O.
inline Time kernel_time;
/// How far the calendar is beyond it, nothing of the kernel's being due in between. Zero whenever another process
/// runs. Both are the kernel's own state, so to speak: one simulation a process.
inline Time run_ahead;
/// Where this is after kernel_time, no event is pending before it: every notification goes through notify_at() or
/// wait_until_kernel(). Else it says nothing.
inline Time quiet_until;
/// The simulation is to pause at the kernel's time: nobody goes ahead of it any more.
inline bool pausing = false;
/// Of the last activation of a process or step, and how many there were at it.
inline Time last_instant;
inline std::uint32_t activations_at_this_instant = 0;
/// Also for who runs the kernel, between two calls of sc_start().
inline void note_kernel_time() {
  kernel_time = from_sc(sc_core::sc_time_stamp());
}
}  // namespace detail

/// sc_pause(), at the time that it is: nothing that comes later is done.
inline void pause_simulation() {
  detail::pausing = true;
  sc_core::sc_pause();
}

/// What ended a process of ours, for who runs the kernel to throw again: out of sc_start() it would come as text.
inline std::exception_ptr failure_of_simulation;
inline void fail_simulation(std::exception_ptr failure) {
  if (!failure_of_simulation) failure_of_simulation = std::move(failure);
  pause_simulation();
}

/// sc_start(), with its arguments; throws what ended a process of ours.
template <class... Duration>
void run_simulation(const Duration&... duration) {
  detail::pausing = false;
  sc_core::sc_start(duration...);
  if (failure_of_simulation) std::rethrow_exception(std::exchange(failure_of_simulation, nullptr));
}

/// The kernel's time. Its resolution is 1 ps, its default, and never changed.
inline Time kernel_time() {
  return detail::kernel_time;
}

/// Global simulated time: what every module means by "now".
inline Time global_time() {
  return kernel_time() + detail::run_ahead;
}
/// A process, a thread or a step runs. Pauses the simulation where time stands still: sc_start() would never come
/// back.
inline void activated() {
  const Time now = global_time();
  if (now != detail::last_instant) {
    detail::last_instant = now;
    detail::activations_at_this_instant = 0;
  } else if (++detail::activations_at_this_instant >= most_activations_at_an_instant) {
    pause_simulation();
  }
}
/// To be called first by every process that the kernel has resumed or started.
inline void process_resumed() {
  detail::note_kernel_time();
  activated();
}
/// Processes keep resuming each other at one instant; the simulation was paused for it.
inline bool time_stands_still() {
  return detail::activations_at_this_instant >= most_activations_at_an_instant;
}

/// Notifies an event of the kernel's at `at` (>= global_time()).
inline void notify_at(sc_core::sc_event& event, Time at) {
  event.notify(to_sc(at - kernel_time()));
  detail::quiet_until = std::min(detail::quiet_until, at);
}

}  // namespace gnomon
