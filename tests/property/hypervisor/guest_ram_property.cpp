// SPDX-License-Identifier: Apache-2.0
// For any size, place and seed: the map of guest memory is one to one, and bytes come back as they were written.
#include <rapidcheck.h>

#include <catch2/catch.hpp>
#include <vector>

#include "models/base/natural_split.hpp"
#include "models/memory/guest_ram.hpp"

using namespace gnomon;

TEST_CASE("guest memory maps one to one onto its part of host memory") {
  PhysicalMemory memory(64 << 20);
  const bool ok = rc::check([&] {
    const auto chunks = *rc::gen::inRange<std::uint64_t>(1, 4000);
    const auto base = *rc::gen::inRange<std::uint64_t>(0, 1000);
    const GuestRam ram(memory, Hpa::from_page(base), chunks << page_shift, Backing::pages_4k,
                       *rc::gen::arbitrary<std::uint64_t>());
    std::vector<bool> taken(chunks, false);
    for (std::uint64_t chunk = 0; chunk < chunks; ++chunk) {
      const std::uint64_t page = ram.to_hpa(Gpa::from_page(chunk)).page() - base;
      RC_ASSERT(page < chunks);
      RC_ASSERT(!taken[page]);
      taken[page] = true;
    }
  });
  CHECK(ok);
}

TEST_CASE("guest memory keeps its bytes") {
  PhysicalMemory memory(1 << 20);
  const bool ok = rc::check([&] {
    GuestRam ram(memory, Hpa{0}, 40 << page_shift, Backing::pages_4k, *rc::gen::arbitrary<std::uint64_t>());
    std::vector<std::uint8_t> model(ram.size(), 0);
    ram.write_bytes(Gpa{0}, model.data(), model.size());
    for (int i = 0; i < 20; ++i) {
      const auto at = *rc::gen::inRange<std::uint64_t>(0, ram.size());
      const auto length = *rc::gen::inRange<std::uint64_t>(0, ram.size() - at + 1);
      const auto value = *rc::gen::arbitrary<std::uint8_t>();
      std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(at), length, value);
      ram.write_bytes(Gpa{at}, model.data() + at, length);
    }
    std::vector<std::uint8_t> out(ram.size());
    ram.read_bytes(Gpa{0}, out.data(), out.size());
    RC_ASSERT(out == model);
  });
  CHECK(ok);
}

TEST_CASE("a natural split covers any range with aligned powers of two, the fewest there are") {
  const bool ok = rc::check([](std::uint64_t a, std::uint64_t b) {
    const auto first = std::min(a, b);
    const auto last = std::max(a, b);
    std::uint64_t next = first;
    std::uint64_t previous = 0;
    bool descending = false;
    for (const auto [base, size] : NaturalSplit(first, last)) {
      RC_ASSERT(base == next);
      RC_ASSERT(std::has_single_bit(size));
      RC_ASSERT((base & (size - 1)) == 0);
      // Sizes climb, then descend, strictly but at the turn: two equal neighbours elsewhere would have been one
      // piece.
      if (previous != 0 && size <= previous) {
        RC_ASSERT(!descending || size < previous);
        descending = true;
      } else {
        RC_ASSERT(!descending);
      }
      previous = size;
      next += size;
    }
    RC_ASSERT(next == last + 1);
  });
  CHECK(ok);
}
