// SPDX-License-Identifier: Apache-2.0
// Recorded memory in the simulated guest: contiguity and alignment stay.
#include "guest/replay/placement.hpp"

#include <catch2/catch.hpp>

using namespace gnomon;
using guest::RecordedMemory;
using guest::Run;

TEST_CASE("runs keep their contiguity and their offset in a block as large as the largest") {
  const std::vector<Run> runs{{Gpa{0x8d41000}, 0x10000}, {Gpa{0x8d51000}, 0x3000}, {Gpa{0x1000}, 0x1000}};
  guest::GuestPages pages(Gpa{0x1'0000'0000}, Gpa{0x2'0000'0000});
  const RecordedMemory memory(runs, pages);
  const Gpa first = memory.place(Gpa{0x8d41000});
  CHECK(first.value % 0x10000 == 0x8d41000 % 0x10000);
  CHECK(memory.place(Gpa{0x8d51000}) - first == 0x10000);  // contiguous before, contiguous now
  CHECK(memory.place(Gpa{0x1000}).value % 0x10000 == 0x1000);
  for (const Run& run : runs)
    for (std::uint64_t at = 0; at < run.bytes; at += page_size)
      CHECK(memory.recorded(memory.place(run.start + at)) == run.start + at);
}

TEST_CASE("what was apart does not come together") {
  const std::vector<Run> runs{{Gpa{0x1000}, 0x1000}, {Gpa{0x3000}, 0x1000}};
  guest::GuestPages pages(Gpa{0x100'0000}, Gpa{0x200'0000});
  const RecordedMemory memory(runs, pages);
  CHECK(memory.place(Gpa{0x3000}) - memory.place(Gpa{0x1000}) != 0x1000);
  CHECK_THROWS_AS(memory.place(Gpa{0x2000}), std::invalid_argument);
}

TEST_CASE("memory that does not suffice is refused, and the need is known before") {
  const std::vector<Run> runs{{Gpa{0}, std::uint64_t{1} << 21}};
  guest::GuestPages small(Gpa{0x100'0000}, Gpa{0x110'0000});
  CHECK_THROWS_AS(RecordedMemory(runs, small), std::bad_alloc);
  const std::uint64_t need = RecordedMemory::bytes_for(runs);
  guest::GuestPages enough(Gpa{0x100'1000}, Gpa{0x100'1000 + need});
  CHECK_NOTHROW(RecordedMemory(runs, enough));
}
