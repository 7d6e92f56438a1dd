// SPDX-License-Identifier: Apache-2.0
// The only user of toml++: turns its tree into ours. Its headers cost seconds of compile time, so they stop here.
#include "platform/config/toml_parser.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

// toml++ 3.3 asserts preconditions that malformed input breaks and its parser then handles ("[=" reaches
// parse_key). Its assertion would abort a debug build, and under NDEBUG becomes __builtin_assume for clang:
// undefined. NDEBUG decides between the two and overrides TOML_ASSERT, so it is taken away here; every build then
// runs the parser's own checks.
#undef NDEBUG
#define TOML_ASSERT(expr) static_cast<void>(0)
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace gnomon::config {
namespace {

class Converter {
 public:
  Converter(const std::shared_ptr<const Source>& source, SyntaxError& error) : source_(source), error_(error) {}

  NodePtr convert(const toml::node& from) {
    auto node = std::make_shared<Node>();
    node->where = at(from.source());
    if (const auto* table = from.as_table()) {
      node->value = members(*table);
    } else if (const auto* array = from.as_array()) {
      Items items;
      for (const auto& item : *array) items.push_back(convert(item));
      node->value = std::move(items);
    } else if (const auto* text = from.as_string()) {
      node->value = checked(text->get(), from.source());
    } else if (const auto* integer = from.as_integer()) {
      node->value = std::int64_t{integer->get()};
    } else if (const auto* real = from.as_floating_point()) {
      node->value = real->get();
    } else if (const auto* boolean = from.as_boolean()) {
      node->value = boolean->get();
    } else {
      node->value = Date{};
    }
    return node;
  }

  bool failed() const { return failed_; }

 private:
  Members members(const toml::table& table) {
    Members members;
    for (const auto& [key, value] : table)
      members.push_back({checked(std::string{key.str()}, key.source()), at(key.source()), convert(value)});
    std::stable_sort(members.begin(), members.end(), [](const Member& a, const Member& b) {
      return std::tuple{a.where.line, a.where.column} < std::tuple{b.where.line, b.where.column};
    });
    return members;
  }

  /// TOML can write U+0000 as an escape; nothing configured here may hold one.
  std::string checked(std::string text, const toml::source_region& region) {
    if (text.find('\0') != std::string::npos && !failed_) {
      failed_ = true;
      const auto where = at(region);
      error_ = {where.line, where.column, "a string must not contain U+0000"};
    }
    return text;
  }

  Location at(const toml::source_region& region) const {
    return {source_, std::max(1u, unsigned{region.begin.line}), std::max(1u, unsigned{region.begin.column})};
  }

  const std::shared_ptr<const Source>& source_;
  SyntaxError& error_;
  bool failed_ = false;
};

/// True where the code point at a position of `text` is beyond ASCII.
bool is_beyond_ascii(std::string_view text, unsigned line, unsigned column) {
  const auto copy = std::make_shared<const std::string>(text);
  auto rest = line_at({std::make_shared<const Source>(Source{{}, OriginKind::scenario, {}, copy}), line, column});
  for (unsigned c = 1; c < column && !rest.empty(); ++c)
    rest.remove_prefix(std::max<std::size_t>(utf8_length(rest), 1));
  return !rest.empty() && static_cast<unsigned char>(rest.front()) >= 0x80;
}

}  // namespace

NodePtr parse_toml(std::string_view text, const std::shared_ptr<const Source>& source, SyntaxError& error) {
  std::string safe{text};
  if (auto excess = guard(safe)) {
    error = std::move(*excess);
    return nullptr;
  }
  const auto result = toml::parse(std::string_view{safe}, std::string_view{});
  if (!result) {
    const auto position = result.error().source().begin;
    error = {std::max(1u, unsigned{position.line}), std::max(1u, unsigned{position.column}),
             std::string{result.error().description()}};
    if (is_beyond_ascii(text, error.line, error.column) && safe != text && is_utf8(text))
      error.message = "a character beyond ASCII belongs in quotes";
    return nullptr;
  }
  Converter converter(source, error);
  auto root = converter.convert(result.table());
  return converter.failed() ? nullptr : root;
}

}  // namespace gnomon::config
