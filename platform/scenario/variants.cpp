// SPDX-License-Identifier: Apache-2.0
#include "platform/scenario/variants.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

namespace gnomon::scenario {
namespace {

using config::Diagnostics;
using config::FreeTable;
using config::Location;
using config::Origins;

constexpr std::array<std::string_view, 6> settable{"hypervisor", "guest", "iommu", "device", "workload", "faults"};
constexpr std::array<std::string_view, 7> fixed{"title", "source", "study", "trace", "variant", "matrix", "expect"};

std::string first_part(const std::string& path) {
  const auto parts = config::split_path(path);
  return parts && !parts->empty() ? parts->front().key : path;
}

void check_paths(const FreeTable& set, Study study, Diagnostics& diagnostics) {
  for (const FreeTable::Entry& entry : set.entries) {
    const std::string table = first_part(entry.path);
    if (std::find(settable.begin(), settable.end(), table) != settable.end()) continue;
    if (table == "machine") {
      if (study == Study::sensitivity) continue;
      diagnostics.error(entry.where, fmt::format("'{}' is not a variant's to set", entry.path),
                        "one machine serves all variants of a scenario, with one set of constants;\n"
                        "a study of a constant says so: study = \"sensitivity\"");
      continue;
    }
    // A table that no scenario has is the reader's to report.
    if (std::find(fixed.begin(), fixed.end(), table) == fixed.end()) continue;
    std::vector<std::string> accepted(settable.begin(), settable.end());
    diagnostics.error(entry.where, fmt::format("'{}' is not a variant's to set", entry.path),
                      config::hint(table, accepted));
  }
}

bool fits_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view{"-_.+,="}.find(c) != std::string_view::npos;
}

/// A name is a folder's too.
bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= 100 && name[0] != '.' && std::all_of(name.begin(), name.end(), fits_name);
}

void check_names(const std::vector<Variant>& variants, const Origins& origins, Diagnostics& diagnostics) {
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < variants.size(); ++i) {
    const std::string& name = variants[i].name;
    const Location where = origins.where(fmt::format("variant.{}.name", i));
    if (name.empty()) continue;  // reported already
    if (!is_name(name)) {
      diagnostics.error(where, fmt::format("\"{}\" is no name for a variant", name),
                        "accepted: up to 100 letters, digits and - _ . + , = that do not begin with a point");
    } else if (name == "summary.json" || name == "config.toml") {
      diagnostics.error(where, fmt::format("\"{}\" is the name of a file of the results", name));
    } else if (!seen.insert(name).second) {
      diagnostics.error(where, fmt::format("there are two variants named \"{}\"", name));
    }
  }
}

std::string value_text(const config::Node& node) {
  struct Text {
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(std::int64_t v) const { return fmt::format("{}", v); }
    std::string operator()(double v) const { return fmt::format("{}", v); }
    std::string operator()(const std::string& v) const { return v; }
    std::string operator()(const config::Date&) const { return "date"; }
    std::string operator()(const config::Items&) const { return "list"; }
    std::string operator()(const config::Members&) const { return "table"; }
  };
  std::string text = std::visit(Text{}, node.value);
  for (char& c : text)
    if (!fits_name(c)) c = '_';
  return text;
}

/// One axis of the matrix: the path, what names its values, the values.
struct Axis {
  const FreeTable::Entry* entry;
  std::string key;
  const config::Items* values;
};

/// The name of a value that says itself what it sets.
const std::string* name_of(const config::Node& value) {
  const config::Member* name = value.find("name");
  return name == nullptr ? nullptr : name->value->text();
}

/// What such a value sets. An error where it is not `set`, a table.
FreeTable settings_of(const config::Node& value, Diagnostics& diagnostics) {
  FreeTable set;
  for (const config::Member& member : *value.table()) {
    if (member.key == "name") continue;
    if (member.key == "set" && member.value->table() != nullptr) {
      for (const config::Member& entry : *member.value->table()) {
        set.entries.push_back({entry.key, entry.where, entry.value});
      }
    } else {
      diagnostics.error(member.where, fmt::format("a named value of the matrix has no '{}'", member.key),
                        "accepted: name = \"...\", set = { ... }");
    }
  }
  return set;
}

std::vector<Axis> read_axes(const ScenarioFile& file, Diagnostics& diagnostics) {
  std::vector<Axis> axes;
  for (const FreeTable::Entry& entry : file.matrix.entries) {
    const config::Items* values = entry.value->array();
    if (values == nullptr || values->empty()) {
      diagnostics.error(entry.value->where, fmt::format("'matrix.\"{}\"' expects a list of values", entry.path),
                        "for instance [1, 2, 4]");
      continue;
    }
    axes.push_back({&entry, entry.path.substr(entry.path.rfind('.') + 1), values});
  }
  for (Axis& axis : axes) {
    const auto same = std::count_if(axes.begin(), axes.end(), [&](const Axis& a) { return a.key == axis.key; });
    if (same > 1) axis.key = axis.entry->path;
  }
  return axes;
}

/// A path is checked unless every value brings paths of its own; those are checked instead.
void check_axis(const Axis& axis, Study study, Diagnostics& diagnostics) {
  bool plain = false;
  for (const config::NodePtr& value : *axis.values) {
    if (name_of(*value) == nullptr) {
      plain = true;
    } else {
      check_paths(settings_of(*value, diagnostics), study, diagnostics);
    }
  }
  if (plain) check_paths(FreeTable{{*axis.entry}}, study, diagnostics);
}

std::vector<Variant> multiplied(const std::vector<Variant>& variants, const Axis& axis, bool named) {
  std::vector<Variant> out;
  for (const Variant& variant : variants) {
    for (const config::NodePtr& value : *axis.values) {
      Variant one = variant;
      if (const std::string* name = name_of(*value)) {
        one.name = named || !variant.name.empty() ? fmt::format("{}-{}", variant.name, *name) : *name;
        Diagnostics told_before;
        const FreeTable set = settings_of(*value, told_before);
        one.set.entries.insert(one.set.entries.end(), set.entries.begin(), set.entries.end());
        out.push_back(std::move(one));
        continue;
      }
      const std::string part = fmt::format("{}={}", axis.key, value_text(*value));
      one.name = named || !variant.name.empty() ? fmt::format("{},{}", variant.name, part) : part;
      one.set.entries.push_back({axis.entry->path, value->where, value});
      out.push_back(std::move(one));
    }
  }
  return out;
}

}  // namespace

std::vector<Variant> expand_variants(const ScenarioFile& file, const Origins& origins, Diagnostics& diagnostics) {
  check_names(file.variants, origins, diagnostics);
  for (const Variant& variant : file.variants) check_paths(variant.set, file.study, diagnostics);

  const std::vector<Axis> axes = read_axes(file, diagnostics);
  for (const Axis& axis : axes) check_axis(axis, file.study, diagnostics);
  std::vector<Variant> variants = file.variants;
  if (variants.empty()) variants.push_back({axes.empty() ? "default" : "", {}});
  for (const Axis& axis : axes) {
    if (variants.size() * axis.values->size() > max_variants) {
      diagnostics.error(axis.entry->where, fmt::format("the matrix makes more than {} variants", max_variants));
      return file.variants;
    }
    variants = multiplied(variants, axis, !file.variants.empty());
  }
  std::set<std::string> seen;
  for (const Variant& variant : variants) {
    if (!axes.empty() && !seen.insert(variant.name).second)
      diagnostics.error(origins.where("matrix"),
                        fmt::format("the matrix makes two variants named \"{}\"", variant.name),
                        "a variant is named by its values, in which _ stands for what a name cannot hold");
  }
  return variants;
}

}  // namespace gnomon::scenario
