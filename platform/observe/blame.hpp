// SPDX-License-Identifier: Apache-2.0
// Where the latency of every I/O went: split over causes without remainder, from the event stream alone.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/base/time.hpp"
#include "models/trace/typed_sink.hpp"
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
class Blame final
    : public trace::TypedSink<Blame, trace::WindowOpened, trace::WindowClosed, trace::IoSubmitted, trace::IoDispatched,
                              trace::CommandTimes, trace::IoCompleted, trace::IoReaped, trace::VmExit, trace::CpuSpan,
                              trace::LockAcquired, trace::LockReleased, trace::InterruptTaken, trace::GuestKick,
                              trace::SyncDone, trace::IoThreadWoken, trace::InvalidationSubmitted,
                              trace::InvalidationWaitDone> {
 public:
  /// Of one reaped I/O, ps: the parts sum to its latency.
  struct Split {
    std::uint64_t io = 0, latency = 0;
    CauseTimes parts{};
  };

  /// `big_lock`: of the hypervisor, whose holder within an exit does the hypervisor's work. Not known: any lock.
  explicit Blame(std::optional<std::uint32_t> big_lock = {});
  void on(Time at, const trace::IoSubmitted& e);
  void on(Time at, const trace::IoDispatched& e);
  void on(Time at, const trace::CommandTimes& e);
  void on(Time at, const trace::IoCompleted& e);
  void on(Time at, const trace::IoReaped& e);
  void on(Time at, const trace::VmExit& e);
  void on(Time at, const trace::CpuSpan& e);
  void on(Time at, const trace::LockAcquired& e);
  void on(Time at, const trace::LockReleased& e);
  void on(Time at, const trace::InterruptTaken& e);
  void on(Time at, const trace::GuestKick& e);
  void on(Time at, const trace::SyncDone& e);
  void on(Time at, const trace::IoThreadWoken& e);
  void on(Time at, const trace::InvalidationSubmitted& e);
  void on(Time at, const trace::InvalidationWaitDone& e);
  void on(Time, const trace::WindowOpened&) { open_ = true; }
  void on(Time, const trace::WindowClosed&) { open_ = false; }

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
  struct Parts {
    CauseTimes causes{};
    WorkTimes run_queue{};
  };
  struct CommandId {
    std::uint32_t device = 0, queue = 0, command = 0;
    bool operator==(const CommandId&) const = default;
  };
  struct Io {
    std::uint64_t number = 0;  // 0: free
    std::uint64_t submitted = 0, dispatched = 0, posted = 0, completed = 0;
    std::uint64_t queued = 0, translation = 0, media = 0;  // of the command that completed last
    std::uint32_t cpu = 0;                                 // of the thread
    Stage stage = Stage::submitted;
    std::uint32_t next_free = none;
    WorkTimes submission_thread{}, submission_interrupt{};
    Mark posting, completion;
    CommandId command;  // whose parts these are
    Parts parts;
  };
  /// A command on a queue.
  struct Command {
    std::uint64_t io = 0;  // 0: free
    std::uint64_t dispatched = 0;
    bool apart = false;  // its I/O has another's parts: those until this one was given to the queue are here
    std::unique_ptr<Parts> parts;
  };
  struct Cpu {
    CpuAccount account;
    std::uint32_t first_mark = none;
    WorkTimes milestone{};  // when the CPU last turned to another I/O
    std::uint64_t milestone_at = 0;
    std::uint64_t submitting = 0;                            // the I/O its thread is submitting
    std::uint64_t kicked_lock = 0, kicked_invalidation = 0;  // a host thread's waits at the last kick
  };
  Cpu& cpu(std::uint32_t id) {
    if (id >= cpus_.size()) cpus_.resize(std::size_t{id} + 1);
    return cpus_[id];
  }
  void settle(Cpu& cpu, std::uint64_t now, Work outer);
  void settle_marks(Cpu& cpu, const WorkTimes& did, std::uint64_t length);
  void forget_mark(Mark& mark, std::uint32_t id);
  void milestone(Cpu& cpu, std::uint64_t now);
  void set_mark(std::uint32_t id, std::uint32_t cpu, std::uint64_t now);
  Mark& mark_of(std::uint32_t id);  // its I/O's slot, and which of the I/O's two

  Io* find(std::uint64_t number);
  Io& make(std::uint64_t number);
  void drop(Io& io);
  void grow_index();
  std::uint32_t slot_of(const Io& io) const { return static_cast<std::uint32_t>(&io - ios_.data()); }
  Command& command(const CommandId& id);
  void set_parts_apart(const Io& io);

  void device_stretch(Io& io);
  void charge_own(Io& io, const WorkTimes& did, std::uint64_t length);
  void charge_wait(Io& io, const WorkTimes& did, std::uint64_t length, bool for_interrupt);

  const std::optional<std::uint32_t> big_lock_;
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
