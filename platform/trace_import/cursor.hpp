// SPDX-License-Identifier: Apache-2.0
// Reads one line of a trace from left to right. Nothing allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gnomon::trace_import {

/// Every reader either takes what it asks for off the front and returns true, or takes nothing and returns false.
class Cursor {
 public:
  explicit Cursor(std::string_view line) : line_(line) {}

  std::size_t position() const { return at_; }
  void move_to(std::size_t position) { at_ = position; }
  std::string_view rest() const { return line_.substr(at_); }
  bool at_end() const { return at_ == line_.size(); }
  char peek() const { return at_end() ? '\0' : line_[at_]; }

  bool literal(std::string_view text) {
    if (!rest().starts_with(text)) return false;
    at_ += text.size();
    return true;
  }

  void spaces() {
    while (at_ < line_.size() && line_[at_] == ' ') ++at_;
  }

  /// Decimal digits, at least one, within 64 bits.
  bool decimal(std::uint64_t& value) {
    std::uint64_t read = 0;
    std::size_t i = at_;
    for (; i < line_.size() && line_[i] >= '0' && line_[i] <= '9'; ++i) {
      const auto digit = static_cast<std::uint64_t>(line_[i] - '0');
      if (i - at_ >= 19 && (__builtin_mul_overflow(read, 10u, &read) || __builtin_add_overflow(read, digit, &read)))
        return false;
      if (i - at_ < 19) read = read * 10 + digit;
    }
    if (i == at_) return false;
    at_ = i;
    value = read;
    return true;
  }

  /// 1 to 16 hexadecimal digits, without 0x.
  bool hexadecimal(std::uint64_t& value) {
    std::uint64_t read = 0;
    std::size_t i = at_;
    for (; i < line_.size(); ++i) {
      const unsigned digit = digit_of(line_[i]);
      if (digit > 15) break;
      if (read >> 60 != 0) return false;
      read = read << 4 | digit;
    }
    if (i == at_) return false;
    at_ = i;
    value = read;
    return true;
  }

  /// "0x" and hexadecimal digits.
  bool hexadecimal_0x(std::uint64_t& value) {
    const std::size_t before = at_;
    if (literal("0x") && hexadecimal(value)) return true;
    at_ = before;
    return false;
  }

  /// What comes before the next space or the end; at least one character.
  bool word(std::string_view& text) { return before(' ', text) || to_end(text); }

  /// What comes before the next `mark`, which stays; at least one character.
  bool before(char mark, std::string_view& text) {
    const std::size_t end = line_.find(mark, at_);
    if (end == std::string_view::npos || end == at_) return false;
    text = line_.substr(at_, end - at_);
    at_ = end;
    return true;
  }

  /// "SECONDS.FRACTION", the fraction of 1 to 9 digits, in nanoseconds.
  bool seconds(std::uint64_t& ns) {
    const std::size_t start = at_;
    std::uint64_t whole = 0, fraction = 0;
    if (!decimal(whole) || !literal(".")) return back(start);
    const std::size_t digits_at = at_;
    if (!decimal(fraction) || at_ - digits_at > 9) return back(start);
    for (std::size_t i = at_ - digits_at; i < 9; ++i) fraction *= 10;
    if (__builtin_mul_overflow(whole, std::uint64_t{1'000'000'000}, &whole) ||
        __builtin_add_overflow(whole, fraction, &ns))
      return back(start);
    return true;
  }

 private:
  bool back(std::size_t position) {
    at_ = position;
    return false;
  }
  bool to_end(std::string_view& text) {
    if (at_end()) return false;
    text = rest();
    at_ = line_.size();
    return true;
  }
  static unsigned digit_of(char c) {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? static_cast<unsigned>(lower - 'a') + 10 : 16;
  }

  std::string_view line_;
  std::size_t at_ = 0;
};

}  // namespace gnomon::trace_import
