// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/cpu_account.hpp"

namespace gnomon::observe {

void CpuAccount::add(std::uint64_t began, std::uint64_t now, Work work, std::uint64_t length) {
  if (length == 0 || now <= settled_) return;
  began = std::max(began, settled_);
  length = std::min(length, now - began);
  if (span_count_ < most_spans) {
    spans_[span_count_++] = {began, now, length, work};
    return;
  }
  // An exit that serves a whole ring: the last span of its kind stands for the later ones too.
  for (std::size_t i = most_spans; i-- > 0;) {
    if (spans_[i].work != work) continue;
    spans_[i].ended = now;
    spans_[i].length += length;
    return;
  }
}

void CpuAccount::settle(std::uint64_t now, Work outer) {
  if (now <= settled_) return;
  WorkTimes& sums = in_interrupt ? sums_.interrupt : sums_.thread;
  const std::uint64_t length = now - settled_;
  if (span_count_ == 0) {
    sums[static_cast<std::size_t>(outer)] += length;
    settled_ = now;
    return;
  }
  WorkTimes inner{};
  std::size_t kept = 0;
  for (std::size_t i = 0; i < span_count_; ++i) {
    if (spans_[i].began >= now) {
      spans_[kept++] = spans_[i];
    } else {
      inner[static_cast<std::size_t>(spans_[i].work)] += spans_[i].length;
    }
  }
  span_count_ = kept;
  // A lock held by the guest, or by a thread that serves requests, is what its holder does anyway.
  auto& held = inner[static_cast<std::size_t>(Work::hypervisor)];
  const std::uint64_t invalidation = std::min(inner[static_cast<std::size_t>(Work::invalidation)], length);
  const std::uint64_t lock_wait = std::min(inner[static_cast<std::size_t>(Work::lock_wait)], length - invalidation);
  held = outer == Work::exit ? std::min(held - std::min(held, invalidation), length - invalidation - lock_wait) : 0;
  sums[static_cast<std::size_t>(Work::invalidation)] += invalidation;
  sums[static_cast<std::size_t>(Work::lock_wait)] += lock_wait;
  sums[static_cast<std::size_t>(Work::hypervisor)] += held;
  sums[static_cast<std::size_t>(outer)] += length - invalidation - lock_wait - held;
  settled_ = now;
}

}  // namespace gnomon::observe
