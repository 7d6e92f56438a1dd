// SPDX-License-Identifier: Apache-2.0
// The table that describes a configuration struct: one row a key. binder.hpp shows its use.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
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

/// The rows of one struct, in order. A handle: copies share the rows. Row references stay valid.
/// A description that is wrong in itself (a name twice, only_for an unknown choice) throws std::logic_error.
class Description {
 public:
  /// A key with a scalar or a list: bool, unsigned integers, double, Time, std::string, std::optional and
  /// std::vector of them. `name` may be dotted: "media.write_bandwidth" is the key of a nested table.
  template <class T>
  Row& field(std::string_view name, T& member, std::string_view doc) {
    return scalar(name, member, Unit::none, {}, doc);
  }
  template <class T>
  Row& field(std::string_view name, T& member, Unit unit, std::string_view doc) {
    return scalar(name, member, unit, {}, doc);
  }
  template <class T>
  Row& field(std::string_view name, T& member, Range bounds, std::string_view doc) {
    return scalar(name, member, Unit::none, bounds, doc);
  }
  /// A field that may carry its provenance. See binder.hpp.
  template <class T, class... Rest>
  Row& constant(std::string_view name, T& member, Rest&&... rest) {
    Row& row = field(name, member, std::forward<Rest>(rest)...);
    row.is_constant = true;
    return row;
  }
  /// An enum, or std::optional of one, by its name table.
  template <class T, class Names>
  Row& choice(std::string_view name, T& member, const Names& names, std::string_view doc);
  /// A nested struct, or std::optional of one: present where the table is.
  template <class T>
  Row& table(std::string_view name, T& member, std::string_view doc);
  /// [[name]]: an array of tables. What the file gives replaces what the vector held.
  template <class T>
  Row& tables(std::string_view name, std::vector<T>& member, std::string_view doc);
  /// A table of dotted paths to any values, for Document::with_variant.
  Row& free_table(std::string_view name, FreeTable& member, std::string_view doc);

  const std::deque<Row>& rows() const { return *rows_; }
  const Row* find(std::string_view name) const;
  Row& adopt(Row row);  ///< adds a row as it is
  void keep(std::shared_ptr<void> object) { kept_ = std::move(object); }

 private:
  Row& add(std::string_view dotted_name, std::string_view doc, Kind kind);
  template <class T>
  Row& scalar(std::string_view name, T& member, Unit unit, Range bounds, std::string_view doc);

  std::shared_ptr<std::deque<Row>> rows_ = std::make_shared<std::deque<Row>>();
  std::shared_ptr<void> kept_;
};

/// The description of `object`, by the function describe(Description&, T&) of its namespace.
template <class T>
Description describe_object(T& object) {
  Description description;
  describe(description, object);
  return description;
}

/// The description of a default-constructed T.
template <class T>
Description description_of() {
  auto object = std::make_shared<T>();
  auto description = describe_object(*object);
  description.keep(object);
  return description;
}

}  // namespace gnomon::config

#include "platform/config/description_rows.hpp"
