// SPDX-License-Identifier: Apache-2.0
// Whole or not at all, whatever fails and whenever.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "platform/run/atomic_file.hpp"
#include "tests/unit/run/file_fixture.hpp"
#include "tests/unit/run/process_fixture.hpp"

using namespace gnomon::run;
using namespace gnomon::run::test;
using Names = std::vector<std::string>;

namespace {

const std::string old_text = "the old contents";
const std::string new_text = std::string(200'000, 'n') + "end";  // several writes

// In pieces, some larger than the buffer.
void write_new(const fs::path& path, FaultHook faults = {}) {
  AtomicFile file{path, std::move(faults)};
  file.write(new_text.substr(0, 10));
  file.write(new_text.substr(10, 60'000));
  file.write(new_text.substr(60'010, 100'000));
  file.write(new_text.substr(160'010));
  file.commit();
}

}  // namespace

TEST_CASE("a file appears with its name and all its bytes", "[run][files]") {
  const Folder folder;
  {
    AtomicFile file{folder / "a.txt"};
    file.write("one ");
    file.write("two");
    CHECK_FALSE(fs::exists(folder / "a.txt"));
    file.commit();
    CHECK(read(folder / "a.txt") == "one two");
  }
  write_new(folder / "b.txt");
  CHECK((read(folder / "b.txt") == new_text));
  write_whole_file(folder / "empty", "");
  CHECK(folder.names() == Names{"a.txt", "b.txt", "empty"});
  CHECK(fs::file_size(folder / "empty") == 0);
}

TEST_CASE("a file that is not committed never was", "[run][files]") {
  const Folder folder;
  put(folder / "a.txt", old_text);
  {
    AtomicFile file{folder / "a.txt"};
    file.write(new_text);
  }
  CHECK(read(folder / "a.txt") == old_text);
  CHECK(folder.names() == Names{"a.txt"});
}

TEST_CASE("the k-th operation fails: an error that names it, and a whole file, for every k", "[run][files]") {
  const bool replaces = GENERATE(false, true);
  const bool persistent = GENERATE(false, true);
  const int error = GENERATE(ENOSPC, EIO, EDQUOT);
  const Folder folder;
  std::vector<FileOperation> failed;
  for (unsigned k = 1;; ++k) {
    REQUIRE(k < 100);
    fs::remove(folder / "a.txt");
    if (replaces) put(folder / "a.txt", old_text);
    Faults faults{k, error, persistent};
    try {
      write_new(folder / "a.txt", faults.hook());
      REQUIRE_FALSE(faults.hit);
      break;
    } catch (const IoError& io) {
      REQUIRE(faults.hit);
      REQUIRE(io.operation() == faults.last);
      REQUIRE(io.code().value() == error);
      REQUIRE(std::string{io.what()}.starts_with(std::string{name_of(faults.last)} + " " + folder.path().string()));
      REQUIRE(std::string{io.what()}.ends_with(std::generic_category().message(error)));
      failed.push_back(io.operation());
    }
    const bool renamed = std::count(failed.begin(), failed.end(), FileOperation::rename) > 0 &&
                         failed.back() != FileOperation::rename;  // only the folder's sync was left
    if (renamed) {
      REQUIRE((read(folder / "a.txt") == new_text));
    } else {
      REQUIRE(fs::exists(folder / "a.txt") == replaces);
      if (replaces) REQUIRE(read(folder / "a.txt") == old_text);
    }
    REQUIRE(folder.names() == (renamed || replaces ? Names{"a.txt"} : Names{}));
  }
  using enum FileOperation;
  CHECK(failed == std::vector{open, write, write, write, sync, close, rename, open, sync});
  CHECK((read(folder / "a.txt") == new_text));
}

TEST_CASE("an interrupted operation is repeated, and nothing is written twice", "[run][files]") {
  const Folder folder;
  for (unsigned k = 1; k <= 9; ++k) {
    Faults faults{k, EINTR, false};
    REQUIRE_NOTHROW(write_new(folder / "a.txt", faults.hook()));
    REQUIRE(faults.hit);
    REQUIRE((read(folder / "a.txt") == new_text));
  }
  CHECK(folder.names() == Names{"a.txt"});
}

TEST_CASE("a real full disk is an error, and a device stays one", "[run][files]") {
  try {
    write_whole_file("/dev/full", "x");
    FAIL("took it");
  } catch (const IoError& io) {
    CHECK(io.operation() == FileOperation::write);
    CHECK(io.code().value() == ENOSPC);
    CHECK(std::string{io.what()} == "write /dev/full: No space left on device");
  }
  CHECK(fs::is_character_file("/dev/full"));
  CHECK_NOTHROW(write_whole_file("/dev/null", "x"));
  CHECK(fs::is_character_file("/dev/null"));
}

TEST_CASE("/dev/stdout goes where standard output goes, behind what is there", "[run][files]") {
  const Folder folder;
  const int end = run_alone([&] {
    if (std::freopen((folder / "out").c_str(), "w", stdout) == nullptr) return 1;
    std::printf("before ");
    std::fflush(stdout);
    write_whole_file("/dev/stdout", "between ");
    write_whole_file("/dev/fd/1", "after");
    return 0;
  });
  CHECK(end == 0);
  CHECK(read(folder / "out") == "before between after");
}

TEST_CASE("a symbolic link stays a link, a mode stays a mode", "[run][files]") {
  const Folder folder;
  fs::create_directory(folder / "sub");
  put(folder / "sub/real", old_text);
  fs::permissions(folder / "sub/real", fs::perms{0640});
  fs::create_symlink("sub/real", folder / "link");
  fs::create_symlink("link", folder / "link2");
  write_whole_file(folder / "link2", "new");
  CHECK(fs::is_symlink(folder / "link2"));
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(read(folder / "sub/real") == "new");
  CHECK(fs::status(folder / "sub/real").permissions() == fs::perms{0640});

  fs::create_symlink("absent", folder / "dangling");
  write_whole_file(folder / "dangling", "made");
  CHECK(read(folder / "absent") == "made");
  fs::create_symlink("loop", folder / "loop");
  CHECK_THROWS_AS(write_whole_file(folder / "loop", "x"), IoError);
  fs::remove(folder / "loop");
  CHECK(folder.names() == Names{"absent", "dangling", "link", "link2", "sub", "sub/real"});
}

TEST_CASE("a folder, or a place that is not there, is an error", "[run][files]") {
  const Folder folder;
  CHECK_THROWS_WITH(write_whole_file(folder.path(), "x"), "open " + folder.path().string() + ": Is a directory");
  try {
    write_whole_file(folder / "no/such/a.txt", "x");
    FAIL("wrote it");
  } catch (const IoError& io) {
    CHECK(io.operation() == FileOperation::open);
    CHECK(io.code().value() == ENOENT);
  }
  CHECK(folder.names().empty());
}

TEST_CASE("a relative path is relative to where the program was", "[run][files]") {
  const Folder folder;
  const int end = run_alone([&] {
    fs::current_path(folder.path());
    AtomicFile file{"a.txt"};
    file.write("x");
    fs::current_path("/");
    file.commit();
    return 0;
  });
  CHECK(end == 0);
  CHECK(folder.names() == Names{"a.txt"});
}

TEST_CASE("killed at any instant, a writer leaves the old file or the new one", "[run][files]") {
  const Folder folder;
  const fs::path path = folder / "a.txt";
  put(path, std::string(100'000, 'a'));
  for (int round = 0; round < 25; ++round) {
    const pid_t writer = spawn([&]() -> int {
      for (char c = 'b';; c = c == 'z' ? 'b' : static_cast<char>(c + 1))
        write_whole_file(path, std::string(100'000, c));
    });
    ::usleep(static_cast<useconds_t>(500 + 300 * round));
    ::kill(writer, SIGKILL);
    REQUIRE(end_of(writer) == 1000 + SIGKILL);
    const std::string text = read(path);
    REQUIRE(text.size() == 100'000);
    REQUIRE(text.find_first_not_of(text.front()) == std::string::npos);
  }
}

TEST_CASE("the temporary of a forked parent is not the child's to remove", "[run][files]") {
  const Folder folder;
  AtomicFile file{folder / "a.txt"};
  file.write("x");
  CHECK(run_alone([] {
          remove_all_temporary_paths();
          return 0;
        }) == 0);
  file.commit();
  CHECK(read(folder / "a.txt") == "x");
}
