// SPDX-License-Identifier: Apache-2.0
// The table that describes a configuration struct: one row a key. binder.hpp shows its use.
#pragma once

#include <deque>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "platform/config/row.hpp"

namespace gnomon::config {

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
