// SPDX-License-Identifier: Apache-2.0
// A gtrace is read as it was written, and nothing that is not whole and undamaged is read at all.
#include <catch2/catch.hpp>

#include "platform/gtrace/format.hpp"
#include "platform/gtrace/wire.hpp"
#include "tests/unit/trace_import/import_fixture.hpp"

using namespace gnomon;
using namespace gnomon::gtrace;
using trace_import::test::excerpt;
using trace_import::test::import_texts;

namespace {

std::size_t read_all(std::string_view bytes) {
  MemorySource source{bytes};
  GtraceReader reader{source};
  Event event;
  std::size_t count = 0;
  while (reader.next(event)) ++count;
  return count;
}

std::string small_file() {
  return import_texts({excerpt("virtio-boot-6.12.ftrace"), excerpt("fio-v2.log")}).bytes;
}

}  // namespace

TEST_CASE("every proper prefix of a gtrace is refused") {
  const std::string whole = small_file();
  REQUIRE(read_all(whole) == 42);
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_THROWS_AS(read_all(std::string_view{whole}.substr(0, size)), GtraceError);
}

TEST_CASE("a single changed bit anywhere is noticed") {
  std::string bytes = small_file();
  std::size_t unnoticed = 0;
  for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
    const char before = bytes[i / 8];
    bytes[i / 8] = static_cast<char>(before ^ (1 << i % 8));
    try {
      read_all(bytes);
      ++unnoticed;
    } catch (const GtraceError&) {
    }
    bytes[i / 8] = before;
  }
  CHECK(unnoticed == 0);
}

TEST_CASE("a version of later years is named") {
  std::string bytes = small_file();
  bytes[8] = 2;
  MemorySource source{bytes};
  CHECK_THROWS_WITH(GtraceReader{source}, Catch::Contains("version 2"));
}

TEST_CASE("the same events are the same bytes") {
  CHECK(small_file() == small_file());
}

TEST_CASE("streams are read alone, and again") {
  const std::string bytes = small_file();
  MemorySource source{bytes};
  GtraceReader reader{source};
  REQUIRE(reader.streams().size() == 2);
  Event event;
  for (const std::uint32_t stream : {1u, 0u, 1u}) {
    reader.rewind(stream);
    std::uint64_t count = 0;
    for (; reader.next(event); ++count) CHECK(reader.stream() == stream);
    CHECK(count == reader.streams()[stream].events);
  }
}

TEST_CASE("many blocks hold what was written, in order") {
  std::string bytes;
  GtraceWriter writer{[&](std::string_view piece) { bytes += piece; }};
  writer.begin_stream();
  constexpr std::uint64_t count = 200'000;
  Event event;
  event.kind = EventKind::io_submit;
  for (std::uint64_t i = 0; i < count; ++i) {
    event.time_ns = i * 1000;
    event.lba = i * 0x9e3779b97f4a7c15;
    event.command = i % 3 == 0 ? unknown : i;
    writer.add(event);
  }
  const Stream stream = writer.end_stream({});
  writer.finish();
  CHECK(stream.events == count);
  CHECK(stream.last_ns == (count - 1) * 1000);
  MemorySource source{bytes};
  GtraceReader reader{source};
  CHECK(reader.blocks() > 5);
  for (std::uint64_t i = 0; i < count; ++i) {
    REQUIRE(reader.next(event));
    if (event.time_ns != i * 1000 || event.lba != i * 0x9e3779b97f4a7c15 ||
        event.command != (i % 3 == 0 ? unknown : i))
      FAIL("event " << i);
  }
  CHECK_FALSE(reader.next(event));
}

TEST_CASE("varints are as long as they need to be, and no longer") {
  for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{127}, std::uint64_t{128}, ~std::uint64_t{0}}) {
    std::string bytes;
    put_varint(bytes, value);
    std::string_view in = bytes;
    std::uint64_t back = 1;
    REQUIRE(get_varint(in, back));
    CHECK(back == value);
    CHECK(in.empty());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      in = std::string_view{bytes}.substr(0, size);
      CHECK_FALSE(get_varint(in, back));
    }
  }
  std::string_view too_long{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10};
  std::uint64_t value = 0;
  CHECK_FALSE(get_varint(too_long, value));
}
