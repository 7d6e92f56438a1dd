// SPDX-License-Identifier: Apache-2.0
// Every event of the first three I/Os of a run: a difference is a change of behaviour, told by its first line.
#include <spdlog/sinks/ostream_sink.h>

#include "platform/observe/human_log.hpp"
#include "tests/golden/golden_file.hpp"
#include "tests/support/whole_run.hpp"

namespace gnomon::test {
namespace {

std::string transcript(const Events& events) {
  std::ostringstream text;
  const auto logger =
      std::make_shared<spdlog::logger>("golden", std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
  logger->set_level(spdlog::level::trace);
  logger->set_pattern("%v");
  observe::HumanLog log{logger};
  bool running = false;
  int reaped = 0;
  for (const TimedEvent& e : events) {
    running = running || std::holds_alternative<trace::IoSubmitted>(e.event);
    if (!running) continue;
    log.on_event(e.at, e.event);
    if (std::holds_alternative<trace::IoReaped>(e.event) && ++reaped == 3) break;
  }
  return text.str();
}

TEST_CASE("the first three I/Os of a strict run, 4 KiB at depth 1") {
  check_golden("strict-4k.txt", transcript(run_whole(base_configuration(), Keep::events).events));
}

TEST_CASE("the first three I/Os of a lazy run, 4 KiB at depth 1") {
  check_golden("lazy-4k.txt", transcript(run_whole(lazy_configuration(), Keep::events).events));
}

}  // namespace
}  // namespace gnomon::test
