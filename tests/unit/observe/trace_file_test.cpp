// SPDX-License-Identifier: Apache-2.0
// A trace file of many blocks: every byte in its place, by whatever way it was put there, and failures told.
#include "platform/observe/trace_file.hpp"

#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/unit/observe/scratch_folder.hpp"

using gnomon::observe::TraceFile;
using gnomon::test::ScratchFolder;

namespace {

/// Numbers in a row, so that a byte out of its place is seen.
std::string numbers(std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; text.size() < bytes; ++i) text += std::to_string(i) + ' ';
  text.resize(bytes);
  return text;
}

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void fill(TraceFile& file, const std::string& text, std::size_t piece) {
  for (std::size_t at = 0; at < text.size(); at += piece) {
    const std::size_t bytes = std::min(piece, text.size() - at);
    char* const out = file.room(piece);
    std::memcpy(out, text.data() + at, bytes);
    file.filled(out + bytes);
  }
}

}  // namespace

TEST_CASE("what is written in pieces of any size is the file") {
  ScratchFolder folder;
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, TraceFile::block_bytes, TraceFile::block_bytes + 1,
        5 * TraceFile::block_bytes, 5 * TraceFile::block_bytes + 12'345}) {
    const std::string text = numbers(bytes);
    for (const std::size_t piece : {std::size_t{4096}, std::size_t{777}, TraceFile::most_room}) {
      INFO(bytes << " bytes in pieces of " << piece);
      TraceFile file(folder / "t");
      fill(file, text, piece);
      CHECK(file.close() == std::error_code{});
      CHECK(content(folder / "t") == text);
    }
    TraceFile file(folder / "t");
    file.write(text);
    CHECK(file.close() == std::error_code{});
    CHECK(content(folder / "t") == text);
  }
}

TEST_CASE("a file system without direct writes is written all the same") {
  const std::filesystem::path memory = "/dev/shm";
  if (!std::filesystem::is_directory(memory)) return;
  const std::filesystem::path path = memory / ("gnomon-trace-file-" + std::to_string(::getpid()));
  const std::string text = numbers(3 * TraceFile::block_bytes + 5);
  TraceFile file(path);
  file.write(text);
  CHECK(file.close() == std::error_code{});
  CHECK(content(path) == text);
  std::filesystem::remove(path);
}

TEST_CASE("a disk that fills up in the middle is told by close, and nothing is left") {
  ScratchFolder folder;
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  for (const rlim_t limit : {2 * TraceFile::block_bytes + 4096, 2 * TraceFile::block_bytes + 100}) {
    const rlimit small{limit, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    TraceFile file(folder / "t");
    file.write(numbers(6 * TraceFile::block_bytes));
    CHECK(file.close() == std::errc::file_too_large);
    CHECK(file.failed());
    ::setrlimit(RLIMIT_FSIZE, &before);
    CHECK(folder.empty());
  }
  std::signal(SIGXFSZ, handler);
}

TEST_CASE("without close, nothing is left of many blocks either") {
  ScratchFolder folder;
  { TraceFile(folder / "t").write(numbers(4 * TraceFile::block_bytes)); }
  CHECK(folder.empty());
}
