// SPDX-License-Identifier: Apache-2.0
// A document read through a description.
#include <fmt/format.h>

#include <set>

#include "platform/config/decode.hpp"
#include "platform/config/origins.hpp"
#include "platform/config/row_text.hpp"

namespace gnomon::config {
namespace {

OriginKind kind_of(const Node& node) {
  return node.where.source ? node.where.source->kind : OriginKind::scenario;
}

void describe(Description& d, Provenance& p) {
  d.choice("kind", p.kind, provenance_names, "what the constant rests on").required();
  d.field("source", p.source, "where it is from").required().not_empty();
  d.field("fitted_to", p.fitted_to, "the figures it was fitted to")
      .required()
      .not_empty()
      .only_for("kind", {"fitted"});
}

std::string in_table(const std::string& path, bool element) {
  if (path.empty()) return "at the top level";
  return element ? fmt::format("in [[{}]]", path.substr(0, path.rfind('.'))) : fmt::format("in [{}]", path);
}

class Reader {
 public:
  /// `inside_provenance`: the values read stand in a constant's table already.
  Reader(Diagnostics& diagnostics, Origins& origins, bool inside_provenance)
      : diagnostics_(diagnostics), origins_(origins), inside_provenance_(inside_provenance) {}

  /// `node`: the table, or null where the file has none; then `header` is where a missing key is reported.
  void table(const Description& description, const Node* node, const Location& header, const std::string& path,
             bool element = false) {
    std::set<std::string_view> in_error;  // a choice in error must not make the keys it governs errors too
    for (const auto& row : description.rows()) {
      const auto* member = node ? node->find(row.name) : nullptr;
      const bool unsure = in_error.contains(row.only_key);
      if (!unsure && !applies(row, description)) {
        if (member) not_for_choice(row, description, *member);
      } else if (member) {
        if (!value(row, *member->value, join_path(path, row.name))) in_error.insert(row.name);
      } else if (!unsure) {
        absent(row, node != nullptr, header, path, element);
        if (row.is_required) in_error.insert(row.name);
      }
    }
    if (!node) return;
    std::vector<std::string> names;
    for (const auto& row : description.rows()) names.push_back(row.name);
    for (const auto& member : *node->table()) {
      if (description.find(member.key)) continue;
      diagnostics_.error(member.where, fmt::format("unknown key '{}' {}", member.key, in_table(path, element)),
                         diagnostics_.full() ? "" : hint(member.key, names));
    }
  }

 private:
  void not_for_choice(const Row& row, const Description& description, const Member& member) {
    const auto* key = description.find(row.only_key);
    const auto current = key->get();
    const auto text = std::holds_alternative<std::monostate>(current) ? "absent" : literal(*key, current);
    diagnostics_.error(member.where, fmt::format("'{}' does not apply: '{}' is {}", row.name, row.only_key, text),
                       fmt::format("it belongs to {} = {}", row.only_key, fmt::join(row.only_names, ", ")));
  }

  void absent(const Row& row, bool table_present, const Location& header, const std::string& path, bool element) {
    if (row.is_required) {
      const auto where = table_present ? fmt::format("'{}' {}", row.name, in_table(path, element))
                                       : fmt::format("'{}'", join_path(path, row.name));
      std::string note;
      if (row.kind == Kind::table)
        note = fmt::format("expected a table [{}]", join_path(path, row.name));
      else if (row.kind == Kind::tables)
        note = fmt::format("expected at least one [[{}]]", join_path(path, row.name));
      else if (!row.doc.empty())
        note = fmt::format("{}: {}", type_text(row), row.doc);
      if (const auto accepted = accepted_text(row); !accepted.empty()) note += "\naccepted: " + accepted;
      diagnostics_.error(header, fmt::format("missing {} {}", is_table(row) ? "table" : "key", where),
                         std::move(note));
    } else if (row.kind == Kind::table && !row.is_optional) {
      table(row.open(), nullptr, header, join_path(path, row.name));
    }
  }

  static bool is_table(const Row& row) { return row.kind >= Kind::table; }

  bool wrong_kind(const Row& row, const Node& node, const std::string& path) {
    report_wrong_kind(row, node, path, diagnostics_);
    return false;
  }

  bool value(const Row& row, const Node& node, const std::string& path) {
    switch (row.kind) {
      case Kind::table:
        if (!node.table()) return wrong_kind(row, node, path);
        origins_.record(path, {kind_of(node), node.where, {}});
        table(row.open(), &node, node.where, path);
        return true;
      case Kind::tables: return tables(row, node, path);
      case Kind::free_table: return free_table(row, node, path);
      default: break;
    }
    const bool in_profile = !inside_provenance_ && kind_of(node) == OriginKind::machine_profile;
    const bool constant = row.is_constant || (in_profile && (row.kind == Kind::integer || row.kind == Kind::real));
    if (constant && node.table()) return with_provenance(row, node, path);
    if (constant && in_profile) {
      diagnostics_.error(node.where, fmt::format("'{}' does not say where it is from", path),
                         "a constant of a machine profile is { value = …, kind = \"…\", source = \"…\" }\n"
                         "accepted kinds: measured, derived, fitted (with fitted_to = [\"…\"]), assumed");
      return false;
    }
    const auto decoded = decode(row, node, path, diagnostics_);
    if (!decoded) return false;
    row.set(*decoded);
    origins_.record(path, {kind_of(node), node.where, {}});
    return true;
  }

  /// { value, kind, source, fitted_to }: read as a table of its own, whose `value` is the row.
  bool with_provenance(const Row& row, const Node& node, const std::string& path) {
    Provenance provenance;
    Description description;
    describe(description, provenance);
    bool assigned = false;
    Row inner = row;
    inner.name = "value";
    inner.is_constant = false;
    inner.is_required = true;
    inner.only_key.clear();
    inner.set = [&](const FieldValue& value) {
      row.set(value);
      assigned = true;
    };
    description.adopt(std::move(inner));
    Origins inner_origins;
    Reader{diagnostics_, inner_origins, true}.table(description, &node, node.where, path);
    if (!assigned) return false;
    const auto& value = *node.find("value")->value;
    // A value that a variant put into the profile's table no longer rests on the profile's source.
    const bool its_own = kind_of(value) == kind_of(node);
    origins_.record(path,
                    {kind_of(value), value.where, its_own ? std::optional{std::move(provenance)} : std::nullopt});
    return true;
  }

  bool tables(const Row& row, const Node& node, const std::string& path) {
    if (!node.array()) return wrong_kind(row, node, path);
    origins_.record(path, {kind_of(node), node.where, {}});
    if (node.array()->size() > max_tables) {
      diagnostics_.error((*node.array())[max_tables]->where,
                         fmt::format("'{}' has more than {} tables", path, max_tables));
      return false;
    }
    row.clear();
    std::size_t number = 0;
    for (const auto& item : *node.array()) {
      const auto item_path = fmt::format("{}.{}", path, number++);
      if (!item->table()) {
        diagnostics_.error(item->where, fmt::format("'{}' expects a table, got {}", item_path, item->kind_name()));
        continue;
      }
      origins_.record(item_path, {kind_of(*item), item->where, {}});
      table(row.append(), item.get(), item->where, item_path, true);
    }
    return true;
  }

  bool free_table(const Row& row, const Node& node, const std::string& path) {
    if (!node.table()) return wrong_kind(row, node, path);
    origins_.record(path, {kind_of(node), node.where, {}});
    row.free->entries.clear();
    for (const auto& member : *node.table()) row.free->entries.push_back({member.key, member.where, member.value});
    return true;
  }

  Diagnostics& diagnostics_;
  Origins& origins_;
  bool inside_provenance_;
};

}  // namespace

Origins read(const Description& description, const Document& document, Diagnostics& diagnostics) {
  Origins origins;
  const auto& root = document.root();
  origins.record("", {kind_of(root), root.where, {}});
  Reader{diagnostics, origins, false}.table(description, &root, root.where, "");
  return origins;
}

}  // namespace gnomon::config
