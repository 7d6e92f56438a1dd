// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/human_log.hpp"

#include <spdlog/sinks/ostream_sink.h>

#include <catch2/catch.hpp>
#include <set>
#include <sstream>

#include "tests/unit/observe/random_events.hpp"

using namespace gnomon;
using observe::HumanLog;

namespace {

struct Fixture {
  explicit Fixture(spdlog::level::level_enum level) {
    logger->set_level(level);
    logger->set_pattern("%l|%v");
  }
  std::string line_of(Time at, const trace::Event& event) {
    text.str("");
    log.on_event(at, event);
    return text.str();
  }

  std::ostringstream text;
  std::shared_ptr<spdlog::logger> logger =
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
  HumanLog log{logger};
};

}  // namespace

TEST_CASE("a line has level, simulated time to the picosecond, and units") {
  Fixture f{spdlog::level::trace};
  CHECK(f.line_of(Time::ps(1'234'567'890), trace::MapReturned{0xfffbd000, 4096, 512'001, 1, 0, 2, 0}) ==
        "trace|        1234.567890 us  vCPU 0: map: domain 1, iova 0xfffbd000, 4096 B in 2 runs, took 0.512001 us, "
        "status 0\n");
  CHECK(f.line_of(Time::us(2), trace::VmExit{500'000, 3, trace::ExitReason::msr_write}) ==
        "trace|           2.000000 us  vCPU 3: VM exit MSR_WRITE, took 1.500000 us\n");
}

TEST_CASE("what is notable is told at info, and only that where the level is info") {
  Fixture f{spdlog::level::info};
  const Time at = Time::us(1);
  CHECK(f.line_of(at, trace::WindowOpened{4}) == "info|           1.000000 us  measured window opened, 4 jobs\n");
  CHECK(f.line_of(at, trace::VerdictRaised{0x1000, 4096, trace::Verdict::early_reuse, 2}) ==
        "info|           1.000000 us  sanitizer: early reuse: domain 2, iova 0x1000, 4096 B\n");
  CHECK(f.line_of(at, trace::DmaFault{0x2000, 0x10, 1, 6, 0}) ==
        "info|           1.000000 us  IOMMU: DMA write by 0x0010 faulted: iova 0x2000, reason 0x6\n");
  CHECK(f.line_of(at, trace::IoRequeued{9, 1, 28}) ==
        "info|           1.000000 us  vCPU 1: I/O 9 requeued: mapping failed, errno 28\n");
  CHECK(f.line_of(at, trace::ShadowMapped{0, 0, 4096, 0, 0, 12}).rfind("info|", 0) == 0);

  CHECK(f.line_of(at, trace::ShadowMapped{0, 0, 4096, 0, 0, 0}).empty());
  CHECK(f.line_of(at, trace::CommandCompleted{0, 0, 0, 0}).empty());
  CHECK(f.line_of(at, trace::DmaBurst{}).empty());
}

TEST_CASE("every event is one line at trace, and no two kinds read the same") {
  Fixture f{spdlog::level::trace};
  std::set<std::size_t> kinds;
  test::RandomEvents{3}.run(4000, [&](Time at, const trace::Event& event) {
    kinds.insert(event.index());
    const std::string line = f.line_of(at, event);
    REQUIRE(std::count(line.begin(), line.end(), '\n') == 1);
    REQUIRE(line.rfind(HumanLog::notable(event) ? "info|" : "trace|", 0) == 0);
    REQUIRE(line.find(" us  ") != std::string::npos);
  });
  CHECK(kinds.size() == std::variant_size_v<trace::Event>);
}
