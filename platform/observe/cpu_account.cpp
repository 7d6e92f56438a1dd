// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/cpu_account.hpp"

namespace gnomon::observe {

/// An exit that serves a whole ring: the last span of its kind stands for the later ones too.
void CpuAccount::lengthen(Work work, std::uint64_t length) {
  for (std::size_t i = most_spans; i-- > 0;) {
    if (spans_[i].work != work) continue;
    spans_[i].length += length;
    return;
  }
}

/// What was told of the time until `now`: how much of it is no longer `outer`'s.
std::uint64_t CpuAccount::settle_spans(std::uint64_t now, Work outer) {
  std::uint64_t lock_wait = 0, held = 0, invalidation = 0;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < span_count_; ++i) {
    const Span& span = spans_[i];
    if (span.began >= now) {
      first_began_ = kept == 0 ? span.began : std::min(first_began_, span.began);
      spans_[kept++] = span;
    } else {
      (span.work == Work::hypervisor ? held : span.work == Work::lock_wait ? lock_wait : invalidation) += span.length;
    }
  }
  span_count_ = kept;
  const std::uint64_t length = now - settled_;
  invalidation = std::min(invalidation, length);
  lock_wait = std::min(lock_wait, length - invalidation);
  // A lock held by the guest, or by a thread that serves requests, is what its holder does anyway.
  held = outer == Work::exit ? std::min(held - std::min(held, invalidation), length - invalidation - lock_wait) : 0;
  did(Work::invalidation, invalidation);
  did(Work::lock_wait, lock_wait);
  did(Work::hypervisor, held);
  return invalidation + lock_wait + held;
}

}  // namespace gnomon::observe
