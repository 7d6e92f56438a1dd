// SPDX-License-Identifier: Apache-2.0
// Command streams side by side.
#include "platform/conform/comparison.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace gnomon;
using namespace gnomon::conform;
using guest::ReplayStep;
using Kind = Request::Kind;

namespace {

Request map(std::uint64_t iova, std::uint32_t step) {
  return {Kind::map, iova, 4096, 0x5000, 1, step};
}
Request unmap(std::uint64_t iova, std::uint32_t step) {
  return {Kind::unmap, iova, 4096, 0, 0, step};
}
ReplayStep on(std::uint16_t cpu, ReplayStep::Kind kind) {
  return {kind, cpu, 0, Time{}, Time{}};
}

// CPU 0: unmap 1000, unmap 2000, map 3000, map 4000; CPU 1: map 5000.
const std::vector<ReplayStep> steps{on(0, ReplayStep::Kind::unmap), on(0, ReplayStep::Kind::unmap),
                                    on(0, ReplayStep::Kind::map), on(0, ReplayStep::Kind::map),
                                    on(1, ReplayStep::Kind::map)};

CommandStream simulated() {
  return {{unmap(0x1000, 0), unmap(0x2000, 1), map(0x3000, 2), map(0x4000, 3), map(0x5000, 4)}, {0, 1, 2, 3, 4}, 0};
}

}  // namespace

TEST_CASE("equal streams conform, kick by kick") {
  const Comparison c = compare(simulated(), simulated(), Overlap{steps});
  CHECK(c.conforms());
  CHECK(c.exchanged == 0);
  CHECK(c.kicks.equal == 5);
}

TEST_CASE("the first difference is found, whatever differs") {
  const Overlap overlap{steps};
  CommandStream recorded = simulated();
  SECTION("an address") {
    recorded.requests[2].iova = 0x9000;
  }
  SECTION("a size") {
    recorded.requests[2].bytes = 8192;
  }
  SECTION("a physical address") {
    recorded.requests[2].physical = 0x6000;
  }
  SECTION("flags") {
    recorded.requests[2].flags = 2;
  }
  SECTION("a kind") {
    recorded.requests[2].kind = Kind::pages;
  }
  const Comparison c = compare(recorded, simulated(), overlap);
  REQUIRE(c.first);
  CHECK(c.first->recorded == 2);
  CHECK(c.first->simulated == 2);
  CHECK(context(recorded, simulated(), *c.first).find(">        2") != std::string::npos);
}

TEST_CASE("a stream that ends early or goes on differs there") {
  CommandStream shorter = simulated();
  shorter.requests.pop_back();
  CHECK(compare(shorter, simulated(), Overlap{steps}).first->simulated == 4);
  CHECK(compare(simulated(), shorter, Overlap{steps}).first->recorded == 4);
}

TEST_CASE("what a trace does not tell is not compared") {
  CommandStream recorded = simulated();
  recorded.requests[0].iova = recorded.requests[0].bytes = unknown;
  CHECK(compare(recorded, simulated(), Overlap{steps}).conforms());
}

TEST_CASE("an interrupt's unmaps may come into a map, and no further") {
  const Overlap overlap{steps};
  CommandStream recorded = simulated();
  SECTION("the unmap right before the map") {
    std::swap(recorded.requests[1], recorded.requests[2]);
    const Comparison c = compare(recorded, simulated(), overlap);
    CHECK(c.conforms());
    CHECK(c.exchanged == 1);
  }
  SECTION("two unmaps of one interrupt") {
    std::rotate(recorded.requests.begin(), recorded.requests.begin() + 2, recorded.requests.begin() + 3);
    CHECK(compare(recorded, simulated(), overlap).conforms());
  }
  SECTION("two unmaps keep their order") {
    std::swap(recorded.requests[0], recorded.requests[1]);
    CHECK_FALSE(compare(recorded, simulated(), overlap).conforms());
  }
  SECTION("two maps of a CPU keep theirs") {
    std::swap(recorded.requests[2], recorded.requests[3]);
    CHECK_FALSE(compare(recorded, simulated(), overlap).conforms());
  }
  SECTION("an unmap does not pass the map before the one it came into") {
    std::rotate(recorded.requests.begin() + 1, recorded.requests.begin() + 2, recorded.requests.begin() + 4);
    CHECK_FALSE(compare(recorded, simulated(), overlap).conforms());
  }
  SECTION("CPUs do not wait for each other") {
    std::swap(recorded.requests[3], recorded.requests[4]);
    CHECK(compare(recorded, simulated(), overlap).conforms());
  }
}

TEST_CASE("kicks that differ are counted by cause") {
  CommandStream recorded = simulated();
  recorded.kicks = {0, 1, 3, 4, 5};  // the map's went with the unmap's; the last announced nothing
  CommandStream ours = simulated();
  ours.kicks = {0, 1, 2, 3};  // the last map went with another CPU's
  const Comparison c = compare(recorded, ours, Overlap{steps});
  CHECK(c.kicks.equal == 3);
  CHECK(c.kicks.shared == 1);
  CHECK(c.kicks.separate == 1);
  CHECK(c.kicks.empty == 1);
  CHECK(c.kicks.empty_simulated == 0);
  CHECK(c.conforms());
}

TEST_CASE("a kick more or less without an overlap does not conform") {
  CommandStream recorded = simulated();
  recorded.kicks = {0, 2, 3, 4};  // two unmaps of one CPU do not share one
  const Comparison c = compare(recorded, simulated(), Overlap{steps});
  CHECK_FALSE(c.first);
  CHECK(c.kicks.unexplained == 1);
  CHECK_FALSE(c.conforms());
}
