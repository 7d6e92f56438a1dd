// SPDX-License-Identifier: Apache-2.0
// Exact decimal arithmetic on quantities.
#include "platform/config/quantity.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "platform/config/diagnostics.hpp"

namespace gnomon::config {
namespace {

struct UnitName {
  std::string_view name;
  std::uint64_t factor;  ///< in base units
};

constexpr std::uint64_t kilo = 1'000, mega = kilo * kilo, giga = mega * kilo, tera = giga * kilo;
constexpr std::uint64_t kibi = 1'024, mebi = kibi * kibi, gibi = mebi * kibi, tebi = gibi * kibi;

constexpr std::array time_units{UnitName{"ps", 1}, UnitName{"ns", kilo}, UnitName{"us", mega}, UnitName{"ms", giga},
                                UnitName{"s", tera}};
constexpr std::array byte_units{UnitName{"B", 1},      UnitName{"KB", kilo},  UnitName{"KiB", kibi},
                                UnitName{"MB", mega},  UnitName{"MiB", mebi}, UnitName{"GB", giga},
                                UnitName{"GiB", gibi}, UnitName{"TB", tera},  UnitName{"TiB", tebi}};
constexpr std::array bandwidth_units{UnitName{"B/s", 1},      UnitName{"kbit/s", kilo / 8}, UnitName{"KB/s", kilo},
                                     UnitName{"KiB/s", kibi}, UnitName{"Mbit/s", mega / 8}, UnitName{"MB/s", mega},
                                     UnitName{"MiB/s", mebi}, UnitName{"Gbit/s", giga / 8}, UnitName{"GB/s", giga},
                                     UnitName{"GiB/s", gibi}, UnitName{"Tbit/s", tera / 8}, UnitName{"TB/s", tera},
                                     UnitName{"TiB/s", tebi}};
constexpr std::array frequency_units{UnitName{"Hz", 1}, UnitName{"kHz", kilo}, UnitName{"MHz", mega},
                                     UnitName{"GHz", giga}};

std::span<const UnitName> units_of(Unit unit) {
  switch (unit) {
    case Unit::none: return {};
    case Unit::time: return time_units;
    case Unit::bytes: return byte_units;
    case Unit::bytes_per_second: return bandwidth_units;
    case Unit::hertz: return frequency_units;
  }
  return {};
}

std::vector<std::string> names_of(Unit unit) {
  std::vector<std::string> names;
  for (const auto& u : units_of(unit)) names.emplace_back(u.name);
  return names;
}

QuantityError not_a_quantity(Unit unit) {
  return {fmt::format("is not a {}", name_of(unit)),
          fmt::format("expected a number and a unit, such as \"{}\"\naccepted units: {}", example_of(unit),
                      accepted_units(unit))};
}

QuantityError too_large(Unit unit) {
  const auto& base = units_of(unit).front();
  return {"is too large", fmt::format("at most {}{}", std::numeric_limits<std::uint64_t>::max(), base.name)};
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::string_view take_digits(std::string_view& text) {
  std::size_t n = 0;
  while (n < text.size() && is_digit(text[n])) ++n;
  const auto digits = text.substr(0, n);
  text.remove_prefix(n);
  return digits;
}

/// 0.DIGITS times `factor` where that is an integer. Horner's scheme from the last digit: were the result an
/// integer, every partial result 10 * result - digit * factor would be one too, so each division must be exact.
std::optional<std::uint64_t> scale_fraction(std::string_view digits, std::uint64_t factor) {
  while (!digits.empty() && digits.back() == '0') digits.remove_suffix(1);
  std::uint64_t sum = 0;
  for (; !digits.empty(); digits.remove_suffix(1)) {
    sum += static_cast<std::uint64_t>(digits.back() - '0') * factor;  // below 10 * 2^40
    if (sum % 10 != 0) return std::nullopt;
    sum /= 10;
  }
  return sum;
}

/// `value` in units of `factor` as an exact decimal; nothing where it would be longer than `longest`.
std::optional<std::string> exact_decimal(std::uint64_t value, std::uint64_t factor, std::size_t longest) {
  auto out = fmt::format("{}", value / factor);
  std::uint64_t rest = value % factor;
  if (rest != 0) out += '.';
  while (rest != 0 && out.size() <= longest) {
    rest *= 10;  // below 10 * 2^40
    out += static_cast<char>('0' + rest / factor);
    rest %= factor;
  }
  if (out.size() > longest) return std::nullopt;
  return out;
}

}  // namespace

std::variant<std::uint64_t, QuantityError> parse_quantity(std::string_view text, Unit unit) {
  const auto whole = take_digits(text);
  if (whole.empty()) return not_a_quantity(unit);
  std::string_view fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = take_digits(text);
    if (fraction.empty()) return not_a_quantity(unit);
  }
  if (text.starts_with(' ')) text.remove_prefix(1);
  if (text.empty())
    return QuantityError{"has no unit",
                         fmt::format("accepted units: {}, as in \"{}\"", accepted_units(unit), example_of(unit))};
  const auto units = units_of(unit);
  const auto found = std::find_if(units.begin(), units.end(), [&](const UnitName& u) { return u.name == text; });
  if (found == units.end()) {
    const auto first = text.front();
    if (is_digit(first) || first == '.' || first == ' ') return not_a_quantity(unit);
    return QuantityError{fmt::format("has the unknown unit '{}'", text), hint(text, names_of(unit))};
  }
  std::uint64_t value = 0;
  for (const char c : whole) {
    if (__builtin_mul_overflow(value, std::uint64_t{10}, &value) ||
        __builtin_add_overflow(value, static_cast<std::uint64_t>(c - '0'), &value))
      return too_large(unit);
  }
  const auto part = scale_fraction(fraction, found->factor);
  if (!part)
    return QuantityError{"has more digits than its unit resolves",
                         fmt::format("the smallest step is 1{}", units.front().name)};
  if (__builtin_mul_overflow(value, found->factor, &value) || __builtin_add_overflow(value, *part, &value))
    return too_large(unit);
  return value;
}

std::variant<Time, QuantityError> parse_time(std::string_view text) {
  auto parsed = parse_quantity(text, Unit::time);
  if (auto* error = std::get_if<QuantityError>(&parsed)) return std::move(*error);
  return Time::ps(std::get<std::uint64_t>(parsed));
}

std::string format_quantity(std::uint64_t value, Unit unit) {
  const auto units = units_of(unit);
  if (units.empty()) return fmt::format("{}", value);
  if (value == 0) return fmt::format("0{}", unit == Unit::time ? "s" : units.front().name);
  auto best = fmt::format("{}{}", value, units.front().name);
  for (const auto& u : units.subspan(1)) {
    const auto number = exact_decimal(value, u.factor, best.size() - std::min(best.size(), u.name.size()));
    if (!number) continue;
    const bool point = number->find('.') != std::string::npos;
    const auto length = number->size() + u.name.size();
    if (length < best.size() || !point || best.find('.') != std::string::npos)
      best = fmt::format("{}{}", *number, u.name);
  }
  return best;
}

std::string accepted_units(Unit unit) {
  return fmt::format("{}", fmt::join(names_of(unit), ", "));
}

std::string_view name_of(Unit unit) {
  switch (unit) {
    case Unit::none: return "integer";
    case Unit::time: return "time";
    case Unit::bytes: return "size";
    case Unit::bytes_per_second: return "bandwidth";
    case Unit::hertz: return "frequency";
  }
  return "";
}

std::string_view example_of(Unit unit) {
  switch (unit) {
    case Unit::none: return "16";
    case Unit::time: return "3.6us";
    case Unit::bytes: return "64KiB";
    case Unit::bytes_per_second: return "2.5GiB/s";
    case Unit::hertz: return "3.2GHz";
  }
  return "";
}

std::string pattern_of(Unit unit) {
  return fmt::format("^[0-9]+(\\.[0-9]+)? ?({})$", fmt::join(names_of(unit), "|"));
}

}  // namespace gnomon::config
