// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/event_batches.hpp"

#include <catch2/catch.hpp>

#include "platform/observe/trace_hash.hpp"
#include "tests/unit/observe/random_events.hpp"

using namespace gnomon;
using observe::EventBatches;

namespace {

struct Kicks final : trace::Sink {
  trace::KindSet wants() const override { return trace::kinds<trace::GuestKick>(); }
  void on_event(Time, const trace::Event& event) override {
    seen.push_back(std::get<trace::GuestKick>(event).requests);
  }
  std::vector<std::uint64_t> seen;
};

}  // namespace

TEST_CASE("sinks behind a batch are told what they would be told at once") {
  for (const std::size_t events : {std::size_t{0}, std::size_t{1}, std::size_t{1000}, std::size_t{20'000}}) {
    observe::TraceHash at_once, passing, later;
    EventBatches batches;
    batches.add(later);
    passing.pass_on_to(batches);
    test::RandomEvents{3}.run(events, [&](Time at, const trace::Event& e) {
      at_once.on_event(at, e);
      passing.on_event(at, e);
    });
    passing.pass_on();
    CHECK(later.value() == at_once.value());
    CHECK(passing.value() == at_once.value());
    CHECK(passing.checkpoints() == at_once.checkpoints());
  }
}

TEST_CASE("each sink is told of the kinds it wants") {
  EventBatches batches;
  CHECK(batches.empty());
  Kicks kicks;
  batches.add(kicks);
  CHECK(!batches.empty());
  observe::TraceHash passing, all;
  batches.add(all);
  passing.pass_on_to(batches);
  passing.on_event(Time::ns(1), trace::GuestKick{7, 0, 0});
  passing.on_event(Time::ns(2), trace::WindowOpened{1});
  passing.on_event(Time::ns(3), trace::GuestKick{8, 0, 0});
  CHECK(kicks.seen.empty());
  passing.pass_on();
  passing.pass_on();
  CHECK(kicks.seen == std::vector<std::uint64_t>{7, 8});
  CHECK(all.value() == passing.value());
}
