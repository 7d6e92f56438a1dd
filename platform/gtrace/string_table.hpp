// SPDX-License-Identifier: Apache-2.0
// Strings by number: device names, exit reasons, register names.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

namespace gnomon::gtrace {

/// Numbers are given in the order of first use; 0 is "".
class StringTable {
 public:
  StringTable();

  /// Throws std::length_error where a string, or the table, is larger than the format allows.
  std::uint64_t intern(std::string_view text);
  std::string_view operator[](std::uint64_t number) const { return strings_[number]; }
  std::size_t size() const { return strings_.size(); }

 private:
  std::deque<std::string> strings_;  // stays in place: the keys below point into it
  std::unordered_map<std::string_view, std::uint64_t> numbers_;
  std::uint64_t last_ = 0;
};

}  // namespace gnomon::gtrace
