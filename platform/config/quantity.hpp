// SPDX-License-Identifier: Apache-2.0
// Physical quantities as text with a unit, exactly: "3.6us", "64KiB", "2.5GiB/s", "3.2GHz". Integers only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "models/base/time.hpp"

namespace gnomon::config {

/// What a number measures, and so the base unit of its integer: ps, B, B/s, Hz. `none`: a plain count.
enum class Unit : std::uint8_t { none, time, bytes, bytes_per_second, hertz };

/// Why a text is no quantity. `message` is a predicate to put after the key's name ("has no unit"); `note` may be
/// empty.
struct QuantityError {
  std::string message;
  std::string note;
};

/// Parses DIGITS[.DIGITS]UNIT into base units; one space may stand before the unit. The result is exact: a value
/// that is no whole number of base units, or exceeds 2^64-1 of them, is an error. `unit` is not Unit::none.
std::variant<std::uint64_t, QuantityError> parse_quantity(std::string_view text, Unit unit);
std::variant<Time, QuantityError> parse_time(std::string_view text);

/// The shortest exact text that parse_quantity reads back as `value`; of equals, the one without a point, then the
/// larger unit. For Unit::none the decimal number.
std::string format_quantity(std::uint64_t value, Unit unit);
inline std::string format_quantity(Time value) {
  return format_quantity(value.ps(), Unit::time);
}

/// "ps, ns, us, ms, s": the unit names parse_quantity takes, smallest first. Names are case-sensitive.
std::string accepted_units(Unit unit);

/// "time", "size", "bandwidth", "frequency"; "integer" for Unit::none.
std::string_view name_of(Unit unit);

/// An example that parses: "3.6us", "64KiB", "2.5GiB/s", "3.2GHz".
std::string_view example_of(Unit unit);

/// Regular expression (ECMA 262) every accepted text matches, for the JSON Schema.
std::string pattern_of(Unit unit);

}  // namespace gnomon::config
