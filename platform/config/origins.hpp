// SPDX-License-Identifier: Apache-2.0
// Beside the values of a configuration: where each was written, and what a machine's constants rest on.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/config/description.hpp"
#include "platform/config/source.hpp"

namespace gnomon::config {

/// What a constant of a machine profile rests on. `fitted` names the published figures it was fitted to: a figure
/// it then reproduces is no prediction.
enum class ProvenanceKind { measured, derived, fitted, assumed };
inline constexpr std::array provenance_names{
    EnumName{"measured", ProvenanceKind::measured}, EnumName{"derived", ProvenanceKind::derived},
    EnumName{"fitted", ProvenanceKind::fitted}, EnumName{"assumed", ProvenanceKind::assumed}};
std::string_view name_of(ProvenanceKind kind);

struct Provenance {
  ProvenanceKind kind = ProvenanceKind::assumed;
  std::string source;
  std::vector<std::string> fitted_to;
};

struct Origin {
  OriginKind kind = OriginKind::default_value;
  Location where;  ///< of the value; of a table, its header
  std::optional<Provenance> provenance;
};

/// Origins by dotted path ("device.0.model"). What is not in it has its default.
class Origins {
 public:
  const Origin* find(std::string_view path) const;
  /// Where to report what is wrong with `path`: its value, else the header of the nearest table around it, else
  /// 1:1.
  Location where(std::string_view path) const;
  bool is_default(std::string_view path) const { return find(path) == nullptr; }

  void record(std::string path, Origin origin) { by_path_.insert_or_assign(std::move(path), std::move(origin)); }
  const std::map<std::string, Origin, std::less<>>& all() const { return by_path_; }

 private:
  std::map<std::string, Origin, std::less<>> by_path_;
};

/// "default"; "scenario.toml:12"; "intel.toml:9 (machine profile)"; "scenario.toml:40 (variant strict)"; "--set".
std::string origin_text(const Origin* origin);

/// Fills the described object from `document`; reports everything that is wrong with it. A value in error, or
/// absent, leaves its member as it was.
Origins read(const Description& description, const Document& document, Diagnostics& diagnostics);

}  // namespace gnomon::config
