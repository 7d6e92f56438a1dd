// SPDX-License-Identifier: Apache-2.0
// Look-up and wording of origins.
#include "platform/config/origins.hpp"

#include <fmt/format.h>

namespace gnomon::config {

std::string_view name_of(ProvenanceKind kind) {
  for (const auto& entry : provenance_names)
    if (entry.value == kind) return entry.name;
  return "";
}

const Origin* Origins::find(std::string_view path) const {
  const auto found = by_path_.find(path);
  return found == by_path_.end() ? nullptr : &found->second;
}

Location Origins::where(std::string_view path) const {
  for (;;) {
    if (const auto* origin = find(path)) return origin->where;
    if (path.empty()) return {};
    const auto dot = path.rfind('.');
    path = dot == std::string_view::npos ? std::string_view{} : path.substr(0, dot);
  }
}

std::string origin_text(const Origin* origin) {
  if (!origin || origin->kind == OriginKind::default_value) return "default";
  if (origin->kind == OriginKind::command_line) return "--set";
  const auto place = fmt::format("{}:{}", printable(origin->where.file()), origin->where.line);
  if (origin->kind == OriginKind::scenario) return place;
  const auto& detail = origin->where.source ? origin->where.source->detail : std::string{};
  return fmt::format("{} ({}{}{})", place, name_of(origin->kind), detail.empty() ? "" : " ", printable(detail));
}

}  // namespace gnomon::config
