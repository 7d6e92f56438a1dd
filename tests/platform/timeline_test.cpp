// SPDX-License-Identifier: Apache-2.0
// The timeline of whole runs, read back: arrows follow an I/O through everything it causes.
#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "tests/support/perfetto_trace.hpp"
#include "tests/support/whole_run.hpp"
#include "tests/unit/observe/scratch_folder.hpp"

namespace gnomon::test {
namespace {

using Steps = std::set<std::string>;

/// The steps each I/O's arrow goes through, by I/O.
std::map<std::uint64_t, Steps> arrows(const PerfettoTrace& trace) {
  std::map<std::uint64_t, Steps> of;
  for (const PerfettoEvent& e : trace.events) {
    for (const std::uint64_t id : e.flows) of[id].insert(e.name);
    for (const std::uint64_t id : e.ending_flows) of[id].insert(e.name);
  }
  return of;
}

std::size_t without(const std::map<std::uint64_t, Steps>& arrows, const std::string& step) {
  return static_cast<std::size_t>(
      std::count_if(arrows.begin(), arrows.end(), [&](const auto& arrow) { return !arrow.second.contains(step); }));
}

}  // namespace

TEST_CASE("in a whole run every I/O's arrow passes the steps of its kind") {
  const bool lazy = GENERATE(false, true);
  const ScratchFolder folder;
  scenario::Configuration c = lazy ? lazy_configuration() : base_configuration();
  c.jobs = {random_writes(4096, 8, 400)};  // more than a flush queue has slots
  const WholeRun run = run_whole(c, Keep::nothing, (folder / "t").string());
  REQUIRE(run.result.status == run::Status::ok);
  const PerfettoTrace trace = read_perfetto(folder / "t");
  CHECK(trace.broken_rules.empty());
  const auto of = arrows(trace);
  REQUIRE(of.size() > 50);
  for (const char* step : {"map", "dispatch", "fetch", "media busy", "post completion", "complete"}) {
    INFO(step);
    CHECK(without(of, step) == 0);
  }
  CHECK(without(of, lazy ? "unmap (deferred)" : "unmap") == 0);
  CHECK(without(of, "EPT_MISCONFIG") == 0);  // of the map, with iotlb_sync_map, or of the unmap
  std::size_t of_data = 0;
  for (const char* step : {"DMA read", "DMA write", "DMA read, page walk", "DMA write, page walk"})
    of_data += of.size() - without(of, step);
  CHECK(of_data == of.size());  // one page, one way
  // Of I/Os that share a doorbell or an interrupt one has the arrow.
  CHECK(without(of, "submission doorbell") < of.size());
  CHECK(without(of, "pending interrupt") < of.size());
  std::size_t flushed = 0;
  for (const auto& [io, steps] : of) flushed += steps.contains("flushed");
  CHECK((flushed > 0) == lazy);
  for (const char* track : {"exits of vCPU 0", "activity", "media, queue 1", "DMA"})
    CHECK(!trace.slices_on(track).empty());
}

}  // namespace gnomon::test
