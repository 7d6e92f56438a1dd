// SPDX-License-Identifier: Apache-2.0
// What a transaction carries beside TLM's generic payload: who asks, and for how long the data takes.
#pragma once

#include <exception>
#include <tlm>
#include <utility>

#include "models/base/address.hpp"
#include "models/base/time.hpp"
#include "models/cpu/core/processor.hpp"

namespace gnomon {

/// Rides on every transaction of this platform. Owned by the initiator, which reuses one payload for all its requests.
struct Requester : tlm::tlm_extension<Requester> {
  SourceId source;                 ///< of a device's request
  Processor* processor = nullptr;  ///< of a CPU's access: the one that waits and, on an exit, runs the hypervisor
  bool payload_moves = true;       ///< false: data whose bytes nobody reads; only address, size and time matter
  Time streams;                    ///< how long the beats of a device's request occupy its link
  Time link_wait;                  ///< how long they waited for the link while it carried others
  Time translation;                ///< how long a device's request was inside the IOMMU

  tlm::tlm_extension_base* clone() const override { return new Requester(*this); }
  void copy_from(const tlm::tlm_extension_base& other) override { *this = static_cast<const Requester&>(other); }
};

/// A reusable transaction with its extension attached.
class Transaction {
 public:
  Transaction() { payload_.set_extension(&requester_); }
  ~Transaction() { payload_.clear_extension(&requester_); }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  Requester& requester() { return requester_; }

  /// Ready to send. `data` may be null when payload_moves is false.
  tlm::tlm_generic_payload& prepare(tlm::tlm_command command, std::uint64_t address, void* data, std::uint64_t bytes) {
    payload_.set_command(command);
    payload_.set_address(address);
    payload_.set_data_ptr(static_cast<unsigned char*>(data));
    payload_.set_data_length(static_cast<unsigned>(bytes));
    payload_.set_streaming_width(static_cast<unsigned>(bytes));
    payload_.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
    return payload_;
  }

 private:
  Requester requester_;
  tlm::tlm_generic_payload payload_;
};

inline Requester& requester_of(tlm::tlm_generic_payload& payload) { return *payload.get_extension<Requester>(); }

inline sc_core::sc_time to_sc(Time t) { return sc_core::sc_time::from_value(t.ps()); }
inline Time from_sc(const sc_core::sc_time& t) { return Time::ps(t.value()); }
/// What a transaction is late by grows. sc_time's own += wraps past 2^64 ps; this throws TimeOverflow.
inline void add_delay(sc_core::sc_time& delay, Time more) { delay = to_sc(from_sc(delay) + more); }

/// So many activations without time moving are no simulation any more: a whole machine needs a few dozen.
inline constexpr std::uint32_t most_activations_at_an_instant = 1'000'000;

namespace detail {
/// The kernel's time, noted whenever a process of ours resumes: asking the kernel costs a call, hundreds of times an I/O.
inline Time kernel_time;
/// How far the running process is beyond it, nothing being due in between (see Vcpu::sync). Zero whenever another
/// process runs. Both are the kernel's own state, so to speak: one simulation a process.
inline Time run_ahead;
/// Activations since the kernel's time last moved.
inline std::uint32_t activations_at_this_instant = 0;
/// Also for who runs the kernel, between two calls of sc_start(). True if time has moved.
inline bool note_kernel_time() {
  const Time now = from_sc(sc_core::sc_time_stamp());
  if (now == kernel_time) return false;
  kernel_time = now;
  activations_at_this_instant = 0;
  return true;
}
}  // namespace detail

/// What ended a process of ours, for who runs the kernel to throw again: out of sc_start() it would come as text.
inline std::exception_ptr failure_of_simulation;
inline void fail_simulation(std::exception_ptr failure) {
  if (!failure_of_simulation) failure_of_simulation = std::move(failure);
  sc_core::sc_pause();
}

/// sc_start(), with its arguments; throws what ended a process of ours.
template <class... Duration>
void run_simulation(const Duration&... duration) {
  sc_core::sc_start(duration...);
  if (failure_of_simulation) std::rethrow_exception(std::exchange(failure_of_simulation, nullptr));
}

/// To be called first by every process of ours that the kernel has resumed or started. Pauses the simulation where
/// time stands still: sc_start() would never come back.
inline void process_resumed() {
  if (detail::note_kernel_time()) return;
  if (++detail::activations_at_this_instant >= most_activations_at_an_instant) sc_core::sc_pause();
}
/// Processes keep resuming each other at one instant; the simulation was paused for it.
inline bool time_stands_still() {
  return detail::activations_at_this_instant >= most_activations_at_an_instant;
}

/// The kernel's time. Its resolution is 1 ps, its default, and never changed.
inline Time kernel_time() { return detail::kernel_time; }

/// Global simulated time: what every module means by "now".
inline Time global_time() { return kernel_time() + detail::run_ahead; }
/// Notifies an event at `at` (>= global_time()).
inline void notify_at(sc_core::sc_event& event, Time at) { event.notify(to_sc(at - kernel_time())); }

}  // namespace gnomon
