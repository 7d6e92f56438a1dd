// SPDX-License-Identifier: Apache-2.0
// Replays whole: what a device does through the mappings, and where the time of each call went.
#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <numeric>

#include "guest/replay/replay_workload.hpp"
#include "platform/observe/call_blame.hpp"
#include "tests/support/whole_run.hpp"

namespace gnomon::test {
namespace {

constexpr unsigned mappings = 40;
constexpr std::uint64_t pages_of(unsigned mapping) {
  return 1 + mapping % 17;
}

/// Two CPUs that map and unmap, some mappings on one and unmapped on the other.
std::shared_ptr<const guest::ReplayScript> script() {
  using Kind = guest::ReplayStep::Kind;
  auto script = std::make_shared<guest::ReplayScript>();
  script->cpus = 2;
  for (unsigned i = 0; i < mappings; ++i) {
    const std::uint64_t bytes = pages_of(i) * page_size;
    script->runs.push_back({Gpa{(std::uint64_t{i} + 1) << 20}, bytes});
    script->mappings.push_back({i, 1, bytes, {i % 3 != 0, i % 3 != 1}});
  }
  for (unsigned i = 0; i < mappings; ++i) {
    const Time at = Time::us(30 * i);
    const auto cpu = static_cast<std::uint16_t>(i % 2);
    const auto other = static_cast<std::uint16_t>(i % 5 == 0 ? 1 - cpu : cpu);
    script->steps.push_back({Kind::map, cpu, i, at, Time::us(1)});
    script->steps.push_back({Kind::unmap, other, i, at + Time::us(i % 4 == 0 ? 2 : 20), Time{}});
  }
  return script;
}

scenario::Configuration replaying(bool lazy, bool accesses) {
  scenario::Configuration c = lazy ? lazy_configuration() : base_configuration();
  c.guest.vcpus = 2;
  c.jobs.clear();
  c.benchmark = guest::ReplaySpec{script(), guest::ReplayPacing::closed, 1'000'000, accesses};
  return c;
}

TEST_CASE("a device uses each page of each mapping once, while it is mapped, in its direction") {
  const WholeRun run = run_whole(replaying(GENERATE(false, true), true), Keep::events);
  REQUIRE(run.result.status == run::Status::ok);
  struct Live {
    std::uint64_t iova, bytes, used;
  };
  std::vector<Live> live;
  std::uint64_t pages = 0, bursts = 0, reads = 0;
  for (const TimedEvent& e : run.events) {
    if (const auto* map = std::get_if<trace::MapReturned>(&e.event)) live.push_back({map->iova, map->bytes, 0});
    if (const auto* burst = std::get_if<trace::DmaBurst>(&e.event)) {
      ++bursts;
      reads += burst->write == 0;
      const auto mapping = std::find_if(live.begin(), live.end(), [&](const Live& l) {
        return burst->iova >= l.iova && burst->iova - l.iova < l.bytes;
      });
      REQUIRE(mapping != live.end());
      REQUIRE(burst->iova == mapping->iova + mapping->used);  // in order, none twice
      mapping->used += burst->bytes;
    }
    if (const auto* unmap = std::get_if<trace::UnmapReturned>(&e.event)) {
      const auto mapping =
          std::find_if(live.begin(), live.end(), [&](const Live& l) { return l.iova == unmap->iova; });
      REQUIRE(mapping != live.end());
      REQUIRE(mapping->used == mapping->bytes);
      live.erase(mapping);
    }
  }
  std::uint64_t to_device = 0;
  for (unsigned i = 0; i < mappings; ++i) {
    pages += pages_of(i);
    to_device += i % 3 == 1 ? pages_of(i) : 0;
  }
  CHECK(bursts == pages);
  CHECK(reads == to_device);
  CHECK(run.metric("iotlb.hits") + run.metric("iotlb.misses") == static_cast<double>(pages));
  CHECK(run.metric("iotlb.misses") > 0);
  CHECK(run.metric("dma.faults") == 0);
  CHECK(run.result.verdicts == 0);
}

TEST_CASE("the device's accesses cost the CPUs nothing and change no order") {
  const bool lazy = GENERATE(false, true);
  const auto of_cpus = [](const WholeRun& run) {
    std::vector<std::pair<Time, std::size_t>> order;
    for (const TimedEvent& e : run.events) {
      if (std::holds_alternative<trace::DmaBurst>(e.event)) continue;
      order.emplace_back(e.at, e.event.index());
    }
    return order;
  };
  const WholeRun with = run_whole(replaying(lazy, true), Keep::events);
  const WholeRun without = run_whole(replaying(lazy, false), Keep::events);
  CHECK(with.metric("dma.bytes") > 0);
  CHECK(without.metric("dma.bytes") == 0);
  CHECK(of_cpus(with) == of_cpus(without));
}

TEST_CASE("the parts of every map and unmap call of a replay sum to its time") {
  const bool lazy = GENERATE(false, true);
  const WholeRun run = run_whole(replaying(lazy, true), Keep::events);
  observe::CallBlame blame;
  unsigned calls = 0;
  const auto sum = [&] {
    const auto& parts = blame.last().parts;
    return std::accumulate(parts.begin(), parts.end(), std::uint64_t{0});
  };
  for (const TimedEvent& e : run.events) {
    blame.on_event(e.at, e.event);
    std::uint64_t took = 0;
    if (const auto* map = std::get_if<trace::MapReturned>(&e.event)) took = map->took_ps;
    if (const auto* unmap = std::get_if<trace::UnmapReturned>(&e.event)) took = unmap->took_ps;
    if (took == 0) continue;
    ++calls;
    REQUIRE(blame.last().took == took);
    REQUIRE(sum() == took);
  }
  CHECK(calls == 2 * mappings);
  const auto mean = [&](const std::string& call) {
    double parts = 0;
    for (const auto& [name, value] : run.result.metrics) parts += name.starts_with("blame." + call) ? value : 0;
    return parts;
  };
  CHECK(mean("map.") == Approx(run.metric("api.map_ns.mean")));
  CHECK(mean("unmap.") == Approx(run.metric("api.unmap_ns.mean")));  // no queue was full
  CHECK(run.metric("guest.flush_queue.full_flushes") == 0);
  CHECK((run.metric("blame.unmap.host_invalidation_ns") > 0) == !lazy);
  CHECK((run.metric("blame.unmap.hypervisor_ns") > 0) == !lazy);
}

}  // namespace
}  // namespace gnomon::test
