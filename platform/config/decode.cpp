// SPDX-License-Identifier: Apache-2.0
// Scalars and lists: from TOML nodes to checked values.
#include "platform/config/decode.hpp"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "platform/config/row_text.hpp"

namespace gnomon::config {
namespace {

std::string accepted_note(const Row& row) {
  if (row.kind == Kind::integer && row.unit != Unit::none) return "accepted units: " + accepted_units(row.unit);
  const auto accepted = accepted_text(row);
  return accepted.empty() ? "" : "accepted: " + accepted;
}

class Decoder {
 public:
  Decoder(const Row& row, const Node& node, const std::string& path, Diagnostics& diagnostics)
      : row_(row), node_(node), path_(path), diagnostics_(diagnostics) {}

  std::optional<FieldValue> scalar() const {
    // "--set guest.kernel=6.12" is a number to TOML, and the text "6.12" to a key that takes text.
    const bool wants_text = row_.kind == Kind::text || row_.kind == Kind::choice ||
                            (row_.kind == Kind::integer && row_.unit != Unit::none);
    const bool typed = wants_text && !node_.raw.empty() && !node_.text() && !node_.array() && !node_.table();
    const auto* text = typed ? &node_.raw : node_.text();
    switch (row_.kind) {
      case Kind::boolean:
        if (const auto* value = std::get_if<bool>(&node_.value)) return *value;
        break;
      case Kind::integer:
        if (row_.unit != Unit::none) return text ? quantity(*text) : bare_number();
        if (const auto* value = std::get_if<std::int64_t>(&node_.value)) return integer(*value);
        break;
      case Kind::real: return real();
      case Kind::text:
        if (text) return *text;
        break;
      case Kind::choice:
        if (text) return choice(*text);
        break;
      default: break;
    }
    report_wrong_kind(row_, node_, path_, diagnostics_);
    return std::nullopt;
  }

 private:
  std::optional<FieldValue> fail(const std::string& predicate, std::string note) const {
    diagnostics_.error(node_.where, fmt::format("'{}' {}", path_, predicate), std::move(note));
    return std::nullopt;
  }

  std::optional<FieldValue> bare_number() const {
    if (std::holds_alternative<std::int64_t>(node_.value) || std::holds_alternative<double>(node_.value))
      return fail("has no unit", fmt::format("accepted units: {}, as in \"{}\"", accepted_units(row_.unit),
                                             example_of(row_.unit)));
    report_wrong_kind(row_, node_, path_, diagnostics_);
    return std::nullopt;
  }

  std::optional<FieldValue> quantity(const std::string& text) const {
    auto parsed = parse_quantity(text, row_.unit);
    if (auto* error = std::get_if<QuantityError>(&parsed))
      return fail(fmt::format("{}: \"{}\"", error->message, text), std::move(error->note));
    const std::uint64_t value = std::get<std::uint64_t>(parsed);
    if (row_.unit == Unit::time && value > longest_span.ps())
      return fail(fmt::format("is longer than a simulation can be: \"{}\"", text),
                  "accepted: at most " + format_quantity(longest_span));
    return bounded(value);
  }

  std::optional<FieldValue> integer(std::int64_t value) const {
    if (value < 0) {
      const auto accepted = accepted_text(row_);
      return fail(fmt::format("is out of range: {}", value),
                  "accepted: " + (accepted.empty() ? "at least 0" : accepted));
    }
    return bounded(static_cast<std::uint64_t>(value));
  }

  std::optional<FieldValue> bounded(std::uint64_t value) const {
    const bool inside = value >= row_.bounds.min && value <= row_.bounds.max;
    if (inside && (!row_.is_power_of_two || std::has_single_bit(value))) return value;
    auto accepted = accepted_text(row_);
    if (accepted.empty()) accepted = fmt::format("at most {}", row_.bounds.max);
    return fail(
        fmt::format("is {}: {}", inside ? "no power of two" : "out of range", format_quantity(value, row_.unit)),
        "accepted: " + accepted);
  }

  std::optional<FieldValue> real() const {
    if (const auto* whole = std::get_if<std::int64_t>(&node_.value)) return static_cast<double>(*whole);
    const auto* value = std::get_if<double>(&node_.value);
    if (!value) {
      report_wrong_kind(row_, node_, path_, diagnostics_);
      return std::nullopt;
    }
    if (!std::isfinite(*value)) return fail("is not finite", "");
    return *value;
  }

  std::optional<FieldValue> choice(const std::string& text) const {
    if (std::find(row_.choices.begin(), row_.choices.end(), text) != row_.choices.end()) return text;
    return fail(fmt::format("does not take \"{}\"", text), diagnostics_.full() ? "" : hint(text, row_.choices));
  }

  const Row& row_;
  const Node& node_;
  const std::string& path_;
  Diagnostics& diagnostics_;
};

std::optional<FieldValue> list(const Row& row, const Node& node, const std::string& path,
                               Diagnostics& diagnostics) {
  std::vector<std::string> texts;
  std::vector<std::uint64_t> numbers;
  Row item_row = row;
  item_row.is_list = false;
  bool good = true;
  std::size_t number = 0;
  for (const auto& item : *node.array()) {
    const auto item_path = fmt::format("{}.{}", path, number++);
    const auto value = Decoder{item_row, *item, item_path, diagnostics}.scalar();
    if (!value) {
      good = false;
    } else if (row.kind == Kind::text) {
      texts.push_back(std::get<std::string>(*value));
    } else {
      numbers.push_back(std::get<std::uint64_t>(*value));
    }
  }
  if (!good) return std::nullopt;
  return row.kind == Kind::text ? FieldValue{std::move(texts)} : FieldValue{std::move(numbers)};
}

bool is_empty(const FieldValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return text->empty();
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) return texts->empty();
  const auto* numbers = std::get_if<std::vector<std::uint64_t>>(&value);
  return numbers && numbers->empty();
}

/// How a value of another kind than it has would be written.
std::string wrong_kind_note(const Row& row) {
  if (row.kind == Kind::table) return fmt::format("written [{}], its keys below", row.name);
  if (row.kind == Kind::tables) return fmt::format("each is written [[{}]], its keys below", row.name);
  if (row.is_list) return "a list is written in brackets, its items parted by commas";
  return accepted_note(row);
}

}  // namespace

void report_wrong_kind(const Row& row, const Node& node, const std::string& path, Diagnostics& diagnostics) {
  diagnostics.error(node.where, fmt::format("'{}' expects {}, got {}", path, expected_text(row), node.kind_name()),
                    wrong_kind_note(row));
}

std::optional<FieldValue> decode(const Row& row, const Node& node, const std::string& path,
                                 Diagnostics& diagnostics) {
  if (row.is_list && !node.array()) {
    report_wrong_kind(row, node, path, diagnostics);
    return std::nullopt;
  }
  auto value = row.is_list ? list(row, node, path, diagnostics) : Decoder{row, node, path, diagnostics}.scalar();
  if (value && row.is_filled && is_empty(*value)) {
    diagnostics.error(node.where, fmt::format("'{}' is empty", path));
    return std::nullopt;
  }
  return value;
}

}  // namespace gnomon::config
