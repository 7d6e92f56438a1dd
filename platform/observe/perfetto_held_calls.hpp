// SPDX-License-Identifier: Apache-2.0
// Slices of one vCPU that have their place on the timeline but are not written: whose I/O they are is said later.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>

#include "platform/observe/perfetto_timeline.hpp"
#include "platform/observe/perfetto_writer.hpp"

namespace gnomon::observe::perfetto {

/// A call to the DMA API, or an exit within one.
struct HeldCall {
  /// Whose it is: `known` (or no one's), of the I/O that is dispatched next, or of the call that returns next
  /// around it.
  enum class Whose : std::uint8_t { known, next_dispatch, next_return };

  /// Of what was in its place nothing is left: it is filled there, not copied.
  void start(std::uint64_t called, std::initializer_list<Annotation> said, Whose is) {
    name = called;
    annotation_count = 0;
    for (const Annotation& annotation : said) annotations[annotation_count++] = annotation;
    flow = {};
    whose = is;
    maps = false;
  }

  std::uint64_t track = 0;
  std::uint64_t began = 0, ended = 0;  ///< ns, as drawn
  std::uint64_t called_ns = 0;         ///< when it began, also where that is before the window
  std::uint64_t name = 0;
  std::array<Annotation, 4> annotations{};
  std::uint32_t annotation_count = 0;
  std::uint32_t domain = 0;
  std::uint64_t iova = 0;
  Flow flow{};
  Whose whose = Whose::known;
  bool maps = false;  ///< `iova` of `domain`, for that I/O
};

/// In the order they were told. All of a row go through here while one waits, or a lane's slices would be written
/// out of order. Memory is constant: the oldest makes room.
class HeldCalls {
 public:
  bool empty() const { return count_ == 0; }
  bool full() const { return count_ == calls_.size(); }
  HeldCall& oldest() { return calls_[first_]; }
  void drop_oldest() {
    first_ = (first_ + 1) % calls_.size();
    --count_;
  }
  HeldCall& next() { return calls_[(first_ + count_) % calls_.size()]; }  ///< where it is not full
  void keep_next() { ++count_; }
  void clear() { first_ = count_ = 0; }

  /// The exits inside a call that returns are whose the call is.
  void claim_exits(const HeldCall& call) {
    for_each([&](HeldCall& exit) {
      if (exit.whose != HeldCall::Whose::next_return || exit.called_ns < call.called_ns) return;
      exit.whose = call.whose;
      exit.flow = call.flow;
    });
  }
  bool waits() {
    bool any = false;
    for_each([&](const HeldCall& call) { any = any || call.whose != HeldCall::Whose::known; });
    return any;
  }
  template <class Visit>
  void for_each(Visit&& visit) {
    for (std::size_t i = 0; i < count_; ++i) visit(calls_[(first_ + i) % calls_.size()]);
  }

 private:
  std::array<HeldCall, PerfettoTimeline::most_held_calls> calls_;
  std::size_t first_ = 0, count_ = 0;
};

}  // namespace gnomon::observe::perfetto
