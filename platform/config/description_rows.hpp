// SPDX-License-Identifier: Apache-2.0
// Internal to platform/config: how Description makes a row of a member. Included by description.hpp only.
#pragma once

#include <algorithm>
#include <iterator>
#include <stdexcept>

#include "platform/config/description.hpp"

namespace gnomon::config {

template <class T>
Row& Description::scalar(std::string_view name, T& member, Unit unit, Range bounds, std::string_view doc) {
  using List = typename OptionalOf<T>::Item;
  using Item = typename ListOf<List>::Item;
  constexpr Kind kind = std::same_as<Item, bool>          ? Kind::boolean
                        : std::same_as<Item, double>      ? Kind::real
                        : std::same_as<Item, std::string> ? Kind::text
                                                          : Kind::integer;
  Row& row = add(name, doc, kind);
  row.unit = std::same_as<Item, Time> ? Unit::time : unit;
  row.bounds = bounds;
  if constexpr (Count<Item>)
    row.bounds.max = std::min(row.bounds.max, std::uint64_t{std::numeric_limits<Item>::max()});
  row.is_list = ListOf<List>::is_list;
  row.is_optional = OptionalOf<T>::is_optional;
  row.get = [&member] { return FieldCodec<T>::to(member); };
  row.set = [&member](const FieldValue& value) { member = FieldCodec<T>::from(value); };
  return row;
}

template <class T, class Names>
Row& Description::choice(std::string_view name, T& member, const Names& names, std::string_view doc) {
  using Table = std::vector<EnumName<typename OptionalOf<T>::Item>>;
  Row& row = add(name, doc, Kind::choice);
  row.is_optional = OptionalOf<T>::is_optional;
  const auto table = std::make_shared<const Table>(std::begin(names), std::end(names));
  for (const auto& entry : *table) row.choices.emplace_back(entry.name);
  row.get = [&member, table]() -> FieldValue {
    const auto at = std::find_if(table->begin(), table->end(), [&](const auto& e) { return member == e.value; });
    if (at != table->end()) return std::string{at->name};
    if constexpr (OptionalOf<T>::is_optional)
      if (!member) return {};
    throw std::logic_error("an enumerator has no name in its table");
  };
  row.set = [&member, table](const FieldValue& value) {
    const auto& text = std::get<std::string>(value);
    const auto at = std::find_if(table->begin(), table->end(), [&](const auto& e) { return e.name == text; });
    member = at->value;  // the reader has checked the name
  };
  return row;
}

template <class T>
Row& Description::table(std::string_view name, T& member, std::string_view doc) {
  using Item = typename OptionalOf<T>::Item;
  Row& row = add(name, doc, Kind::table);
  row.prototype = [] { return description_of<Item>(); };
  if constexpr (OptionalOf<T>::is_optional) {
    row.is_optional = true;
    row.present = [&member] { return member.has_value(); };
    row.open = [&member] {
      if (!member) member.emplace();
      return describe_object(*member);
    };
  } else {
    row.present = [] { return true; };
    row.open = [&member] { return describe_object(member); };
  }
  return row;
}

template <class T>
Row& Description::tables(std::string_view name, std::vector<T>& member, std::string_view doc) {
  Row& row = add(name, doc, Kind::tables);
  row.prototype = [] { return description_of<T>(); };
  row.present = [&member] { return !member.empty(); };
  row.clear = [&member] { member.clear(); };
  row.append = [&member] { return describe_object(member.emplace_back()); };
  row.elements = [&member] {
    std::vector<Description> all;
    for (auto& element : member) all.push_back(describe_object(element));
    return all;
  };
  return row;
}

}  // namespace gnomon::config
