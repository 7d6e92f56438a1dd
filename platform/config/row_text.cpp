// SPDX-License-Identifier: Apache-2.0
// Rows in words.
#include "platform/config/row_text.hpp"

#include <fmt/format.h>

namespace gnomon::config {
namespace {

std::string item_type(const Row& row, bool plural) {
  switch (row.kind) {
    case Kind::boolean: return plural ? "booleans" : "boolean";
    case Kind::integer:
      if (!plural) return std::string{name_of(row.unit)};
      return row.unit == Unit::bytes_per_second ? "bandwidths"
             : row.unit == Unit::hertz          ? "frequencies"
                                                : fmt::format("{}s", name_of(row.unit));
    case Kind::real: return "number";
    case Kind::text: return plural ? "strings" : "string";
    case Kind::choice: return "choice";
    case Kind::table: return "table";
    case Kind::tables: return "array of tables";
    case Kind::free_table: return "table of dotted paths";
  }
  return "";
}

std::string number(const Row& row, std::uint64_t value) {
  return row.unit == Unit::none ? format_quantity(value, row.unit) : quoted(format_quantity(value, row.unit));
}

template <class Items, class Text>
std::string list(const Items& items, const Text& text) {
  std::string out;
  for (const auto& item : items) out += (out.empty() ? "" : ", ") + text(item);
  return "[" + out + "]";
}

struct Literal {
  const Row& row;
  std::string operator()(std::monostate) const { return ""; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::uint64_t value) const { return number(row, value); }
  std::string operator()(double value) const { return fmt::format("{}", value); }
  std::string operator()(const std::string& value) const { return quoted(value); }
  std::string operator()(const std::vector<std::uint64_t>& values) const {
    return list(values, [&](std::uint64_t v) { return number(row, v); });
  }
  std::string operator()(const std::vector<std::string>& values) const {
    return list(values, [](const std::string& v) { return quoted(v); });
  }
};

}  // namespace

std::string type_text(const Row& row) {
  return row.is_list ? fmt::format("list of {}", item_type(row, true)) : item_type(row, false);
}

std::string accepted_text(const Row& row) {
  if (row.kind == Kind::boolean) return "true, false";
  if (row.kind == Kind::choice) return fmt::format("{}", fmt::join(row.choices, ", "));
  if (row.kind != Kind::integer) return "";
  const auto text = [&](std::uint64_t value) { return format_quantity(value, row.unit); };
  const bool from_zero = row.bounds.min == 0;
  const bool open_end = row.bounds.max >= std::numeric_limits<std::uint32_t>::max() && row.unit == Unit::none;
  const bool unbounded = row.bounds.max == std::numeric_limits<std::uint64_t>::max();
  std::string out;
  if (!from_zero || !(unbounded || open_end)) {
    out = unbounded || open_end ? fmt::format("at least {}", text(row.bounds.min))
                                : fmt::format("{} to {}", text(row.bounds.min), text(row.bounds.max));
  }
  if (row.is_power_of_two) out += fmt::format("{}a power of two", out.empty() ? "" : ", ");
  return out;
}

std::string expected_text(const Row& row) {
  if (row.is_list) return fmt::format("a {}", type_text(row));
  switch (row.kind) {
    case Kind::boolean: return "true or false";
    case Kind::integer:
      if (row.unit == Unit::none) return "an integer";
      return fmt::format("a {} with its unit, such as \"{}\"", name_of(row.unit), example_of(row.unit));
    case Kind::real: return "a number";
    case Kind::text: return "a string";
    case Kind::choice: return "a string";
    case Kind::tables: return "an array of tables";
    case Kind::table:
    case Kind::free_table: return "a table";
  }
  return "";
}

std::string literal(const Row& row, const FieldValue& value) {
  return std::visit(Literal{row}, value);
}

bool applies(const Row& row, const Description& description) {
  if (row.only_key.empty()) return true;
  const auto* key = description.find(row.only_key);
  if (!key || key->kind != Kind::choice)
    throw std::logic_error(
        fmt::format("'{}' depends on '{}', which is no choice of its table", row.name, row.only_key));
  const auto value = key->get();
  const auto* name = std::get_if<std::string>(&value);
  return name && std::find(row.only_names.begin(), row.only_names.end(), *name) != row.only_names.end();
}

}  // namespace gnomon::config
