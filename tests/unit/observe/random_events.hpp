// SPDX-License-Identifier: Apache-2.0
// Streams of every kind of event with small numbers, so that spans overlap, ties happen and links collide.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "models/base/random.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon::test {

class RandomEvents {
 public:
  explicit RandomEvents(std::uint64_t seed) : random_(seed, "events") {}

  /// Emits `count` events; time stands still or moves on by up to 3 ns.
  template <class Emit>
  void run(std::size_t count, Emit&& emit) {
    for (std::size_t i = 0; i < count; ++i) {
      now_ += random_.below(4) == 0 ? 0 : random_.below(3000);
      emit(Time::ps(now_), any());
    }
  }

 private:
  using u32 = std::uint32_t;
  using u64 = std::uint64_t;

  u32 few() { return static_cast<u32>(random_.below(4)); }
  u64 page() { return random_.below(32) << 12; }
  u64 bytes() { return (random_.below(8) + 1) << 12; }
  u64 span() { return std::min(now_, random_.below(20'000)); }
  u64 past() { return now_ - span(); }
  u64 recent_io() { return next_io_ - std::min(next_io_ - 1, random_.below(12)); }
  template <class Enum>
  Enum one_of(u64 n) {
    return static_cast<Enum>(random_.below(n));
  }

  trace::Event any() {
    using namespace trace;
    switch (random_.below(50)) {
      case 0: return WindowOpened{few()};
      case 1: return WindowClosed{few()};
      case 2: return IoSubmitted{++next_io_, page(), bytes(), few(), few(), one_of<Direction>(2), few()};
      case 3: return IoDispatched{recent_io(), few(), few(), few(), few()};
      case 4: return IoCompleted{recent_io(), few(), 0};
      case 5: return IoReaped{recent_io(), bytes(), span(), few(), few(), one_of<Direction>(2), 0};
      case 6: return IoRequeued{recent_io(), few(), 28};
      case 7: return MappingAdded{page(), page(), bytes(), few(), few(), 1, 1};
      case 8: return MappingRemoved{page(), bytes(), few(), few()};
      case 9: return MapReturned{page(), bytes(), span(), few(), few(), few() + 1, few() == 0 ? 28u : 0u};
      case 10: return UnmapReturned{page(), bytes(), span(), few(), few(), few() & 1, 0};
      case 11: return FlushQueueFlushed{past(), few(), few(), one_of<FlushCause>(2), 0};
      case 12: return SyncDone{past(), few(), few(), one_of<Sync>(4), 0};
      case 13: return GuestRequest{page(), bytes(), page(), few(), few(), one_of<RequestType>(8), 0};
      case 14: return GuestKick{few(), few(), few() & 1};
      case 15: return VmExit{past(), few(), one_of<ExitReason>(6)};
      case 16: return CpuSpan{past(), few(), one_of<Activity>(5)};
      case 17: return LockAcquired{random_.below(2) * span(), few(), few()};
      case 18: return LockReleased{span(), few(), few()};
      case 19: return InterruptRaised{few(), few()};
      case 20: return InterruptTaken{past(), few(), few()};
      case 21: return RequestServed{page(), bytes(), few(), few(), one_of<RequestType>(8), few()};
      case 22: return ShadowMapped{page(), page(), bytes(), span(), few(), 0};
      case 23: return ShadowUnmapped{page(), bytes(), span(), few(), 0};
      case 24: return PagesPinned{1, random_.below(1000)};
      case 25: return PagesUnpinned{1, random_.below(1000)};
      case 26: return IoThreadWoken{past(), few(), 0};
      case 27: return DmaFault{page(), few(), few() & 1, 5, 0};
      case 28: return IotlbInvalidated{page(), bytes(), few(), one_of<Granularity>(4), few(), few() & 1};
      case 29: return InvalidationSubmitted{few(), 2};
      case 30: return InvalidationWaitDone{past()};
      case 31: return Doorbell{few(), few(), few() & 1, few()};
      case 32: return CommandFetched{few(), few(), few(), 0};
      case 33: return MediaBusy{past(), now_ + span(), few(), few(), few(), few()};
      case 34: return CommandCompleted{few(), few(), few(), 0};
      case 35: return VerdictRaised{page(), bytes(), one_of<Verdict>(7), few()};
      case 36: return GuestTableRead{random_.below(1u << 20)};
      case 37: return DmaApiRound{span(), span(), few(), few()};
      case 38: return VfioTornDown{span(), span(), few(), few(), few(), few()};
      case 39: return PacketsDropped{bytes(), few(), few(), few() + 1, 0};
      case 40: return PollReturned{past(), bytes(), few(), few(), few(), few(), few(), few(), few() & 1, 0};
      case 41: return StreamMoved{bytes(), few(), few(), one_of<Direction>(2), 0};
      case 42: return DriverCallsMade{few(), few()};
      case 43:
        return SmmuMaintained{span(), span(), span(), span(), few(), few(), one_of<Sync>(4), few(), few(), few(),
                              few(),  0};
      case 44: return StreamUnderrun{page(), past(), now_ + span(), few(), few() & 1};
      case 47: return StrayAccess{page(), bytes(), few(), few() & 1, few() & 1, 0};
      case 46: return Retransmitted{bytes(), few(), few(), few() + 1, 0};
      case 45: return CommandTimes{span(), span(), span(), few(), few(), few(), 0};
      case 48:
        return TranslationsRefreshed{page(), bytes(), past(), few(), few(), one_of<RefreshCause>(4), few() == 0 ? 12u : 0u};
      default:
        return DmaBurst{page(), page(), bytes(), now_ + span(), few(), few(), few() & 1, few() & 1, few(), 0};
    }
  }

  RandomStream random_;
  u64 now_ = 0;
  u64 next_io_ = 1;
};

static_assert(std::variant_size_v<trace::Event> == 50, "every kind of event has its case above");

}  // namespace gnomon::test
