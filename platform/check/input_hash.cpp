// SPDX-License-Identifier: Apache-2.0
#include "platform/check/input_hash.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string_view>

namespace gnomon::check {
namespace {

namespace fs = std::filesystem;

class Hash {
 public:
  Hash() { XXH3_128bits_reset(state_.get()); }

  /// Length first: no two different lists of texts hash alike by their borders.
  void add(std::string_view text) {
    const std::uint64_t size = text.size();
    XXH3_128bits_update(state_.get(), &size, sizeof size);
    XXH3_128bits_update(state_.get(), text.data(), text.size());
  }
  std::string digits() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
  }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_{XXH3_createState()};
};

std::string contents(const fs::path& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

const std::string& program() {
  static const std::string bytes = contents("/proc/self/exe");
  return bytes;
}

std::string_view word_at(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_')) ++end;
  return text.substr(0, end);
}

/// The comments say where a value is from, which changes no run.
std::string without_comments(std::string_view toml) {
  std::string out;
  bool quoted = false, comment = false;
  for (std::size_t i = 0; i < toml.size(); ++i) {
    const char c = toml[i];
    if (c == '\n') quoted = comment = false;
    if (comment) continue;
    if (c == '\\' && quoted && i + 1 < toml.size()) {
      out += c;
      out += toml[++i];
      continue;
    }
    if (c == '"') quoted = !quoted;
    comment = c == '#' && !quoted;
    if (!comment) out += c;
  }
  return out;
}

/// A job file, the files its include lines name, and the values of its ${VARIABLES}.
class Inputs {
 public:
  Inputs(Hash& hash, fs::path folder) : hash_(hash), folder_(std::move(folder)) {}

  void add_file(const std::string& name) {
    std::error_code error;
    const fs::path path = folder_ / name;
    if (name.empty() || name.find('\0') != std::string::npos || !fs::is_regular_file(path, error)) return;
    if (!seen_.insert(path.lexically_normal().string()).second) return;
    const std::string text = contents(path);
    hash_.add(name);
    hash_.add(text);
    add_variables(text);
    for (std::size_t at = text.find("include "); at != std::string::npos; at = text.find("include ", at + 1)) {
      const std::size_t start = text.find_first_not_of(" \t", at + 8);
      if (start == std::string::npos) break;
      add_file(text.substr(start, text.find_first_of(" \t\r\n;#", start) - start));
    }
  }

  /// Every quoted string of the configuration that is the name of a file.
  void add_named_in(std::string_view configuration) {
    for (std::size_t open = configuration.find('"'); open != std::string_view::npos;) {
      const std::size_t close = configuration.find_first_of("\"\n", open + 1);
      if (close == std::string_view::npos) return;
      if (close - open < 512) add_file(std::string{configuration.substr(open + 1, close - open - 1)});
      open = configuration.find('"', close + 1);
    }
  }

 private:
  void add_variables(std::string_view text) {
    for (std::size_t at = text.find("${"); at != std::string_view::npos; at = text.find("${", at + 1)) {
      const std::string name{word_at(text.substr(at + 2))};
      const char* value = std::getenv(name.c_str());
      hash_.add(name);
      hash_.add(value == nullptr ? "" : value);
    }
  }

  Hash& hash_;
  fs::path folder_;
  std::set<std::string> seen_;
};

}  // namespace

std::string input_hash(const scenario::ResolvedScenario& scenario, const scenario::ResolvedVariant& variant,
                       std::uint64_t seed) {
  if (program().empty()) return {};
  Hash hash;
  hash.add(program());
  const std::string configuration = without_comments(variant.effective_toml);
  hash.add(configuration);
  Inputs{hash, scenario.path.parent_path()}.add_named_in(configuration);
  hash.add(fmt::format("{}", seed));
  return hash.digits();
}

}  // namespace gnomon::check
