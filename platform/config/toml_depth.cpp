// SPDX-License-Identifier: Apache-2.0
// A scan of TOML text for its depth, before a recursive parser sees it.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "platform/config/toml_parser.hpp"

namespace gnomon::config {
namespace {

/// Knows just enough TOML to tell strings and comments from structure. On malformed text it may go astray only
/// behind the first syntax error, which the parser does not pass either.
class DepthScan {
 public:
  explicit DepthScan(std::string_view text) : text_(text) {}

  std::optional<SyntaxError> run() {
    bool statement_start = true;
    while (position_ < text_.size()) {
      const char c = text_[position_];
      if (c == '\n') {
        end_line();
        statement_start = open_.empty();
        continue;
      }
      if (statement_start && c != ' ' && c != '\t' && c != '\r') {
        statement_start = false;
        in_header_ = c == '[';
        if (in_header_) header_ = 0;
      }
      const auto column = static_cast<unsigned>(position_ - line_start_ + 1);
      step(c);
      if (header_ + enclosing_ + dots_ > max_depth)
        return SyntaxError{line_, column, fmt::format("nests deeper than {} levels", max_depth)};
    }
    return std::nullopt;
  }

 private:
  void end_line() {
    if (in_header_) header_ = dots_ + 1;
    in_header_ = false;
    dots_ = 0;
    ++line_;
    line_start_ = ++position_;
  }

  void step(char c) {
    switch (c) {
      case '"':
      case '\'': skip_string(c); return;
      case '#': position_ = std::min(text_.find('\n', position_), text_.size()); return;
      case '.': ++dots_; break;
      case ',': dots_ = 0; break;
      case '[':
      case '{':
        if (in_header_) break;
        open_.push_back(dots_ + 1);
        enclosing_ += dots_ + 1;
        dots_ = 0;
        break;
      case ']':
      case '}':
        if (in_header_ || open_.empty()) break;
        enclosing_ -= open_.back();
        open_.pop_back();
        dots_ = 0;
        break;
      default: break;
    }
    ++position_;
  }

  void skip_string(char quote) {
    const bool escapes = quote == '"';
    const std::string triple(3, quote);
    const bool multi_line = text_.substr(position_, 3) == triple;
    position_ += multi_line ? 3 : 1;
    while (position_ < text_.size()) {
      const char c = text_[position_];
      if (c == '\n') {
        if (!multi_line) return;
        ++line_;
        line_start_ = position_ + 1;
      }
      if (c == '\\' && escapes && position_ + 1 < text_.size() && text_[position_ + 1] != '\n') {
        position_ += 2;
      } else if (multi_line && text_.substr(position_, 3) == triple) {
        position_ += 3;
        // TOML 1.0: up to two quotes may stand before the closing three.
        for (int extra = 0; extra < 2 && position_ < text_.size() && text_[position_] == quote; ++extra)
          ++position_;
        return;
      } else {
        ++position_;
        if (!multi_line && c == quote) return;
      }
    }
  }

  std::string_view text_;
  std::size_t position_ = 0, line_start_ = 0;
  unsigned line_ = 1;
  std::vector<std::size_t> open_;  ///< what each open bracket adds to the depth
  std::size_t enclosing_ = 0;      ///< their sum
  std::size_t header_ = 0;         ///< depth of the current table header
  std::size_t dots_ = 0;           ///< in the current key
  bool in_header_ = false;
};

}  // namespace

std::optional<SyntaxError> find_excessive_depth(std::string_view text) {
  return DepthScan{text}.run();
}

}  // namespace gnomon::config
