// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/trace_hash.hpp"

#include <xxhash.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "tests/unit/observe/random_events.hpp"

using namespace gnomon;
using observe::TraceHash;

namespace {

struct Timed {
  Time at;
  trace::Event event;
};

std::vector<Timed> stream(std::uint64_t seed, std::size_t count) {
  std::vector<Timed> events;
  test::RandomEvents{seed}.run(count, [&](Time at, const trace::Event& e) { events.push_back({at, e}); });
  return events;
}

std::uint64_t hash(const std::vector<Timed>& events) {
  TraceHash hash;
  for (const Timed& t : events) hash.on_event(t.at, t.event);
  return hash.value();
}

/// The definition, in one piece: all bytes laid out, then hashed at once by the library.
std::uint64_t reference(const std::vector<Timed>& events) {
  std::vector<unsigned char> bytes;
  const auto append = [&](const auto& value) {
    const auto at = bytes.size();
    bytes.resize(at + sizeof value);
    std::memcpy(bytes.data() + at, &value, sizeof value);
  };
  for (const Timed& t : events) {
    append(t.at.ps());
    append(static_cast<std::uint32_t>(t.event.index()));
    std::visit([&](const auto& e) { append(e); }, t.event);
  }
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace

TEST_CASE("an empty run has XXH3's hash of nothing") {
  CHECK(TraceHash{}.value() == 0x2d06800538d394c2u);
}

TEST_CASE("the hash is XXH3 over time, kind and bytes of every event, however they fall into blocks") {
  for (const std::size_t count : {1u, 2u, 60u, 61u, 62u, 70u, 5000u}) {
    const auto events = stream(count, count);
    CHECK(hash(events) == reference(events));
  }
}

TEST_CASE("one event's hash is pinned: it may not change between builds or machines") {
  TraceHash hash;
  hash.on_event(Time::ns(1), trace::VmExit{500, 3, trace::ExitReason::hlt});
  // 8 bytes 1000, 4 bytes kind, 8 bytes 500, 4 bytes 3, 4 bytes 2, little-endian.
  const auto kind = static_cast<unsigned char>(trace::Event{trace::VmExit{}}.index());
  const unsigned char bytes[28] = {0xe8, 3, 0, 0, 0, 0, 0, 0, kind, 0, 0, 0, 0xf4,
                                   1,    0, 0, 0, 0, 0, 0, 3, 0,    0, 0, 2};
  CHECK(hash.value() == XXH3_64bits(bytes, sizeof bytes));
}

TEST_CASE("any difference is a different hash: a time, a kind, a field, the order, one event less") {
  auto events = stream(7, 300);
  const std::uint64_t original = hash(events);

  SECTION("a picosecond") {
    events[150].at += Time::ps(1);
  }
  SECTION("order") {
    events[150].event = trace::GuestKick{1, 0, 0};
    events[151].event = trace::GuestKick{2, 0, 0};
    const std::uint64_t before = hash(events);
    std::swap(events[150].event, events[151].event);
    CHECK(hash(events) != before);
  }
  SECTION("one event less") {
    events.pop_back();
  }
  SECTION("kind, with the same bytes") {
    events[0].event = trace::WindowOpened{5};
    const std::uint64_t opened = hash(events);
    events[0].event = trace::WindowClosed{5};
    CHECK(hash(events) != opened);
  }
  SECTION("a verdict") {
    events.push_back({events.back().at, trace::VerdictRaised{}});
  }
  CHECK(hash(events) != original);
}

TEST_CASE("asking for the value in between changes nothing") {
  const auto events = stream(9, 400);
  TraceHash asked;
  std::uint64_t last = asked.value();
  for (const Timed& t : events) {
    asked.on_event(t.at, t.event);
    CHECK(asked.value() != last);
    last = asked.value();
  }
  CHECK(asked.value() == hash(events));
}

TEST_CASE("checkpoints: the hash of every prefix they name, at counts that do not depend on the run", "[hash]") {
  const auto events = stream(3, 5000);
  TraceHash running;
  for (const Timed& t : events) running.on_event(t.at, t.event);
  std::uint64_t count = 0;
  for (const TraceHash::Checkpoint& checkpoint : running.checkpoints()) {
    CHECK(checkpoint.events == TraceHash::checkpoint_after(count));
    count = checkpoint.events;
    const std::vector<Timed> prefix(events.begin(), events.begin() + static_cast<std::ptrdiff_t>(count));
    CHECK(checkpoint.hash == reference(prefix));
    CHECK(checkpoint.at == prefix.back().at);
  }
  CHECK(count > 5000 - 5000 / 32);
  CHECK(running.value() == reference(events));
  CHECK(running.checkpoints_text().find("\n5000 ") != std::string::npos);
}
