// SPDX-License-Identifier: Apache-2.0
// Whatever events are written, the same are read.
#include <rapidcheck.h>

#include <catch2/catch.hpp>

#include "platform/gtrace/fields.hpp"
#include "platform/gtrace/reader.hpp"
#include "platform/gtrace/writer.hpp"

using namespace gnomon::gtrace;

namespace {

constexpr std::uint64_t strings = 5;

rc::Gen<std::uint64_t> any_number() {
  return rc::gen::oneOf(rc::gen::inRange<std::uint64_t>(0, 100), rc::gen::arbitrary<std::uint64_t>(),
                        rc::gen::just(unknown), rc::gen::just(std::uint64_t{0}));
}

/// An event with something in every field its kind has.
Event any_event() {
  Event e;
  e.kind = static_cast<EventKind>(*rc::gen::inRange<int>(0, event_kinds));
  e.time_ns = *any_number();
  e.lane = *any_number();
  e.task = *any_number();
  for_each_field(e, [](const char*, Style style, auto& field) {
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (std::is_same_v<Field, std::vector<Run>>) {
      const auto count = *rc::gen::inRange<std::size_t>(0, 5);
      for (std::size_t i = 0; i < count; ++i) field.push_back({*any_number(), *any_number()});
    } else if constexpr (std::is_same_v<Field, Direction>) {
      field = static_cast<Direction>(*rc::gen::inRange<int>(0, directions));
    } else if constexpr (std::is_same_v<Field, Operation>) {
      field = static_cast<Operation>(*rc::gen::inRange<int>(0, operations));
    } else {
      field = style == Style::string ? *rc::gen::inRange<std::uint64_t>(0, strings) : *any_number();
    }
  });
  return e;
}

}  // namespace

TEST_CASE("events, streams and strings survive a gtrace") {
  REQUIRE(rc::check([] {
    std::string bytes;
    GtraceWriter writer{[&](std::string_view piece) { bytes += piece; }};
    for (const char* text : {"a", "b", "nvme0n1", "\xff"}) static_cast<void>(writer.strings().intern(text));
    std::vector<std::vector<Event>> written;
    std::vector<Stream> about;
    const auto streams = *rc::gen::inRange<std::size_t>(0, 4);
    for (std::size_t s = 0; s < streams; ++s) {
      writer.begin_stream();
      auto& events = written.emplace_back();
      const auto count = *rc::gen::inRange<std::size_t>(0, 40);
      for (std::size_t i = 0; i < count; ++i) {
        events.push_back(any_event());
        writer.add(events.back());
      }
      Stream stream;
      stream.name = std::to_string(s);
      stream.tallies = {{"map", 3, 4, "why"}};
      stream.notes = {{"note", s}};
      about.push_back(writer.end_stream(stream));
    }
    writer.finish();

    MemorySource source{bytes};
    GtraceReader reader{source};
    RC_ASSERT(reader.streams() == about);
    Event event;
    for (std::size_t s = 0; s < streams; ++s) {
      for (const Event& expected : written[s]) {
        RC_ASSERT(reader.next(event));
        RC_ASSERT(reader.stream() == s);
        RC_ASSERT(event == expected);
      }
    }
    RC_ASSERT(!reader.next(event));
  }));
}
