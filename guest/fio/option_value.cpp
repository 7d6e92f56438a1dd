// SPDX-License-Identifier: Apache-2.0
// Values of fio options. Integers all the way; only percentiles, which decide nothing but a report, are doubles.
#include "guest/fio/option_value.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

#include "models/base/wide.hpp"

namespace gnomon::fio {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string quoted(std::string_view text) {
  std::string out(1, '\'');
  return out.append(text).append(1, '\'');
}

/// The multiplier of an integer's suffix; 0: not a suffix, or beyond 64 bits.
std::uint64_t multiplier(std::string_view suffix, unsigned kb_base) {
  if (suffix.empty() || suffix == "b") return 1;
  const auto power = std::string_view("kmgtp").find(suffix[0]);
  const auto rest = suffix.substr(1);
  if (power == std::string_view::npos || (rest != "" && rest != "b" && rest != "i" && rest != "ib")) return 0;
  const bool inverted = rest == "ib";
  const std::uint64_t base = inverted ? (kb_base == 1024 ? 1000 : 1024) : kb_base;
  std::uint64_t result = 1;
  for (std::size_t i = 0; i <= power; ++i) result *= base;
  return result;
}

/// Picoseconds of a time unit; 0: not a unit.
std::uint64_t unit_ps(std::string_view unit) {
  constexpr std::uint64_t second = 1'000'000'000'000;
  if (unit == "us" || unit == "usec") return second / 1'000'000;
  if (unit == "ms" || unit == "msec") return second / 1'000;
  if (unit == "s") return second;
  if (unit == "m") return second * 60;
  if (unit == "h") return second * 3'600;
  if (unit == "d") return second * 86'400;
  return 0;
}

constexpr std::string_view digits = "0123456789";

}  // namespace

Parsed<std::uint64_t> parse_integer(std::string_view text, unsigned kb_base) {
  const std::string word = lower(text);
  if (word.empty()) return {0, "an integer is missing"};
  if (word[0] == '-') return {0, quoted(text) + " is negative"};
  const bool hex = word.starts_with("0x");
  const char* first = word.data() + (hex ? 2 : word[0] == '+' ? 1 : 0);
  const char* last = word.data() + word.size();
  std::uint64_t value = 0;
  const auto [end, status] = std::from_chars(first, last, value, hex ? 16 : 10);
  if (status == std::errc::invalid_argument) return {0, quoted(text) + " is not an integer"};
  const std::string_view suffix(end, static_cast<std::size_t>(last - end));
  const std::uint64_t scale = multiplier(suffix, kb_base);
  if (scale == 0) return {0, quoted(text) + " is not an integer: " + quoted(suffix) + " is no suffix of k m g t p"};
  std::uint64_t result = 0;
  if (status != std::errc{} || __builtin_mul_overflow(value, scale, &result))
    return {0, quoted(text) + " exceeds 64 bits"};
  return {result, {}};
}

Parsed<Time> parse_time(std::string_view text, Time unit) {
  const std::string word = lower(text);
  const auto whole_end = std::min(word.find_first_not_of(digits), word.size());
  auto end = whole_end;
  std::string fraction;
  if (end < word.size() && word[end] == '.') {
    end = std::min(word.find_first_not_of(digits, whole_end + 1), word.size());
    fraction = word.substr(whole_end + 1, end - whole_end - 1);
  }
  if (whole_end == 0 && fraction.empty()) return {{}, quoted(text) + " is not a time"};
  const std::string suffix = word.substr(end);
  const std::uint64_t ps = suffix.empty() ? unit.ps() : unit_ps(suffix);
  if (ps == 0) return {{}, quoted(text) + " is not a time: the units are d h m s ms us"};
  if (whole_end > 19 || fraction.size() > 12) return {{}, quoted(text) + " has too many digits"};
  Wide value = 0;
  for (std::size_t i = 0; i < whole_end; ++i) value = value * 10 + static_cast<unsigned>(word[i] - '0');
  value *= ps;
  std::uint64_t part = 0, scale = 1;
  for (const char c : fraction) part = part * 10 + static_cast<unsigned>(c - '0'), scale *= 10;
  value += static_cast<Wide>(part) * ps / scale;
  if (value > Time::max().ps()) return {{}, quoted(text) + " exceeds the 213 days a simulation can count"};
  return {Time::ps(static_cast<std::uint64_t>(value)), {}};
}

Parsed<bool> parse_bool(std::string_view text) {
  if (text == "0" || text == "1") return {text == "1", {}};
  return {false, quoted(text) + " is neither 0 nor 1"};
}

Parsed<Amount> parse_amount(std::string_view text, unsigned kb_base) {
  if (!text.ends_with('%')) {
    const auto bytes = parse_integer(text, kb_base);
    return {{bytes.value, 0}, bytes.error};
  }
  const auto share = text.substr(0, text.size() - 1);
  std::uint32_t percent = 0;
  const auto [end, status] = std::from_chars(share.data(), share.data() + share.size(), percent);
  if (status != std::errc{} || end != share.data() + share.size() || percent < 1 || percent > 100)
    return {{}, quoted(text) + " is not a percentage of 1% to 100%"};
  return {{0, percent}, {}};
}

Parsed<PerDirection<std::uint64_t>> parse_per_direction(std::string_view text, unsigned kb_base,
                                                        PerDirection<std::uint64_t> current) {
  std::uint64_t values[3] = {current.read, current.write, 0};
  std::size_t place = 0;
  for (std::string_view rest = text;; ++place) {
    if (place == 3) return {current, quoted(text) + " has more than three values (read,write,trim)"};
    const auto comma = rest.find(',');
    const auto item = rest.substr(0, comma);
    if (!item.empty()) {
      const auto parsed = parse_integer(item, kb_base);
      if (!parsed) return {current, parsed.error};
      std::fill(values + place, values + 3, parsed.value);
    }
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  if (text.empty()) return {current, "an integer is missing"};
  return {{values[0], values[1]}, {}};
}

Parsed<std::vector<double>> parse_percentiles(std::string_view text) {
  constexpr std::size_t most = 20;  // FIO_IO_U_LIST_MAX_LEN
  std::vector<double> list;
  for (std::string_view rest = text;;) {
    const auto item = rest.substr(0, rest.find(':'));
    double value = 0;
    const auto [end, status] = std::from_chars(item.data(), item.data() + item.size(), value);
    if (status != std::errc{} || end != item.data() + item.size() || !(value > 0 && value <= 100))
      return {{}, quoted(item) + " is not a percentile above 0 and up to 100"};
    list.push_back(value);
    if (item.size() == rest.size()) break;
    rest.remove_prefix(item.size() + 1);
  }
  if (list.size() > most) return {{}, "more than 20 percentiles"};
  std::sort(list.begin(), list.end());
  return {std::move(list), {}};
}

std::string_view nearest(std::string_view given, const std::vector<std::string_view>& candidates) {
  const std::string word = lower(given);
  std::string_view best;
  std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;
  std::vector<std::size_t> row;
  for (const auto candidate : candidates) {
    row.resize(candidate.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= word.size(); ++i) {  // Levenshtein, one row at a time
      std::size_t diagonal = std::exchange(row[0], i);
      for (std::size_t j = 1; j <= candidate.size(); ++j) {
        const std::size_t replaced = diagonal + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        diagonal = std::exchange(row[j], std::min({replaced, row[j] + 1, row[j - 1] + 1}));
      }
    }
    const bool alike = row.back() < std::max(word.size(), candidate.size());  // a letter in common
    if (alike && row.back() < least) least = row.back(), best = candidate;
  }
  return best;
}

}  // namespace gnomon::fio
