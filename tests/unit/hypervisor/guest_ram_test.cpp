// SPDX-License-Identifier: Apache-2.0
#include "models/memory/guest_ram.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <set>

using namespace gnomon;

namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;
constexpr std::uint64_t gib = 1024 * mib;

}  // namespace

TEST_CASE("every backing puts its chunks somewhere else, each once, inside its part of host memory") {
  PhysicalMemory memory(8 * gib);
  struct Case {
    Backing backing;
    std::uint64_t chunk, bytes, base;
  };
  const auto c =
      GENERATE(Case{Backing::pages_4k, 4 * kib, 3 * mib, 5 * mib},
               Case{Backing::pages_4k, 4 * kib, 4 * kib, 4 * kib}, Case{Backing::pages_4k, 4 * kib, 12 * kib, 0},
               Case{Backing::thp_2m, 2 * mib, 1022 * mib, 4 * mib}, Case{Backing::hugetlb_1g, gib, 7 * gib, gib});
  GuestRam ram(memory, Hpa{c.base}, c.bytes, c.backing, 1);
  CHECK(ram.chunk_bytes() == c.chunk);
  std::set<std::uint64_t> seen;
  for (std::uint64_t at = 0; at < c.bytes; at += c.chunk) {
    const Hpa hpa = ram.to_hpa(Gpa{at});
    CHECK(hpa.value % c.chunk == 0);
    CHECK(hpa.value >= c.base);
    CHECK(hpa.value < c.base + c.bytes);
    CHECK(ram.to_hpa(Gpa{at + c.chunk - 1}) == hpa + (c.chunk - 1));
    CHECK(ram.contiguous_bytes(Gpa{at}) == c.chunk);
    CHECK(ram.contiguous_bytes(Gpa{at + c.chunk - 1}) == 1);
    seen.insert(hpa.value);
  }
  CHECK(seen.size() == c.bytes / c.chunk);
}

TEST_CASE("fragmented memory has no two neighbours that stayed neighbours") {
  PhysicalMemory memory(64 * mib);
  GuestRam ram(memory, Hpa{0}, 64 * mib, Backing::pages_4k, GENERATE(1u, 2u, 77u));
  for (std::uint64_t at = 0; at + page_size < ram.size(); at += page_size) {
    REQUIRE(ram.to_hpa(Gpa{at + page_size}) != ram.to_hpa(Gpa{at}) + page_size);
  }
}

TEST_CASE("the layout is a function of the seed") {
  PhysicalMemory memory(64 * mib);
  const GuestRam a(memory, Hpa{0}, 64 * mib, Backing::pages_4k, 1);
  const GuestRam b(memory, Hpa{0}, 64 * mib, Backing::pages_4k, 1);
  const GuestRam c(memory, Hpa{0}, 64 * mib, Backing::pages_4k, 2);
  unsigned moved = 0;
  for (std::uint64_t at = 0; at < 64 * mib; at += page_size) {
    REQUIRE(a.to_hpa(Gpa{at}) == b.to_hpa(Gpa{at}));
    if (a.to_hpa(Gpa{at}) != c.to_hpa(Gpa{at})) ++moved;
  }
  CHECK(moved > 1000);
}

TEST_CASE("on bare metal an address is itself, contiguous to the end") {
  PhysicalMemory memory(16 * mib);
  const GuestRam ram = GuestRam::identity(memory, 10 * mib + 4096);
  CHECK(ram.to_hpa(Gpa{0x123456}) == Hpa{0x123456});
  CHECK(ram.contiguous_bytes(Gpa{0}) == 10 * mib + 4096);
  CHECK(ram.contiguous_bytes(Gpa{10 * mib}) == 4096);
  CHECK(ram.chunk_bytes() == 10 * mib + 4096);
}

TEST_CASE("an object over a chunk's edge lies in two places") {
  PhysicalMemory memory(mib);
  GuestRam ram(memory, Hpa{0}, mib, Backing::pages_4k, 1);
  ram.write(Gpa{4096 - 3}, std::uint64_t{0x8877665544332211});
  CHECK(ram.read<std::uint64_t>(Gpa{4096 - 3}) == 0x8877665544332211);
  CHECK(memory.read<std::uint8_t>(ram.to_hpa(Gpa{4095})) == 0x33);
  CHECK(memory.read<std::uint8_t>(ram.to_hpa(Gpa{4096})) == 0x44);

  std::array<std::uint8_t, 9000> out;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(i * 7);
  ram.write_bytes(Gpa{100}, out.data(), out.size());
  std::array<std::uint8_t, 9000> in{};
  ram.read_bytes(Gpa{100}, in.data(), in.size());
  CHECK(in == out);
}

TEST_CASE("nothing outside guest memory can be reached") {
  PhysicalMemory memory(2 * mib);
  GuestRam ram(memory, Hpa{mib}, mib, Backing::pages_4k, 1);
  CHECK(ram.contains(Gpa{mib - 8}, 8));
  CHECK_FALSE(ram.contains(Gpa{mib - 8}, 9));
  CHECK_FALSE(ram.contains(Gpa{~std::uint64_t{0}}, 2));
  CHECK_FALSE(ram.contains(Gpa{8}, ~std::uint64_t{0}));
  CHECK_THROWS_AS(ram.to_hpa(Gpa{mib}), BadGuestAccess);
  CHECK_THROWS_AS(ram.contiguous_bytes(Gpa{mib}), BadGuestAccess);
  CHECK_THROWS_AS(ram.read<std::uint64_t>(Gpa{mib - 4}), BadGuestAccess);
  CHECK_THROWS_AS(ram.write(Gpa{~std::uint64_t{0} - 2}, std::uint64_t{1}), BadGuestAccess);
  CHECK_THROWS_AS(GuestRam(memory, Hpa{0}, mib, Backing::thp_2m, 1), std::invalid_argument);
  CHECK_THROWS_AS(GuestRam(memory, Hpa{mib}, 2 * mib, Backing::pages_4k, 1), std::invalid_argument);
  CHECK_THROWS_AS(GuestRam(memory, Hpa{0}, 0, Backing::pages_4k, 1), std::invalid_argument);
}
