// SPDX-License-Identifier: Apache-2.0
// Any bytes as a .gtrace, and as the inside of a block, which a checksum does not guard here: refused, or read, and
// what was read is the same when it is written again.
#include "platform/gtrace/format.hpp"
#include "platform/gtrace/print.hpp"
#include "platform/gtrace/reader.hpp"
#include "tests/fuzz/target.hpp"

using namespace gnomon;
using namespace gnomon::gtrace;
using fuzz::promise;

namespace {

void read_file(std::string_view bytes) {
  MemorySource source{bytes};
  try {
    GtraceReader reader{source};
    Event event;
    std::uint64_t count = 0;
    for (; reader.next(event); ++count) static_cast<void>(to_text(event, reader));
    promise(count == reader.events(), "as many events as the footer says");
  } catch (const GtraceError&) {
  }
}

void read_block(std::string_view bytes) {
  constexpr std::uint64_t strings = 3;
  BlockDecoder decoder{bytes, strings};
  BlockEncoder encoder;
  std::vector<Event> events;
  try {
    for (Event event; events.size() < 10'000 && decoder.next(event);) {
      promise(event.device < strings && event.name < strings, "strings there are");
      promise(event.runs.size() <= most_runs, "runs in bounds");
      encoder.add(event);
      events.push_back(event);
    }
  } catch (const GtraceError&) {
  }
  BlockDecoder again{encoder.bytes(), strings};
  Event event;
  for (const Event& expected : events) promise(again.next(event) && event == expected, "the same events again");
  promise(!again.next(event), "and no more");
}

void read_footer(std::string_view bytes) {
  try {
    const Footer footer = decode_footer(bytes, header_size);
    promise(decode_footer(encode(footer), header_size) == footer, "the same footer again");
  } catch (const GtraceError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read_file(bytes);
  read_block(bytes);
  read_footer(bytes);
  return 0;
}
