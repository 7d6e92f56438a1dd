// SPDX-License-Identifier: Apache-2.0
// Where the latency of every I/O went: split over causes without remainder, from the event stream alone.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "models/base/time.hpp"
#include "models/trace/tracer.hpp"
#include "platform/observe/cpu_account.hpp"

namespace gnomon::observe {

/// What an I/O's time goes into. docs/where-the-time-went.md defines each; blame_meanings() in short.
enum class Cause : std::uint8_t {
  guest_cpu,
  run_queue,
  lock_wait,
  exit,
  hypervisor,
  host_invalidation,
  iotlb,
  pcie,
  media,
  interrupt,
  queueing
};
inline constexpr std::size_t causes = 11;
const char* cause_name(Cause cause);
/// In ps, by Cause.
using CauseTimes = std::array<std::uint64_t, causes>;

/// Follows each I/O, and of its commands the one that completed last, through five stretches: submission (on its
/// CPU, until the command was given to the queue), device (until the command's completion was posted), waiting to
/// be handled, handling (until IoCompleted), waiting to be reaped. Memory is for the I/Os in flight; nothing is
/// allocated once as many were.
class Blame final : public trace::Sink {
 public:
  /// Of one reaped I/O, ps: the parts sum to its latency.
  struct Split {
    std::uint64_t io = 0, latency = 0;
    CauseTimes parts{};
  };

  Blame();
  trace::KindSet wants() const override;
  void on_event(Time at, const trace::Event& event) override;

  /// Means per I/O of the measured window that ended well: blame.<cause>_ns, the run queue as
  /// blame.run_queue_<work>_ns, by what the I/O's CPU did while it waited for it. They sum to the mean latency.
  /// Nothing where no I/O was reaped.
  std::vector<std::pair<std::string, double>> values() const;
  /// Of the I/O reaped last.
  const Split& last() const { return last_; }
  /// I/Os whose stretches and whose CPU's account did not fit each other to the picosecond. 0 in a whole run.
  std::uint64_t misfits() const { return misfits_; }

 private:
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  enum class Stage : std::uint8_t { submitted, dispatched, posted, completed };

  /// A CPU's sums at an instant, in whatever context; `base` is not final while the instant is not settled.
  struct Mark {
    WorkTimes base{};
    std::uint64_t at = 0;
    std::uint32_t cpu = none;
    std::uint32_t next = none;  // in its CPU's list of marks to settle
    bool open = false;
  };
  struct Io {
    std::uint64_t number = 0;  // 0: free
    std::uint64_t submitted = 0, dispatched = 0, posted = 0, completed = 0;
    std::uint64_t queued = 0, translation = 0, media = 0;  // of the command that completed last
    std::uint32_t cpu = 0;                                 // of the thread
    Stage stage = Stage::submitted;
    std::uint32_t next_free = none;
    WorkSums submission;
    Mark posting, completion;
    CauseTimes parts{};
    WorkTimes run_queue{};
  };
  /// A command on a queue, and its I/O's parts until it was given to it.
  struct Command {
    std::uint64_t io = 0;  // 0: free
    std::uint64_t dispatched = 0;
    CauseTimes parts{};
    WorkTimes run_queue{};
  };
  struct Cpu {
    CpuAccount account;
    std::uint32_t first_mark = none;
    WorkTimes milestone{};  // when the CPU last turned to another I/O
    std::uint64_t milestone_at = 0;
    std::uint64_t submitting = 0;                            // the I/O its thread is submitting
    std::uint64_t kicked_lock = 0, kicked_invalidation = 0;  // a host thread's waits at the last kick
  };
  void on(std::uint64_t now, const trace::IoSubmitted& e);
  void on(std::uint64_t now, const trace::IoDispatched& e);
  void on(std::uint64_t now, const trace::CommandTimes& e);
  void on(std::uint64_t now, const trace::IoCompleted& e);
  void on(std::uint64_t now, const trace::IoReaped& e);
  void on(std::uint64_t now, const trace::VmExit& e);
  void on(std::uint64_t now, const trace::CpuSpan& e);
  void on(std::uint64_t now, const trace::LockAcquired& e);
  void on(std::uint64_t now, const trace::LockReleased& e);
  void on(std::uint64_t now, const trace::InterruptTaken& e);
  void on(std::uint64_t now, const trace::GuestKick& e);
  void on(std::uint64_t now, const trace::SyncDone& e);
  void on(std::uint64_t now, const trace::IoThreadWoken& e);
  void on(std::uint64_t now, const trace::InvalidationSubmitted& e);
  void on(std::uint64_t now, const trace::InvalidationWaitDone& e);
  void on(std::uint64_t, const trace::WindowOpened&) { open_ = true; }
  void on(std::uint64_t, const trace::WindowClosed&) { open_ = false; }
  template <class E>
  void on(std::uint64_t, const E&) {}

  Cpu& cpu(std::uint32_t id) {
    if (id >= cpus_.size()) cpus_.resize(std::size_t{id} + 1);
    return cpus_[id];
  }
  void settle(Cpu& cpu, std::uint64_t now, Work outer);
  void settle_marks(Cpu& cpu, const WorkSums& before, std::uint64_t from);
  void forget_mark(Mark& mark, std::uint32_t id);
  void milestone(Cpu& cpu, std::uint64_t now);
  void set_mark(std::uint32_t id, std::uint32_t cpu, std::uint64_t now);
  Mark& mark_of(std::uint32_t id);  // its I/O's slot, and which of the I/O's two

  Io* find(std::uint64_t number);
  Io& make(std::uint64_t number);
  void drop(Io& io);
  void grow_index();
  std::uint32_t slot_of(const Io& io) const { return static_cast<std::uint32_t>(&io - ios_.data()); }
  Command& command(std::uint32_t device, std::uint32_t queue, std::uint32_t command);

  void device_stretch(Io& io);
  void charge_own(Io& io, const WorkTimes& did, std::uint64_t length);
  void charge_wait(Io& io, const WorkTimes& did, std::uint64_t length, bool for_interrupt);

  std::vector<Cpu> cpus_;
  std::vector<Io> ios_;
  std::vector<std::uint32_t> index_;  // by number modulo its size: the slot
  std::uint32_t free_ = none;
  std::vector<std::vector<std::vector<Command>>> commands_;            // by device, queue, command
  std::vector<std::pair<std::uint32_t, std::uint64_t>> invalidating_;  // a ring: who submitted, when
  std::size_t invalidating_first_ = 0, invalidating_count_ = 0;
  std::uint32_t thread_ = none;  // of the hypervisor, where it has one
  std::uint64_t thread_lock_ = 0, thread_invalidation_ = 0;

  bool open_ = false;
  std::uint64_t count_ = 0, misfits_ = 0;
  CauseTimes sums_{};
  WorkTimes run_queue_sums_{};
  Split last_;
};

}  // namespace gnomon::observe
