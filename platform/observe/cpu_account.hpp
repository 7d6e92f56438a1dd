// SPDX-License-Identifier: Apache-2.0
// What a processor did with its time, as running sums by cause, built from spans that are told when they end.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
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
inline WorkTimes& operator+=(WorkTimes& a, const WorkTimes& b) {
  for (std::size_t w = 0; w < works; ++w) a[w] += b[w];
  return a;
}

/// The sums at an instant: in thread context, in interrupts and softirqs, in either.
struct WorkSums {
  WorkTimes thread{}, interrupt{}, both{};
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
  void settle(std::uint64_t now, Work outer) {
    if (now <= settled_) return;
    const std::uint64_t length = now - settled_;
    const bool nothing_told = span_count_ == 0 || first_began_ >= now;
    did(outer, nothing_told ? length : length - settle_spans(now, outer));
    settled_ = now;
  }

 private:
  struct Span {
    std::uint64_t began = 0, length = 0;
    Work work{};
  };
  static constexpr std::size_t most_spans = 16;

  void did(Work work, std::uint64_t time) {
    const auto w = static_cast<std::size_t>(work);
    (in_interrupt ? sums_.interrupt : sums_.thread)[w] += time;
    sums_.both[w] += time;
  }
  std::uint64_t settle_spans(std::uint64_t now, Work outer);
  void add(std::uint64_t began, std::uint64_t now, Work work, std::uint64_t length) {
    if (length == 0 || now <= settled_) return;
    began = std::max(began, settled_);
    length = std::min(length, now - began);
    first_began_ = span_count_ == 0 ? began : std::min(first_began_, began);
    if (span_count_ == most_spans) return lengthen(work, length);
    spans_[span_count_++] = {began, length, work};
  }
  void lengthen(Work work, std::uint64_t length);
  void add(std::uint64_t began, std::uint64_t now, Work work) { add(began, now, work, now - std::min(began, now)); }

  WorkSums sums_;
  WorkTimes thread_noted_{};
  std::uint64_t settled_ = 0;
  std::array<Span, most_spans> spans_{};
  std::size_t span_count_ = 0;
  std::uint64_t first_began_ = 0;  // of the spans
};

}  // namespace gnomon::observe
