// SPDX-License-Identifier: Apache-2.0
// Parameters listed and explained.
#include "platform/config/catalogue.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "platform/config/row_text.hpp"

namespace gnomon::config {
namespace {

void collect(const Description& description, const std::string& prefix, std::vector<Parameter>& out) {
  for (const auto& row : description.rows()) {
    const auto path = join_path(prefix, row.name);
    if (row.kind == Kind::table) {
      collect(row.prototype(), path, out);
    } else if (row.kind == Kind::tables) {
      collect(row.prototype(), path + ".N", out);
    } else {
      Parameter p;
      p.path = path;
      p.type = type_text(row);
      p.accepted = accepted_text(row);
      if (row.kind == Kind::integer && row.unit != Unit::none) p.units = accepted_units(row.unit);
      if (row.get && !row.is_required) p.default_value = literal(row, row.get());
      if (!row.only_key.empty())
        p.condition = fmt::format("{} = {}", join_path(prefix, row.only_key), fmt::join(row.only_names, ", "));
      p.doc = row.doc;
      p.required = row.is_required;
      p.constant = row.is_constant;
      out.push_back(std::move(p));
    }
  }
}

std::string default_text(const Parameter& p) {
  return p.required ? "required" : p.default_value.empty() ? "none" : p.default_value;
}

/// "device.0.model" -> "device.N.model".
std::string generic_path(std::string_view name) {
  const auto parts = split_path(name);
  if (!parts) return std::string{name};
  std::string out;
  for (const auto& part : *parts) {
    const bool number = std::all_of(part.key.begin(), part.key.end(), [](char c) { return c >= '0' && c <= '9'; });
    out = join_path(out, number ? "N" : part.key);
  }
  return out;
}

std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

/// "device.N" -> "`[[device]]`", "device.N.media" -> "`[device.media]`".
std::string heading(std::string table) {
  if (table.empty()) return "Top level";
  const bool element = table.ends_with(".N");
  for (auto at = table.find(".N"); at != std::string::npos; at = table.find(".N", at + 1))
    if (at + 2 == table.size() || table[at + 2] == '.') table.erase(at, 2);
  return element ? fmt::format("`[[{}]]`", table) : fmt::format("`[{}]`", table);
}

std::string markdown_row(const Parameter& p) {
  const auto& accepted = p.accepted.empty() ? p.units : p.accepted;
  const auto only = p.condition.empty() ? "" : fmt::format(" (only for {})", p.condition);
  const auto value = p.required ? "required" : p.default_value.empty() ? "" : fmt::format("`{}`", p.default_value);
  return fmt::format("| `{}` | {} | {} | {} | {}{} |\n", cell(p.path.substr(p.path.rfind('.') + 1)), p.type,
                     cell(value), cell(accepted), cell(p.doc), cell(only));
}

}  // namespace

std::vector<Parameter> parameters(const Description& description, std::string_view prefix) {
  std::vector<Parameter> out;
  collect(description, std::string{prefix}, out);
  return out;
}

std::string list_text(std::span<const Parameter> parameters) {
  std::size_t path = 0, type = 0, value = 0;
  for (const auto& p : parameters) {
    path = std::max(path, p.path.size());
    type = std::max(type, p.type.size());
    value = std::max(value, default_text(p).size());
  }
  std::string out;
  for (const auto& p : parameters)
    out += fmt::format("{:{}}  {:{}}  {:{}}  {}\n", p.path, path, p.type, type, default_text(p), value, p.doc);
  return out;
}

std::vector<const Parameter*> find_parameters(std::span<const Parameter> parameters, std::string_view name) {
  const auto wanted = generic_path(name);
  std::vector<const Parameter*> exact, ending;
  for (const auto& p : parameters) {
    if (p.path == wanted) exact.push_back(&p);
    if (p.path.ends_with("." + wanted)) ending.push_back(&p);
  }
  return exact.empty() ? ending : exact;
}

std::string explain_text(const Parameter& p, const Origin* origin) {
  auto out = fmt::format("{}: {}\n", p.path, p.doc);
  const auto line = [&](std::string_view name, std::string_view text) {
    if (!text.empty()) out += fmt::format("  {:<10}{}\n", name, text);
  };
  line("type", p.type);
  line("accepted", p.accepted);
  line("units", p.units);
  line("default", default_text(p));
  line("only for", p.condition);
  if (!origin) return out;
  line("origin", origin_text(origin));
  if (origin->provenance) {
    line("kind", name_of(origin->provenance->kind));
    line("source", printable(origin->provenance->source));
    line("fitted to", printable(fmt::format("{}", fmt::join(origin->provenance->fitted_to, ", "))));
  }
  return out;
}

std::string suggest_parameter(std::span<const Parameter> parameters, std::string_view name) {
  std::vector<std::string> paths, last_keys;
  for (const auto& p : parameters) {
    paths.push_back(p.path);
    last_keys.push_back(p.path.substr(p.path.rfind('.') + 1));
  }
  auto near = nearest_name(generic_path(name), paths);
  if (!near) near = nearest_name(name, last_keys);
  return near ? fmt::format("did you mean '{}'?", *near) : "";
}

std::string markdown_reference(std::span<const Parameter> parameters) {
  const auto table_of = [](const Parameter& p) {
    const auto dot = p.path.rfind('.');
    return dot == std::string::npos ? std::string{} : p.path.substr(0, dot);
  };
  std::vector<std::string> tables;
  for (const auto& p : parameters)
    if (std::find(tables.begin(), tables.end(), table_of(p)) == tables.end()) tables.push_back(table_of(p));
  std::string out;
  for (const auto& table : tables) {
    out += fmt::format("{}### {}\n\n| key | type | default | accepted | meaning |\n|---|---|---|---|---|\n",
                       out.empty() ? "" : "\n", heading(table));
    for (const auto& p : parameters)
      if (table_of(p) == table) out += markdown_row(p);
  }
  return out;
}

}  // namespace gnomon::config
