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
  for (const std::size_t events :
       {std::size_t{0}, std::size_t{1}, EventBatches::batch_events, 3 * EventBatches::batch_events + 17}) {
    observe::TraceHash at_once, later;
    EventBatches batches;
    batches.add(later);
    test::RandomEvents{3}.run(events, [&](Time at, const trace::Event& e) {
      at_once.on_event(at, e);
      batches.on_event(at, e);
    });
    batches.pass_on();
    CHECK(later.value() == at_once.value());
  }
}

TEST_CASE("each sink is told of the kinds it wants, and a batch wants what any does") {
  EventBatches batches;
  CHECK(batches.wants().none());
  Kicks kicks;
  batches.add(kicks);
  CHECK(batches.wants() == kicks.wants());
  observe::TraceHash hash;
  batches.add(hash);
  CHECK(batches.wants().all());
  batches.on_event(Time::ns(1), trace::GuestKick{7, 0, 0});
  batches.on_event(Time::ns(2), trace::WindowOpened{1});
  batches.on_event(Time::ns(3), trace::GuestKick{8, 0, 0});
  CHECK(kicks.seen.empty());
  batches.pass_on();
  batches.pass_on();
  CHECK(kicks.seen == std::vector<std::uint64_t>{7, 8});
}
