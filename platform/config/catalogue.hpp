// SPDX-License-Identifier: Apache-2.0
// What a description knows, told to people and editors: the list of parameters, one explained, the reference page,
// the JSON Schema.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "platform/config/description.hpp"
#include "platform/config/origins.hpp"

namespace gnomon::config {

/// One key, as `gnomon list params` and `gnomon explain` show it.
struct Parameter {
  std::string path;           ///< "guest.vcpus"; in an array of tables "device.N.model"
  std::string type;           ///< "integer", "time", "choice", "list of strings", …
  std::string accepted;       ///< values or bounds; may be empty
  std::string units;          ///< accepted units; empty for what has none
  std::string default_value;  ///< as TOML; empty where there is none
  std::string condition;      ///< "iommu.device = intel-iommu"; empty where the key always applies
  std::string doc;
  bool required = false;
  bool constant = false;  ///< carries its provenance in a machine profile
};

/// Every scalar, list and free table of a description, in its order; `prefix` goes before every path.
std::vector<Parameter> parameters(const Description& description, std::string_view prefix = "");

/// One line a parameter: path, type, default, meaning.
std::string list_text(std::span<const Parameter> parameters);

/// The parameters `name` means: the path itself ("device.0.model" is "device.N.model"), or the end of paths
/// ("vcpus"). Empty where it means none.
std::vector<const Parameter*> find_parameters(std::span<const Parameter> parameters, std::string_view name);

/// Everything about one parameter; with `origin`, where its value and provenance come from.
std::string explain_text(const Parameter& parameter, const Origin* origin = nullptr);

/// "did you mean …" for a name find_parameters does not know; empty where none is near.
std::string suggest_parameter(std::span<const Parameter> parameters, std::string_view name);

/// A Markdown table a TOML table, for the reference page.
std::string markdown_reference(std::span<const Parameter> parameters);

/// JSON Schema (draft-07) of documents of `kind`: what read() accepts, as far as a schema can say it.
nlohmann::ordered_json json_schema(const Description& description, std::string_view title,
                                   OriginKind kind = OriginKind::scenario);

}  // namespace gnomon::config
