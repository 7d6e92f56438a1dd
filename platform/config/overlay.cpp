// SPDX-License-Identifier: Apache-2.0
// Values laid over a document: --set, a variant's `set` table, one document over another.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "platform/config/document.hpp"
#include "platform/config/toml_parser.hpp"

namespace gnomon::config {
namespace {

std::size_t code_point_count(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

Location shifted(Location where, std::size_t columns) {
  where.column += static_cast<unsigned>(columns);
  return where;
}

/// `over` on top of `base`: tables are merged, anything else is replaced.
NodePtr merged(const NodePtr& base, const NodePtr& over) {
  if (!base || !base->table() || !over->table()) return over;
  auto result = std::make_shared<Node>(*base);
  auto& members = std::get<Members>(result->value);
  std::map<std::string_view, std::size_t> places;
  for (std::size_t i = 0; i < base->table()->size(); ++i) places.emplace((*base->table())[i].key, i);
  for (const auto& member : *over->table()) {
    const auto same = places.find(member.key);
    if (same == places.end()) {
      members.push_back(member);
    } else {
      auto& place = members[same->second];
      place = {member.key, member.where, merged(place.value, member.value)};
    }
  }
  return result;
}

/// Where one value goes, and where its path was written.
struct Target {
  std::vector<PathPart> path;
  Location where;  ///< of the path's first character

  Location at(std::size_t part) const { return shifted(where, path[part].offset); }
  std::string up_to(std::size_t part) const {
    std::string name;
    for (std::size_t i = 0; i < part; ++i) name = join_path(name, path[i].key);
    return name;
  }
};

std::optional<std::size_t> item_number(const std::string& key) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
  if (error != std::errc{} || end != key.data() + key.size()) return std::nullopt;
  return number;
}

NodePtr placed(const NodePtr& node, const Target& target, std::size_t part, const NodePtr& value,
               Diagnostics& diagnostics);

NodePtr placed_in_array(const NodePtr& node, const Target& target, std::size_t part, const NodePtr& value,
                        Diagnostics& diagnostics) {
  const auto count = node->array()->size();
  const auto number = item_number(target.path[part].key);
  if (!number || *number >= count) {
    diagnostics.error(target.at(part),
                      fmt::format("'{}' has no item '{}'", target.up_to(part), target.path[part].key),
                      count == 0 ? "it is empty" : fmt::format("accepted: 0 to {}", count - 1));
    return nullptr;
  }
  auto item = placed((*node->array())[*number], target, part + 1, value, diagnostics);
  if (!item) return nullptr;
  auto result = std::make_shared<Node>(*node);
  std::get<Items>(result->value)[*number] = std::move(item);
  return result;
}

/// `node` with `value` at the rest of the path, from `part` on; null after an error. `node` may be null: not there
/// yet.
NodePtr placed(const NodePtr& node, const Target& target, std::size_t part, const NodePtr& value,
               Diagnostics& diagnostics) {
  if (part == target.path.size()) return merged(node, value);
  if (node && node->array()) return placed_in_array(node, target, part, value, diagnostics);
  if (node && !node->table()) {
    diagnostics.error(target.at(part - 1),
                      fmt::format("'{}' is {}, not a table", target.up_to(part), node->kind_name()));
    return nullptr;
  }
  auto result = node ? std::make_shared<Node>(*node) : std::make_shared<Node>(Node{Members{}, target.at(part), {}});
  auto& members = std::get<Members>(result->value);
  const auto& key = target.path[part].key;
  const auto found = std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.key == key; });
  const bool last = part + 1 == target.path.size();
  auto below = placed(found == members.end() ? nullptr : found->value, target, part + 1, value, diagnostics);
  if (!below) return nullptr;
  if (found == members.end()) {
    members.push_back({key, target.at(part), std::move(below)});
  } else {
    found->value = std::move(below);
    if (last) found->where = target.at(part);
  }
  return result;
}

/// `node` with every position of it said to come from a variant.
NodePtr relabelled(const NodePtr& node, const std::shared_ptr<const Source>& source) {
  auto result = std::make_shared<Node>(*node);
  result->where.source = source;
  if (auto* items = std::get_if<Items>(&result->value)) {
    for (auto& item : *items) item = relabelled(item, source);
  } else if (auto* members = std::get_if<Members>(&result->value)) {
    for (auto& member : *members) {
      member.where.source = source;
      member.value = relabelled(member.value, source);
    }
  }
  return result;
}

/// VALUE of a --set: TOML where it is exactly one TOML value, else a string. `offset`: its place in the argument.
NodePtr setting_value(std::string_view text, std::size_t offset, const std::shared_ptr<const Source>& source) {
  constexpr std::string_view before = "v=";
  const auto line = std::string{before} + std::string{text};
  const auto shift = [&](const Location& where) {
    return Location{source, 1, static_cast<unsigned>(where.column + offset - before.size())};
  };
  SyntaxError error;
  NodePtr parsed;
  const bool one_line = text.find('\n') == std::string_view::npos;
  if (one_line) parsed = parse_toml(line, source, error);
  const auto* member = parsed ? parsed->find("v") : nullptr;
  if (!member || parsed->table()->size() != 1)
    return std::make_shared<Node>(Node{std::string{text}, {source, 1, static_cast<unsigned>(offset + 1)}, {}});
  const auto moved = [&](const auto& self, const NodePtr& node) -> NodePtr {
    auto result = std::make_shared<Node>(*node);
    result->where = shift(node->where);
    if (auto* items = std::get_if<Items>(&result->value)) {
      for (auto& item : *items) item = self(self, item);
    } else if (auto* members = std::get_if<Members>(&result->value)) {
      for (auto& m : *members) m = {m.key, shift(m.where), self(self, m.value)};
    }
    return result;
  };
  auto result = std::make_shared<Node>(*moved(moved, member->value));
  result->raw = text;
  return result;
}

}  // namespace

const Node* Document::find(std::string_view path) const {
  const auto parts = split_path(path);
  if (!parts) return nullptr;
  const Node* node = root_.get();
  for (const auto& part : *parts) {
    if (const auto* items = node->array()) {
      const auto number = item_number(part.key);
      if (!number || *number >= items->size()) return nullptr;
      node = (*items)[*number].get();
    } else {
      const auto* member = node->find(part.key);
      if (!member) return nullptr;
      node = member->value.get();
    }
  }
  return node;
}

Document Document::with_setting(std::string_view argument, Diagnostics& diagnostics) const {
  const auto text = std::make_shared<const std::string>(argument);
  const auto source = std::make_shared<const Source>(Source{"--set", OriginKind::command_line, {}, text});
  const Location start{source, 1, 1};
  if (!is_utf8(argument) || argument.find('\0') != std::string_view::npos) {
    diagnostics.error(start, "is not UTF-8 text");
    return *this;
  }
  const auto equals = argument.find('=');
  auto path = split_path(argument.substr(0, equals));
  if (equals == std::string_view::npos || !path) {
    diagnostics.error(start, "expected PATH=VALUE", "for instance --set guest.vcpus=4");
    return *this;
  }
  if (argument.size() > max_file_bytes) {
    diagnostics.error(start, fmt::format("is larger than {} MiB", max_file_bytes >> 20));
    return *this;
  }
  const auto value =
      setting_value(argument.substr(equals + 1), code_point_count(argument.substr(0, equals + 1)), source);
  auto root = placed(root_, {std::move(*path), start}, 0, value, diagnostics);
  return root ? Document{std::move(root)} : *this;
}

Document Document::with_variant(const FreeTable& set, std::string_view variant, Diagnostics& diagnostics) const {
  auto root = root_;
  if (set.entries.size() > max_settings) {
    diagnostics.error(set.entries[max_settings].where, fmt::format("sets more than {} values", max_settings));
    return *this;
  }
  for (const auto& entry : set.entries) {
    auto source = entry.where.source ? *entry.where.source : Source{};
    source.kind = OriginKind::variant;
    source.detail = variant;
    const auto labelled = std::make_shared<const Source>(std::move(source));
    auto where = entry.where;
    where.source = labelled;
    auto path = split_path(entry.path);
    if (!path) {
      diagnostics.error(where, fmt::format("'{}' is not a dotted path", entry.path),
                        "for instance \"guest.vcpus\"");
      continue;
    }
    // In a quoted key a part of the path has a column of its own, unless escapes moved it.
    const auto line = line_at(where);
    std::size_t at = 0;
    for (unsigned column = 1; column < where.column && at < line.size(); ++column)
      at += std::max<std::size_t>(utf8_length(line.substr(at)), 1);
    const auto written = line.substr(std::min(at, line.size()));
    if (!written.empty() && (written[0] == '"' || written[0] == '\'') &&
        written.substr(1).starts_with(entry.path)) {
      where = shifted(where, 1);
    } else {
      for (auto& part : *path) part.offset = 0;
    }
    if (auto next = placed(root, {std::move(*path), where}, 0, relabelled(entry.value, labelled), diagnostics))
      root = std::move(next);
  }
  return Document{std::move(root)};
}

Document Document::with(std::string_view path, const Document& other, Diagnostics& diagnostics) const {
  if (path.empty()) return Document{merged(root_, other.root_)};
  auto parts = split_path(path);
  if (!parts) return *this;
  for (auto& part : *parts) part.offset = 0;
  auto root = placed(root_, {std::move(*parts), other.root_->where}, 0, other.root_, diagnostics);
  return root ? Document{std::move(root)} : *this;
}

}  // namespace gnomon::config
