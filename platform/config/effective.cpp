// SPDX-License-Identifier: Apache-2.0
// Writing the effective configuration.
#include "platform/config/effective.hpp"

#include <fmt/format.h>

#include "platform/config/row_text.hpp"

namespace gnomon::config {
namespace {

/// A node of a free table as inline TOML. Depth is bounded by max_depth.
std::string inline_toml(const Node& node) {
  struct Writer {
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
    std::string operator()(double value) const {
      auto text = fmt::format("{}", value);
      return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
    }
    std::string operator()(const std::string& value) const { return quoted(value); }
    std::string operator()(const Date&) const { return "\"(a date)\""; }
    std::string operator()(const Items& items) const {
      std::string out;
      for (const auto& item : items) out += (out.empty() ? "" : ", ") + inline_toml(*item);
      return "[" + out + "]";
    }
    std::string operator()(const Members& members) const {
      std::string out;
      for (const auto& m : members)
        out += fmt::format("{}{} = {}", out.empty() ? "" : ", ", join_path("", m.key), inline_toml(*m.value));
      return members.empty() ? "{}" : "{ " + out + " }";
    }
  };
  return std::visit(Writer{}, node.value);
}

std::string comment(const Origin* origin) {
  auto text = origin_text(origin);
  if (origin && origin->provenance) {
    const auto& p = *origin->provenance;
    text += fmt::format("; {}", name_of(p.kind));
    if (!p.fitted_to.empty()) text += fmt::format(" to {}", fmt::join(p.fitted_to, ", "));
    text += fmt::format("; {}", p.source);
  }
  return printable(text);
}

class Writer {
 public:
  explicit Writer(const Origins& origins) : origins_(origins) {}

  /// TOML wants a table's own values before its sub-tables.
  void table(const Description& description, const std::string& path, const std::string& header_path) {
    for (const auto& row : description.rows())
      if (row.kind < Kind::table && applies(row, description)) value(row, join_path(path, row.name));
    for (const auto& row : description.rows()) {
      if (row.kind < Kind::table || !applies(row, description)) continue;
      nested(row, join_path(path, row.name), join_path(header_path, row.name));
    }
  }

  std::string take() { return std::move(out_); }

 private:
  void value(const Row& row, const std::string& path) {
    const auto value = row.get();
    const auto key = join_path("", row.name);
    if (std::holds_alternative<std::monostate>(value)) {
      out_ += fmt::format("# {} is not set\n", key);
    } else {
      out_ += fmt::format("{} = {}  # {}\n", key, literal(row, value), comment(origins_.find(path)));
    }
  }

  void nested(const Row& row, const std::string& path, const std::string& header_path) {
    if (row.kind == Kind::free_table) {
      if (row.free->entries.empty()) return;
      header("[" + header_path + "]", origins_.find(path));
      for (const auto& entry : row.free->entries)
        out_ += fmt::format("{} = {}\n", join_path("", entry.path), inline_toml(*entry.value));
    } else if (row.kind == Kind::tables) {
      std::size_t number = 0;
      for (const auto& element : row.elements()) {
        const auto item_path = fmt::format("{}.{}", path, number++);
        header("[[" + header_path + "]]", origins_.find(item_path));
        table(element, item_path, header_path);
      }
    } else if (row.present()) {
      header("[" + header_path + "]", nullptr);
      table(row.open(), path, header_path);
    }
  }

  void header(const std::string& text, const Origin* origin) {
    out_ += fmt::format("{}{}", out_.empty() ? "" : "\n", text);
    out_ += origin ? fmt::format("  # {}\n", comment(origin)) : std::string{"\n"};
  }

  const Origins& origins_;
  std::string out_;
};

}  // namespace

std::string effective_toml(const Description& description, const Origins& origins) {
  Writer writer{origins};
  writer.table(description, "", "");
  return writer.take();
}

}  // namespace gnomon::config
