// SPDX-License-Identifier: Apache-2.0
// Cached runs: found as they were kept, and anything damaged is no run.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "platform/check/run_cache.hpp"

using namespace gnomon;
using check::RunCache;
namespace fs = std::filesystem;

namespace {

struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "gnomon-cache-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
  fs::path path;
};

run::Outcome outcome(std::string result) {
  run::Outcome o;
  o.exit_code = 0;
  o.result = std::move(result);
  o.wall_s = 1.25;
  o.cpu_s = 0.5;
  o.peak_rss_bytes = 12345;
  return o;
}

const std::string hash(32, 'a');

}  // namespace

TEST_CASE("a run comes back as it was kept", "[check]") {
  const Folder folder;
  const RunCache cache{folder.path / "deep" / "er"};
  CHECK_FALSE(cache.find(hash));
  cache.keep(hash, outcome(std::string("result\0with\n\n", 13)));
  const auto found = cache.find(hash);
  REQUIRE(found);
  CHECK(found->result == std::string("result\0with\n\n", 13));
  CHECK(found->kind == run::Outcome::Kind::done);
  CHECK(found->exit_code == 0);
  CHECK(found->wall_s == 1.25);
  CHECK(found->cpu_s == 0.5);
  CHECK(found->peak_rss_bytes == 12345);
}

TEST_CASE("what did not end by itself is not kept", "[check]") {
  const Folder folder;
  const RunCache cache{folder.path};
  auto crashed = outcome("partial");
  crashed.kind = run::Outcome::Kind::crashed;
  cache.keep(hash, crashed);
  cache.keep(hash, outcome(""));
  CHECK_FALSE(cache.find(hash));
}

TEST_CASE("a damaged entry is no run, wherever it is cut or changed", "[check]") {
  const Folder folder;
  const RunCache cache{folder.path};
  cache.keep(hash, outcome("a result of some bytes"));
  std::ifstream in{folder.path / hash, std::ios::binary};
  const std::string whole{std::istreambuf_iterator<char>{in}, {}};
  for (std::size_t size = 0; size < whole.size(); ++size) {
    std::ofstream{folder.path / hash, std::ios::binary} << whole.substr(0, size);
    CHECK_FALSE(cache.find(hash));
  }
  std::string changed = whole;
  changed.back() = '!';
  std::ofstream{folder.path / hash, std::ios::binary} << changed;
  CHECK_FALSE(cache.find(hash));
}

TEST_CASE("trimming removes what has not been used for longest", "[check]") {
  const Folder folder;
  const RunCache cache{folder.path, 2};
  const auto now = fs::file_time_type::clock::now();
  for (const char c : {'1', '2', '3'}) {
    cache.keep(std::string(32, c), outcome("x"));
    fs::last_write_time(folder.path / std::string(32, c), now - std::chrono::hours('9' - c));
  }
  REQUIRE(cache.find(std::string(32, '1')));  // used just now
  std::ofstream{folder.path / "not an entry"} << "x";
  cache.trim();
  CHECK(cache.find(std::string(32, '1')));
  CHECK_FALSE(cache.find(std::string(32, '2')));
  CHECK(cache.find(std::string(32, '3')));
  CHECK(fs::exists(folder.path / "not an entry"));
}

TEST_CASE("without a folder nothing is kept", "[check]") {
  const RunCache cache{{}};
  cache.keep(hash, outcome("x"));
  CHECK_FALSE(cache.find(hash));
}
