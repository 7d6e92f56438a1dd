// SPDX-License-Identifier: Apache-2.0
// The timeline's file: there whole or not at all, failed writes told, memory that does not grow.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <new>

#include "platform/observe/perfetto_timeline.hpp"
#include "tests/unit/observe/random_events.hpp"
#include "tests/unit/observe/scratch_folder.hpp"

using namespace gnomon;
using observe::PerfettoTimeline;
using test::ScratchFolder;

namespace {

std::size_t allocations = 0;

observe::TimelineOptions into(std::filesystem::path path) {
  observe::TimelineOptions options;
  options.path = std::move(path);
  return options;
}

/// No file of this process may grow beyond this, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int) = nullptr;
};

void tell(PerfettoTimeline& timeline, std::size_t events) {
  test::RandomEvents{1}.run(events, [&](Time at, const trace::Event& e) { timeline.on_event(at, e); });
}

}  // namespace

// All of this binary's, sanitizers included, so every form that pairs with a delete below.
void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc{};
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(bytes == 0 ? 1 : bytes);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

TEST_CASE("the file has its name only once it is whole") {
  ScratchFolder folder;
  {
    PerfettoTimeline timeline{into(folder / "t")};
    tell(timeline, 10'000);
    CHECK_FALSE(std::filesystem::exists(folder / "t"));
    CHECK(timeline.close() == std::error_code{});
    CHECK(timeline.close() == std::error_code{});
  }
  CHECK(std::filesystem::exists(folder / "t"));
  CHECK_FALSE(std::filesystem::exists(folder / "t.part"));
}

TEST_CASE("a run that dies leaves the old file as it was, and nothing half") {
  ScratchFolder folder;
  std::ofstream(folder / "t") << "old";
  {
    PerfettoTimeline timeline{into(folder / "t")};
    tell(timeline, 10'000);
  }
  std::ifstream old(folder / "t");
  std::string text;
  old >> text;
  CHECK(text == "old");
  CHECK_FALSE(std::filesystem::exists(folder / "t.part"));
}

TEST_CASE("a disk that fills up is told by close, and what fits is not kept") {
  ScratchFolder folder;
  const FileSizeLimit limit{100'000};
  PerfettoTimeline timeline{into(folder / "t")};
  tell(timeline, 20'000);
  CHECK(timeline.close() == std::errc::file_too_large);
  CHECK(folder.empty());
}

TEST_CASE("the very last write may fail too") {
  ScratchFolder folder;
  const FileSizeLimit limit{1000};
  PerfettoTimeline timeline{into(folder / "t")};  // all of it fits the buffer
  CHECK(timeline.close() == std::errc::file_too_large);
  CHECK(folder.empty());
}

TEST_CASE("a folder that is not there, and a name that is taken by a folder") {
  ScratchFolder folder;
  PerfettoTimeline nowhere{into(folder / "no" / "t")};
  tell(nowhere, 5'000);
  CHECK(nowhere.close() == std::errc::no_such_file_or_directory);

  std::filesystem::create_directory(folder / "t");
  PerfettoTimeline taken{into(folder / "t")};
  CHECK(taken.close() == std::errc::is_a_directory);
  CHECK_FALSE(std::filesystem::exists(folder / "t.part"));
}

TEST_CASE("events do not allocate; only a lane that was never needed before does") {
  ScratchFolder folder;
  PerfettoTimeline timeline{into(folder / "t")};
  test::RandomEvents events{2};
  const auto observe = [&](Time at, const trace::Event& e) { timeline.on_event(at, e); };
  events.run(200'000, observe);
  const std::size_t before = allocations;
  events.run(100'000, observe);
  CHECK(allocations - before < 100);  // of every kind there were more than 2000
  CHECK(timeline.close() == std::error_code{});
}
