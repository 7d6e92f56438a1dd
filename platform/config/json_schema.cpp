// SPDX-License-Identifier: Apache-2.0
// The JSON Schema of a description: draft-07, which the TOML language servers of editors understand.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "platform/config/catalogue.hpp"

namespace gnomon::config {
namespace {

using Json = nlohmann::ordered_json;

Json scalar(const Row& row) {
  switch (row.kind) {
    case Kind::boolean: return {{"type", "boolean"}};
    case Kind::real: return {{"type", "number"}};
    case Kind::choice: return {{"type", "string"}, {"enum", row.choices}};
    case Kind::text: {
      Json schema{{"type", "string"}};
      if (row.is_filled && !row.is_list) schema["minLength"] = 1;
      return schema;
    }
    default: break;
  }
  if (row.unit != Unit::none) return {{"type", "string"}, {"pattern", pattern_of(row.unit)}};
  Json schema{{"type", "integer"}, {"minimum", row.bounds.min}};
  constexpr std::uint64_t largest = std::numeric_limits<std::int64_t>::max();  // of a TOML integer
  if (row.bounds.max < largest) schema["maximum"] = row.bounds.max;
  if (row.is_power_of_two) {
    Json powers = Json::array();
    for (std::uint64_t power = 1; power <= largest; power *= 2)
      if (power >= row.bounds.min && power <= row.bounds.max) powers.push_back(power);
    schema["enum"] = std::move(powers);
  }
  return schema;
}

/// The table form of a constant: the value with its provenance.
Json with_provenance(Json value) {
  std::vector<std::string> kinds;
  for (const auto& entry : provenance_names) kinds.emplace_back(entry.name);
  const Json text{{"type", "string"}, {"minLength", 1}};
  const Json list{{"type", "array"}, {"items", {{"type", "string"}}}, {"minItems", 1}};
  const Json fitted{{"properties", {{"kind", {{"const", "fitted"}}}}}};
  return {{"type", "object"},
          {"properties",
           {{"value", std::move(value)}, {"kind", {{"enum", kinds}}}, {"source", text}, {"fitted_to", list}}},
          {"required", {"value", "kind", "source"}},
          {"additionalProperties", false},
          {"if", fitted},
          {"then", {{"required", {"fitted_to"}}}},
          {"else", {{"not", {{"required", {"fitted_to"}}}}}}};
}

Json value(const Row& row, OriginKind kind) {
  Json schema = scalar(row);
  if (row.is_list) {
    schema = {{"type", "array"}, {"items", std::move(schema)}};
    if (row.is_filled) schema["minItems"] = 1;
  }
  const bool in_profile = kind == OriginKind::machine_profile;
  if (in_profile && (row.is_constant || row.kind == Kind::integer || row.kind == Kind::real))
    return with_provenance(std::move(schema));
  if (row.is_constant) {
    auto plain = schema;
    return {{"anyOf", {std::move(plain), with_provenance(std::move(schema))}}};
  }
  return schema;
}

Json table(const Description& description, OriginKind kind);

Json property(const Row& row, OriginKind kind) {
  Json schema;
  switch (row.kind) {
    case Kind::table: schema = table(row.prototype(), kind); break;
    case Kind::tables:
      schema = {{"type", "array"}, {"items", table(row.prototype(), kind)}};
      if (row.is_required) schema["minItems"] = 1;
      break;
    case Kind::free_table: schema = {{"type", "object"}}; break;
    default: schema = value(row, kind); break;
  }
  auto doc = row.doc;
  if (!row.only_key.empty())
    doc += fmt::format(" (only for {} = {})", row.only_key, fmt::join(row.only_names, ", "));
  if (!doc.empty()) schema["description"] = doc;
  return schema;
}

/// An absent table is read as an empty one: it is required where something in it is.
bool is_required(const Row& row) {
  if (!row.only_key.empty()) return false;
  if (row.is_required) return true;
  if (row.kind != Kind::table || row.is_optional) return false;
  const auto inner = row.prototype();
  return std::any_of(inner.rows().begin(), inner.rows().end(), [](const Row& r) { return is_required(r); });
}

Json table(const Description& description, OriginKind kind) {
  Json schema{{"type", "object"}};
  Json required = Json::array();
  auto& properties = schema["properties"] = Json::object();
  for (const auto& row : description.rows()) {
    properties[row.name] = property(row, kind);
    if (is_required(row)) required.push_back(row.name);
  }
  if (!required.empty()) schema["required"] = std::move(required);
  schema["additionalProperties"] = false;
  return schema;
}

}  // namespace

nlohmann::ordered_json json_schema(const Description& description, std::string_view title, OriginKind kind) {
  Json schema{{"$schema", "http://json-schema.org/draft-07/schema#"}, {"title", title}};
  schema.update(table(description, kind));
  return schema;
}

}  // namespace gnomon::config
