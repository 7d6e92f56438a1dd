// SPDX-License-Identifier: Apache-2.0
// Rows by name, and the nested tables that dotted names imply.
#include "platform/config/description.hpp"

#include <fmt/format.h>

namespace gnomon::config {

const Row* Description::find(std::string_view name) const {
  const auto found = std::find_if(rows_->begin(), rows_->end(), [&](const Row& row) { return row.name == name; });
  return found == rows_->end() ? nullptr : &*found;
}

Row& Description::adopt(Row row) {
  if (find(row.name)) throw std::logic_error(fmt::format("the key '{}' is described twice", row.name));
  rows_->push_back(std::move(row));
  return rows_->back();
}

Row& Description::add(std::string_view dotted_name, std::string_view doc, Kind kind) {
  const auto dot = dotted_name.find('.');
  if (dot == std::string_view::npos) {
    Row row;
    row.name = dotted_name;
    row.doc = doc;
    row.kind = kind;
    return adopt(std::move(row));
  }
  const auto group = dotted_name.substr(0, dot);
  if (!find(group)) {
    // Its rows refer to members of the same object, so the prototype needs no object of its own.
    Description inner;
    Row& row = add(group, "", Kind::table);
    row.present = [] { return true; };
    row.open = [inner] { return inner; };
    row.prototype = row.open;
  }
  return find(group)->open().add(dotted_name.substr(dot + 1), doc, kind);
}

Row& Description::free_table(std::string_view name, FreeTable& member, std::string_view doc) {
  Row& row = add(name, doc, Kind::free_table);
  row.free = &member;
  return row;
}

}  // namespace gnomon::config
