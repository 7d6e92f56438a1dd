// SPDX-License-Identifier: Apache-2.0
// What a processor did with its time, as running sums by cause, built from spans that are told when they end.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace gnomon::observe {

/// What a processor is busy with at an instant.
enum class Work : std::uint8_t { guest, lock_wait, exit, hypervisor, invalidation, interrupt, idle };
inline constexpr std::size_t works = 7;
/// In ps, by Work.
using WorkTimes = std::array<std::uint64_t, works>;

constexpr std::uint64_t sum_of(const WorkTimes& times) {
  std::uint64_t sum = 0;
  for (const std::uint64_t time : times) sum += time;
  return sum;
}

inline WorkTimes operator-(WorkTimes a, const WorkTimes& b) {
  for (std::size_t w = 0; w < works; ++w) a[w] -= b[w];
  return a;
}

/// The sums at an instant, apart for thread context and for interrupts and softirqs.
struct WorkSums {
  WorkTimes thread{}, interrupt{};

  friend WorkSums operator-(WorkSums a, const WorkSums& b) {
    for (std::size_t w = 0; w < works; ++w) a.thread[w] -= b.thread[w], a.interrupt[w] -= b.interrupt[w];
    return a;
  }
  WorkTimes both() const {
    WorkTimes sum = thread;
    for (std::size_t w = 0; w < works; ++w) sum[w] += interrupt[w];
    return sum;
  }
};

/// One processor. Time up to settled() has its cause; what came after waits for the next event that tells whose it
/// was. Within a VM exit the time a lock is held is the hypervisor's, a wait for a lock or for the invalidation
/// queue is such a wait wherever it happens, and the rest of the exit is the way in and out.
class CpuAccount {
 public:
  std::uint64_t settled() const { return settled_; }
  const WorkSums& sums() const { return sums_; }
  bool in_interrupt = false;  ///< context of what is settled next

  /// A softirq tells only at its end that it was one.
  void note_thread() { thread_noted_ = sums_.thread; }
  void thread_was_softirq() {
    for (std::size_t w = 0; w < works; ++w) sums_.interrupt[w] += sums_.thread[w] - thread_noted_[w];
    sums_.thread = thread_noted_;
  }

  void waited(std::uint64_t began, std::uint64_t now) { add(began, now, Work::lock_wait); }
  void held(std::uint64_t began, std::uint64_t now) { add(began, now, Work::hypervisor); }
  void invalidated(std::uint64_t began, std::uint64_t now) { add(began, now, Work::invalidation); }
  /// The guest polled for what a thread of the hypervisor did, which itself waited so long. settle(now,
  /// Work::hypervisor) follows.
  void polled(std::uint64_t began, std::uint64_t now, std::uint64_t lock, std::uint64_t invalidation) {
    add(began, now, Work::invalidation, invalidation);
    add(began, now, Work::lock_wait, lock);
  }

  /// Settles the time until `now` as `outer`, but for what was told of it meanwhile.
  void settle(std::uint64_t now, Work outer);

 private:
  struct Span {
    std::uint64_t began = 0, ended = 0, length = 0;
    Work work{};
  };
  static constexpr std::size_t most_spans = 16;

  void add(std::uint64_t began, std::uint64_t now, Work work, std::uint64_t length);
  void add(std::uint64_t began, std::uint64_t now, Work work) { add(began, now, work, now - std::min(began, now)); }

  WorkSums sums_;
  WorkTimes thread_noted_{};
  std::uint64_t settled_ = 0;
  std::array<Span, most_spans> spans_{};
  std::size_t span_count_ = 0;
};

}  // namespace gnomon::observe
