// SPDX-License-Identifier: Apache-2.0
#include "platform/check/run_cache.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

#include "platform/run/atomic_file.hpp"

namespace gnomon::check {

namespace fs = std::filesystem;

namespace {

constexpr int entry_version = 1;

/// First line of an entry: what the supervisor measured, and a hash of the result that follows.
std::string head(const run::Outcome& outcome) {
  return fmt::format("gnomon run {} {:016x} {} {} {}\n", entry_version,
                     XXH3_64bits(outcome.result.data(), outcome.result.size()), outcome.wall_s, outcome.cpu_s,
                     outcome.peak_rss_bytes);
}

}  // namespace

fs::path RunCache::default_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return fs::path{value == nullptr ? "" : value};
  };
  // XDG base directory specification: a relative path is invalid and to be ignored.
  if (const fs::path cache = variable("XDG_CACHE_HOME"); cache.is_absolute()) return cache / "gnomon" / "runs";
  if (const fs::path home = variable("HOME"); home.is_absolute()) return home / ".cache" / "gnomon" / "runs";
  return {};
}

RunCache::RunCache(fs::path folder, std::size_t most_entries)
    : folder_(std::move(folder)), most_entries_(most_entries) {}

std::optional<run::Outcome> RunCache::find(const std::string& hash) const {
  if (folder_.empty() || hash.empty()) return std::nullopt;
  const fs::path path = folder_ / hash;
  std::ifstream in{path, std::ios::binary};
  std::string first;
  if (!in || !std::getline(in, first)) return std::nullopt;
  run::Outcome outcome;
  outcome.exit_code = 0;
  outcome.result.assign(std::istreambuf_iterator<char>{in}, {});
  int version = 0;
  unsigned long long sum = 0, rss = 0;
  if (std::sscanf(first.c_str(), "gnomon run %d %llx %lf %lf %llu", &version, &sum, &outcome.wall_s, &outcome.cpu_s,
                  &rss) != 5)
    return std::nullopt;
  outcome.peak_rss_bytes = rss;
  if (version != entry_version || XXH3_64bits(outcome.result.data(), outcome.result.size()) != sum)
    return std::nullopt;
  std::error_code ignored;
  fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);  // it has been of use
  return outcome;
}

void RunCache::keep(const std::string& hash, const run::Outcome& outcome) const {
  const bool whole = outcome.kind == run::Outcome::Kind::done && outcome.exit_code == 0 && !outcome.result.empty();
  if (folder_.empty() || hash.empty() || !whole) return;
  std::error_code error;
  fs::create_directories(folder_, error);
  try {
    if (!error) run::write_whole_file(folder_ / hash, head(outcome) + outcome.result);
  } catch (const run::IoError&) {  // a full disk costs time, not the check
  }
}

void RunCache::trim() const {
  std::vector<std::pair<fs::file_time_type, fs::path>> entries;
  std::error_code error;
  for (fs::directory_iterator at{folder_, error}, end; !error && at != end; at.increment(error)) {
    const auto used = at->last_write_time(error);
    if (!error && at->path().filename().string().size() == 32) entries.emplace_back(used, at->path());
    error.clear();
  }
  if (entries.size() <= most_entries_) return;
  std::sort(entries.begin(), entries.end());
  entries.resize(entries.size() - most_entries_);
  for (const auto& [used, path] : entries) fs::remove(path, error);
}

}  // namespace gnomon::check
