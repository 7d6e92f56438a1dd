// SPDX-License-Identifier: Apache-2.0
// Approved files: what is written down must come out again. GNOMON_UPDATE_GOLDEN=1 writes it down anew.
#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace gnomon::test {

inline std::vector<std::string> lines_of(std::istream& in) {
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// Compares line by line and tells the first that differs.
inline void check_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(GNOMON_GOLDEN_DIR) + "/" + name;
  if (std::getenv("GNOMON_UPDATE_GOLDEN") != nullptr) {
    std::ofstream out(path, std::ios::binary);
    out << text;
    REQUIRE(out.flush());
    return;
  }
  std::ifstream in(path, std::ios::binary);
  INFO(path << "; GNOMON_UPDATE_GOLDEN=1 rewrites it");
  REQUIRE(in);
  const std::vector<std::string> approved = lines_of(in);
  std::istringstream fresh(text);
  const std::vector<std::string> now = lines_of(fresh);
  for (std::size_t i = 0; i < std::min(approved.size(), now.size()); ++i) {
    INFO("line " << i + 1);
    REQUIRE(now[i] == approved[i]);
  }
  CHECK(now.size() == approved.size());
}

}  // namespace gnomon::test
