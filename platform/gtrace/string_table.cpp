// SPDX-License-Identifier: Apache-2.0
// A trace repeats its few strings endlessly, mostly the last one.
#include "platform/gtrace/string_table.hpp"

#include <stdexcept>

#include "platform/gtrace/format.hpp"

namespace gnomon::gtrace {

StringTable::StringTable() : strings_{""} {
  numbers_.emplace(strings_.front(), 0);
}

std::uint64_t StringTable::intern(std::string_view text) {
  if (strings_[last_] == text) return last_;
  if (const auto found = numbers_.find(text); found != numbers_.end()) return last_ = found->second;
  if (text.size() > longest_string) throw std::length_error{"a name of more than 4096 bytes"};
  if (strings_.size() == most_strings) throw std::length_error{"more than 65,536 different names"};
  const std::uint64_t number = strings_.size();
  numbers_.emplace(strings_.emplace_back(text), number);
  return last_ = number;
}

}  // namespace gnomon::gtrace
