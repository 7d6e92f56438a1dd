// SPDX-License-Identifier: Apache-2.0
// Several devices behind one vIOMMU: whose request is which.
#include "platform/conform/domains.hpp"

#include <catch2/catch.hpp>

using namespace gnomon;
using namespace gnomon::conform;
using Kind = Request::Kind;

namespace {

Request request(Kind kind, std::uint64_t iova, std::uint64_t physical, std::uint64_t domain) {
  return {kind, iova, 4096, physical, 1, 0, domain};
}

/// Two devices at the same addresses; one notification carries requests of both.
RecordedCommands commands() {
  RecordedCommands c;
  c.unit = Unit::virtio_iommu;
  c.stream.requests = {request(Kind::map, 0xfffff000, 0x1000, 2), request(Kind::map, 0xfffff000, 0x2000, 3),
                       request(Kind::unmap, 0xfffff000, 0, 3),    request(Kind::map, 0xffffe000, 0x3000, 2),
                       request(Kind::unmap, 0xfffff000, 0, 2),    request(Kind::map, 0xfffff000, 0x4000, 3)};
  c.stream.kicks = {0, 1, 2, 4};
  return c;
}

Recording recorded() {
  Recording r;
  r.cpus = 2;
  using Step = RecordedStep::Kind;
  const auto map = [&](std::uint64_t iova, std::uint64_t physical) {
    r.mappings.push_back({iova, 4096, gtrace::Direction::to_device, {{physical, 4096}}});
    r.steps.push_back({Step::map, 0, 0, iova, 4096, static_cast<std::uint32_t>(r.mappings.size() - 1)});
  };
  const auto unmap = [&](std::uint64_t iova, std::uint32_t mapping) {
    r.steps.push_back({Step::unmap, 1, 0, iova, 4096, mapping});
  };
  map(0xfffff000, 0x1000);
  map(0xfffff000, 0x2000);
  unmap(0xfffff000, 1);  // whose it is, the order of the UNMAP requests tells
  map(0xffffe000, 0x3000);
  unmap(0xfffff000, 0);
  map(0xfffff000, 0x4000);
  return r;
}

}  // namespace

TEST_CASE("a domain's requests and the kicks before them") {
  const RecordedCommands c = commands();
  CHECK(domains_of(c.stream) == std::vector<std::uint64_t>{2, 3});
  const CommandStream two = of_domain(c, 2).stream;
  REQUIRE(two.requests.size() == 3);
  CHECK(two.requests[1].physical == 0x3000);
  CHECK(two.kicks == std::vector<std::size_t>{0, 1, 2});
  CHECK(two.others);
  CHECK(of_domain(c, 3).stream.kicks == std::vector<std::size_t>{0, 1, 2});
}

TEST_CASE("a trace that names no device is parted by where its MAPs went") {
  const auto parts = by_domain(recorded(), commands());
  REQUIRE(parts.size() == 2);
  CHECK(parts[0].device == "domain 2");
  REQUIRE(parts[0].steps.size() == 3);
  CHECK(parts[0].mappings[parts[0].steps[2].mapping].runs.front().address == 0x1000);
  REQUIRE(parts[1].steps.size() == 3);
  CHECK(parts[1].steps[1].kind == RecordedStep::Kind::unmap);
  CHECK(parts[1].mappings[parts[1].steps[1].mapping].runs.front().address == 0x2000);
  CHECK(parts[0].unnamed == 0);

  CHECK(domain_of(commands(), parts[0]) == 2);
  Recording other = parts[0];
  for (RecordedStep& step : other.steps) step.iova = 0x5000;
  CHECK_FALSE(domain_of(commands(), other));  // no domain was asked for these
}

TEST_CASE("mappings no MAP tells of are counted") {
  Recording r = recorded();
  r.mappings[0].runs.front().address = 0x9000;
  const auto parts = by_domain(r, commands());
  REQUIRE(parts.size() == 2);
  CHECK(parts[0].unnamed == 2);  // the map and its unmap
  CHECK(parts[0].steps.size() + parts[1].steps.size() + parts[0].unnamed == r.steps.size());
}
