// SPDX-License-Identifier: Apache-2.0
// Locks between processors: who gets it, when, and what is told of it.
#include "models/cpu/core/lock.hpp"

#include <array>
#include <string>

#include "tests/support/fake_processors.hpp"
#include "tests/support/recorder.hpp"
#include "tests/support/time_text.hpp"

namespace gnomon::test {
namespace {

constexpr Time acquire = Time::ns(10);
constexpr Time hand_over = Time::ns(50);

struct Bench {
  explicit Bench(LockKind kind, unsigned processors, std::uint64_t seed = 1)
      : all(processors), lock(7, kind, {acquire, hand_over}, RandomStream(seed, "lock"), tracer) {
    tracer.add(recorder);
  }
  /// The processor asks for the lock at each of `asks` (or when it is back) and holds it for `hold`.
  void load(unsigned processor, std::vector<Time> asks, Time hold) {
    all.load(processor, [this, asks, hold](Processor& p) {
      for (const Time at : asks) {
        if (at > p.now()) p.spend(at - p.now());
        lock.acquire(p);
        p.spend(hold);
        lock.release(p);
      }
    });
  }
  /// "0@10 1@160 ...": who acquired it when, in nanoseconds.
  std::string history() const {
    std::string text;
    for (const auto& [at, e] : of_kind<trace::LockAcquired>(recorder.events)) {
      text += std::to_string(e.cpu) + "@" + std::to_string(at.ns()) + " ";
    }
    return text;
  }

  trace::Tracer tracer;
  Recorder recorder;
  FakeProcessors all;
  Lock lock;
};

TEST_CASE("an uncontended lock costs its atomic operation") {
  const LockKind kind = GENERATE(LockKind::queued, LockKind::test_and_set);
  Bench b(kind, 1);
  b.load(0, {Time::ns(100)}, Time::ns(300));
  REQUIRE(b.all.run());
  const auto [taken_at, taken] = of_kind<trace::LockAcquired>(b.recorder.events).at(0);
  const auto [released_at, released] = of_kind<trace::LockReleased>(b.recorder.events).at(0);
  CHECK(taken_at == Time::ns(110));
  CHECK(taken.waited_ps == 0);
  CHECK(taken.lock == 7);
  CHECK(released_at == Time::ns(410));
  CHECK(released.held_ps == Time::ns(300).ps());
  CHECK_FALSE(b.lock.held());
}

TEST_CASE("queued: first come, first served, each after a hand-over") {
  Bench b(LockKind::queued, 4);
  b.load(0, {Time{}}, Time::ns(100));
  b.load(3, {Time::ns(1)}, Time::ns(100));
  b.load(1, {Time::ns(2)}, Time::ns(100));
  b.load(2, {Time::ns(3)}, Time::ns(100));
  REQUIRE(b.all.run());
  CHECK(b.history() == "0@10 3@160 1@310 2@460 ");
  const auto taken = of_kind<trace::LockAcquired>(b.recorder.events);
  CHECK(taken[1].second.waited_ps == Time::ns(160 - 11).ps());
  CHECK(taken[3].second.waited_ps == Time::ns(460 - 13).ps());
  for (const auto& [at, released] : of_kind<trace::LockReleased>(b.recorder.events)) {
    CHECK(released.held_ps == Time::ns(100).ps());
  }
}

TEST_CASE("queued: a releaser that comes back at once goes to the end of the queue") {
  Bench b(LockKind::queued, 3);
  b.load(0, {Time{}, Time{}, Time{}}, Time::ns(100));
  b.load(1, {Time::ns(1)}, Time::ns(100));
  b.load(2, {Time::ns(2)}, Time::ns(100));
  REQUIRE(b.all.run());
  CHECK(b.history() == "0@10 1@160 2@310 0@460 0@570 ");
}

TEST_CASE("queued: the lock is the next one's from the release on, before he knows") {
  Bench b(LockKind::queued, 3);
  b.load(0, {Time{}}, Time::ns(100));
  b.load(1, {Time::ns(1)}, Time::ns(100));
  b.load(2, {Time::ns(115)}, Time::ns(100));  // finds it between release at 110 and hand-over at 160
  REQUIRE(b.all.run());
  CHECK(b.history() == "0@10 1@160 2@310 ");
}

TEST_CASE("test-and-set: the releaser takes it again before the hand-over, and the waiter goes on spinning") {
  Bench b(LockKind::test_and_set, 2);
  b.load(0, {Time{}, Time{}, Time{}, Time::ns(500)}, Time::ns(100));
  b.load(1, {Time::ns(1)}, Time::ns(100));
  REQUIRE(b.all.run());
  // 0 holds to 110, again 120 to 220, again 230 to 330 and then stays away: only then 1 gets it, at 330 + 50.
  CHECK(b.history() == "0@10 0@120 0@230 1@380 0@510 ");
  CHECK(of_kind<trace::LockAcquired>(b.recorder.events)[3].second.waited_ps == Time::ns(380 - 11).ps());
}

TEST_CASE("test-and-set: a releaser that comes back after the hand-over finds it taken") {
  const std::uint64_t back =
      GENERATE(149, 150, 151);  // plus 10 for the atomic operation; the waiter sees it at 160
  Bench b(LockKind::test_and_set, 2);
  b.load(0, {Time{}, Time::ns(back)}, Time::ns(100));
  b.load(1, {Time::ns(1)}, Time::ns(100));
  REQUIRE(b.all.run());
  const bool in_time = back < 150 || back == 150;  // at the same instant the lower number is nearer
  CHECK(b.history() == (in_time ? "0@10 0@" + std::to_string(back + 10) + " 1@" + std::to_string(back + 160) + " "
                                : std::string("0@10 1@160 0@310 ")));
}

TEST_CASE("test-and-set: a newcomer is as good as those who have waited") {
  Bench b(LockKind::test_and_set, 3);
  b.load(0, {Time{}}, Time::ns(100));
  b.load(1, {Time::ns(1)}, Time::ns(100));
  b.load(2, {Time::ns(105)}, Time::ns(100));
  REQUIRE(b.all.run());
  CHECK(b.history() == "0@10 2@115 1@265 ");
}

TEST_CASE("test-and-set: which waiter sees it first is drawn, by the seed alone") {
  std::array<int, 4> first{};
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    std::string history;
    for (int repeat = 0; repeat < 2; ++repeat) {
      Bench b(LockKind::test_and_set, 4, seed);
      b.load(0, {Time{}}, Time::ns(100));
      for (unsigned i = 1; i < 4; ++i) b.load(i, {Time::ns(i)}, Time::ns(1));
      REQUIRE(b.all.run());
      if (repeat == 1) CHECK(b.history() == history);
      history = b.history();
    }
    CHECK(history.substr(0, 6) == "0@10 " + history.substr(5, 1));
    ++first[static_cast<std::size_t>(history[5] - '0')];
  }
  for (std::size_t i = 1; i < 4; ++i) CHECK(first[i] > 8);  // of 60, 20 each on average
}

TEST_CASE("under any mixture of hold times exactly one holds it, and everybody gets his turns") {
  const LockKind kind = GENERATE(LockKind::queued, LockKind::test_and_set);
  const std::uint64_t seed = GENERATE(range(1, 9));
  Bench b(kind, 5, seed);
  RandomStream random(seed, "holds");
  for (unsigned i = 0; i < 5; ++i) {
    std::vector<Time> asks;
    for (int n = 0; n < 40; ++n) asks.push_back(Time::ns(random.below(20'000)));
    b.load(i, asks, Time::ns(1 + random.below(90)));
  }
  REQUIRE(b.all.run());
  std::array<int, 5> turns{};
  bool held = false;
  bool exclusive = true;
  for (const TimedEvent& e : b.recorder.events) {
    const bool taken = std::holds_alternative<trace::LockAcquired>(e.event);
    exclusive = exclusive && held != taken;
    held = taken;
    if (taken) ++turns[std::get<trace::LockAcquired>(e.event).cpu];
  }
  CHECK(exclusive);
  CHECK(turns == std::array<int, 5>{40, 40, 40, 40, 40});
}

TEST_CASE("a lock that is never released is a deadlock one can ask about") {
  Bench b(LockKind::queued, 2);
  b.all.load(0, [&](Processor& p) { b.lock.acquire(p); });
  b.load(1, {Time::ns(1)}, Time::ns(1));
  CHECK_FALSE(b.all.run());
  CHECK(b.lock.held());
  CHECK(b.lock.owner()->id() == 0);
  CHECK(b.lock.waiting() == 1);
}

}  // namespace
}  // namespace gnomon::test
