// SPDX-License-Identifier: Apache-2.0
// Result folders: built aside, swapped in, never half.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <string>

#include "platform/run/output_folder.hpp"
#include "tests/unit/run/file_fixture.hpp"
#include "tests/unit/run/process_fixture.hpp"

using namespace gnomon::run;
using namespace gnomon::run::test;
using Names = std::vector<std::string>;

namespace {

void fill(const fs::path& folder, const std::string& text) {
  put(folder / "summary.json", text);
  fs::create_directories(folder / "strict/deep");
  put(folder / "strict/deep/trace", text);
}

void make_old_result(const fs::path& folder) {
  fs::create_directories(folder);
  fill(folder, "old");
  put(folder / "only-in-old", "old");
}

const Names new_names{"out", "out/strict", "out/strict/deep", "out/strict/deep/trace", "out/summary.json"};
const Names old_names{
    "out", "out/only-in-old", "out/strict", "out/strict/deep", "out/strict/deep/trace", "out/summary.json"};

void write_new(const fs::path& target, FaultHook faults = {}) {
  OutputFolder out{target, std::move(faults)};
  fill(out.path(), "new");
  out.commit();
}

}  // namespace

TEST_CASE("a result folder appears whole, with the parents it needs", "[run][files]") {
  const Folder folder;
  {
    OutputFolder out{folder / "a/b/out/"};
    fill(out.path(), "new");
    CHECK_FALSE(fs::exists(folder / "a/b/out"));
    out.commit();
  }
  CHECK(read(folder / "a/b/out/summary.json") == "new");
  CHECK(read(folder / "a/b/out/strict/deep/trace") == "new");
  CHECK(std::distance(fs::directory_iterator{folder / "a/b"}, {}) == 1);
}

TEST_CASE("not committed: nothing was there, not even the parents", "[run][files]") {
  const Folder folder;
  fs::create_directory(folder / "a");
  {
    OutputFolder out{folder / "a/b/c/out"};
    fill(out.path(), "new");
    CHECK(folder.names().size() > 4);
  }
  CHECK(folder.names() == Names{"a"});
}

TEST_CASE("a parent that somebody else uses stays", "[run][files]") {
  const Folder folder;
  {
    OutputFolder out{folder / "a/out"};
    put(folder / "a/other", "x");
  }
  CHECK(folder.names() == Names{"a", "a/other"});
}

TEST_CASE("an old result is replaced whole; an empty folder is used", "[run][files]") {
  const Folder folder;
  const bool old = GENERATE(true, false);
  if (old) {
    make_old_result(folder / "out");
  } else {
    fs::create_directory(folder / "out");
  }
  fs::permissions(folder / "out", fs::perms{0750});
  write_new(folder / "out");
  CHECK(folder.names() == new_names);
  CHECK(read(folder / "out/summary.json") == "new");
  CHECK(fs::status(folder / "out").permissions() == fs::perms{0750});
}

TEST_CASE("anything else is refused, and untouched", "[run][files]") {
  const Folder folder;
  fs::create_directory(folder / "precious");
  put(folder / "precious/thesis.tex", "x");
  put(folder / "file", "x");
  fs::create_symlink("nowhere", folder / "dangling");
  fs::create_directories(folder / "odd/summary.json");  // a folder by that name is no marker
  const auto before = folder.names();
  for (const char* target : {"precious", "precious/", "file", "dangling", "odd"})
    CHECK_THROWS_AS(OutputFolder(folder / target), OutputRefused);
  CHECK_THROWS_AS(OutputFolder("/"), OutputRefused);
  CHECK_THROWS_WITH(OutputFolder(folder / "precious"),
                    (folder / "precious").string() +
                        " is not empty and holds no summary.json: it is no result folder, and is not replaced");
  CHECK(folder.names() == before);
}

TEST_CASE("a folder that fills up during the run is not replaced", "[run][files]") {
  const Folder folder;
  fs::create_directory(folder / "out");
  {
    OutputFolder out{folder / "out"};
    fill(out.path(), "new");
    put(folder / "out/thesis.tex", "x");
    CHECK_THROWS_AS(out.commit(), OutputRefused);
  }
  CHECK(folder.names() == Names{"out", "out/thesis.tex"});
}

TEST_CASE("a symbolic link to a result folder stays a link", "[run][files]") {
  const Folder folder;
  fs::create_directory(folder / "disk");
  make_old_result(folder / "disk/out");
  fs::create_directory_symlink("disk/out", folder / "latest");
  write_new(folder / "latest");
  CHECK(fs::is_symlink(folder / "latest"));
  CHECK(read(folder / "disk/out/summary.json") == "new");
  CHECK_FALSE(fs::exists(folder / "disk/out/only-in-old"));
}

TEST_CASE("a link inside an old result is removed, not followed", "[run][files]") {
  const Folder folder;
  fs::create_directory(folder / "elsewhere");
  put(folder / "elsewhere/precious", "x");
  make_old_result(folder / "out");
  fs::create_directory_symlink(folder / "elsewhere", folder / "out/link");
  write_new(folder / "out");
  CHECK(read(folder / "elsewhere/precious") == "x");
}

TEST_CASE("an old result of a thousand files goes whole", "[run][files]") {
  const Folder folder;
  make_old_result(folder / "out");
  for (int i = 0; i < 1000; ++i) put(folder / ("out/strict/trace-with-a-long-name-" + std::to_string(i)), "x");
  write_new(folder / "out");
  CHECK(folder.names() == new_names);
}

TEST_CASE("the k-th operation fails: the old result or the new one, for every k", "[run][files]") {
  const bool replaces = GENERATE(false, true);
  const bool persistent = GENERATE(false, true);
  std::vector<FileOperation> failed;
  for (unsigned k = 1;; ++k) {
    REQUIRE(k < 100);
    const Folder folder;
    if (replaces) make_old_result(folder / "out");
    Faults faults{k, EIO, persistent};
    try {
      write_new(folder / "out", faults.hook());
      REQUIRE_FALSE(faults.hit);
      REQUIRE(folder.names() == new_names);
      break;
    } catch (const IoError& io) {
      REQUIRE(faults.hit);
      REQUIRE(io.operation() == faults.last);
      REQUIRE(io.code().value() == EIO);
      failed.push_back(io.operation());
    }
    const bool swapped = std::count(failed.begin(), failed.end(), FileOperation::rename) > 0 &&
                         failed.back() != FileOperation::rename;
    REQUIRE(folder.names() == (swapped ? new_names : replaces ? old_names : Names{}));
    if (!folder.names().empty()) REQUIRE(read(folder / "out/summary.json") == (swapped ? "new" : "old"));
  }
  using enum FileOperation;
  std::vector expected{make_folder, open, sync, rename, open, sync};
  if (replaces) expected.push_back(remove);
  CHECK(failed == expected);
}

TEST_CASE("a file system that cannot exchange: aside, in, and back again", "[run][files]") {
  const Folder folder;
  make_old_result(folder / "out");
  const unsigned failing_rename = GENERATE(0u, 2u, 3u);  // of: exchange, old aside, new in, old to the temporary
  unsigned renames = 0;
  const FaultHook faults = [&](FileOperation operation) {
    if (operation != FileOperation::rename) return 0;
    ++renames;
    return renames == 1 ? EINVAL : renames == failing_rename ? EIO : 0;
  };
  if (failing_rename == 0) {
    write_new(folder / "out", faults);
    CHECK(folder.names() == new_names);
  } else {
    CHECK_THROWS_AS(write_new(folder / "out", faults), IoError);
    CHECK(folder.names() == old_names);
    CHECK(read(folder / "out/summary.json") == "old");
  }
  CHECK(renames >= 2);
}

TEST_CASE("a parent that cannot be made is an error, and what was made goes", "[run][files]") {
  const Folder folder;
  put(folder / "file", "x");
  CHECK_THROWS_AS(OutputFolder(folder / "file/sub/out"), IoError);
  for (unsigned k = 1; k <= 3; ++k) {
    Faults faults{k, ENOSPC, false};
    CHECK_THROWS_AS(OutputFolder(folder / "a/b/out", faults.hook()), IoError);
    CHECK(folder.names() == Names{"file"});
  }
}

TEST_CASE("a termination signal removes what is not committed and exits as shells expect", "[run][files]") {
  const int signal = GENERATE(SIGINT, SIGTERM, SIGHUP);
  const Folder folder;
  make_old_result(folder / "out");
  const auto before = folder.names();
  const int end = run_alone([&] {
    install_termination_handlers();
    OutputFolder first{folder / "out"};
    fill(first.path(), "new");
    OutputFolder second{folder / "a/b/out"};
    fill(second.path(), "new");
    { OutputFolder gone{folder / "gone/out"}; }
    std::raise(signal);
    return 0;
  });
  CHECK(end == 128 + signal);
  CHECK(folder.names() == before);
  CHECK(read(folder / "out/summary.json") == "old");
}

TEST_CASE("an ignored hangup stays ignored", "[run][files]") {
  CHECK(run_alone([] {
          std::signal(SIGHUP, SIG_IGN);
          install_termination_handlers();
          std::raise(SIGHUP);
          return 5;
        }) == 5);
}
