// SPDX-License-Identifier: Apache-2.0
// One row of a description: what a key is called, what it may hold, and how to reach the member behind it.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "platform/config/document.hpp"
#include "platform/config/field_value.hpp"
#include "platform/config/quantity.hpp"

namespace gnomon::config {

class Description;

/// Inclusive bounds, in base units.
struct Range {
  std::uint64_t min = 0;
  std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
};
constexpr Range range(std::uint64_t min, std::uint64_t max) {
  return {min, max};
}
constexpr Range range(Time min, Time max) {
  return {min.ps(), max.ps()};
}

/// One entry of an enum's name table; the table is a constexpr std::array of these, used both ways.
template <class E>
struct EnumName {
  std::string_view name;
  E value;
};
template <class E>
EnumName(std::string_view, E) -> EnumName<E>;

/// What a row holds. A list has the scalar kind of its items and is_list set.
enum class Kind : std::uint8_t { boolean, integer, real, text, choice, table, tables, free_table };

struct Row {
  std::string name;  ///< one key, no dots
  std::string doc;
  Kind kind = Kind::table;
  Unit unit = Unit::none;  ///< of Kind::integer
  bool is_list = false;
  Range bounds;
  std::vector<std::string> choices;
  bool is_power_of_two = false;
  bool is_required = false;             ///< absent is an error
  bool is_optional = false;             ///< std::optional<T>: absent is a value of its own
  bool is_constant = false;             ///< may be given as { value, kind, source, fitted_to }
  bool is_filled = false;               ///< an empty string or list is an error
  std::string only_key;                 ///< the row applies only where this choice of the same table…
  std::vector<std::string> only_names;  ///< …has one of these names

  // Access to the described object, which must outlive the row.
  std::function<FieldValue()> get;  ///< scalars and lists
  std::function<void(const FieldValue&)> set;
  std::function<bool()> present;           ///< tables
  std::function<Description()> open;       ///< table: its description, made present where optional
  std::function<Description()> prototype;  ///< table, tables: of a default-constructed one, kept alive
  std::function<void()> clear;             ///< tables
  std::function<Description()> append;     ///< tables: invalidates descriptions of earlier elements
  std::function<std::vector<Description>()> elements;
  FreeTable* free = nullptr;

  Row& required() {
    is_required = true;
    return *this;
  }
  Row& power_of_two() {
    is_power_of_two = true;
    return *this;
  }
  Row& not_empty() {
    is_filled = true;
    return *this;
  }
  Row& within(Range r) {
    bounds = r;
    return *this;
  }
  Row& only_for(std::string_view choice_key, std::initializer_list<std::string_view> names) {
    only_key = choice_key;
    only_names.assign(names.begin(), names.end());
    return *this;
  }
};

}  // namespace gnomon::config
