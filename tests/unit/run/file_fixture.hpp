// SPDX-License-Identifier: Apache-2.0
// A folder of a test's own, and failures on demand.
#pragma once

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "platform/run/file_operations.hpp"

namespace gnomon::run::test {
namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "gnomon-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error{"mkdtemp"};
    path_ = fs::canonical(name);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  fs::path operator/(const fs::path& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

  /// Every name below, sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator{path_})
      out.push_back(entry.path().lexically_relative(path_).string());
    std::sort(out.begin(), out.end());
    return out;
  }

 private:
  fs::path path_;
};

inline std::string read(const fs::path& path) {
  std::ifstream in{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

inline void put(const fs::path& path, const std::string& text) {
  std::ofstream{path, std::ios::binary} << text;
}

/// Fails the k-th operation, or the k-th and all after it.
struct Faults {
  unsigned k;
  int error;
  bool persistent;
  unsigned seen = 0;
  bool hit = false;
  FileOperation last{};

  FaultHook hook() {
    return [this](FileOperation operation) {
      ++seen;
      if (persistent ? seen < k : seen != k) return 0;
      if (!hit) last = operation;
      hit = true;
      return error;
    };
  }
};

}  // namespace gnomon::run::test
