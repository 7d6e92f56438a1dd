// SPDX-License-Identifier: Apache-2.0
// Quantities: exact in both directions.
#include <rapidcheck.h>

#include <catch2/catch.hpp>

#include "platform/config/quantity.hpp"

using namespace gnomon;
using namespace gnomon::config;

namespace {

std::uint64_t value_of(std::string_view text, Unit unit) {
  const auto parsed = parse_quantity(text, unit);
  INFO(text);
  REQUIRE(std::holds_alternative<std::uint64_t>(parsed));
  return std::get<std::uint64_t>(parsed);
}

QuantityError error_of(std::string_view text, Unit unit) {
  const auto parsed = parse_quantity(text, unit);
  INFO(text);
  REQUIRE(std::holds_alternative<QuantityError>(parsed));
  return std::get<QuantityError>(parsed);
}

constexpr Unit units[] = {Unit::time, Unit::bytes, Unit::bytes_per_second, Unit::hertz};

}  // namespace

TEST_CASE("quantities parse exactly into base units") {
  CHECK(std::get<Time>(parse_time("3.6us")) == 3'600_ns);
  CHECK(value_of("250ns", Unit::time) == 250'000);
  CHECK(value_of("1.5ms", Unit::time) == 1'500'000'000);
  CHECK(value_of("10s", Unit::time) == 10'000'000'000'000);
  CHECK(value_of("120ps", Unit::time) == 120);
  CHECK(value_of("0.000000000001s", Unit::time) == 1);
  CHECK(value_of("64KiB", Unit::bytes) == 65'536);
  CHECK(value_of("64 KiB", Unit::bytes) == 65'536);
  CHECK(value_of("64KB", Unit::bytes) == 64'000);
  CHECK(value_of("1GiB", Unit::bytes) == 1'073'741'824);
  CHECK(value_of("4096B", Unit::bytes) == 4'096);
  CHECK(value_of("0.5TiB", Unit::bytes) == 549'755'813'888);
  CHECK(value_of("2.5GiB/s", Unit::bytes_per_second) == 2'684'354'560);
  CHECK(value_of("100Gbit/s", Unit::bytes_per_second) == 12'500'000'000);
  CHECK(value_of("8kbit/s", Unit::bytes_per_second) == 1'000);
  CHECK(value_of("3.2GHz", Unit::hertz) == 3'200'000'000);
  CHECK(value_of("0s", Unit::time) == 0);
}

TEST_CASE("a fraction counts to its last digit, and zeros behind it for nothing") {
  CHECK(value_of("0.000000000931322574615478515625GiB", Unit::bytes) == 1);  // 2^-30, thirty digits
  CHECK(value_of("1.50000000000000000000000000000000000000000000000000us", Unit::time) == 1'500'000);
  CHECK(value_of("000000000000000000000000000000000000001us", Unit::time) == 1'000'000);
  CHECK(error_of("0.0009765624KiB", Unit::bytes).message == "has more digits than its unit resolves");
  CHECK(error_of("0.5ps", Unit::time).note == "the smallest step is 1ps");
  CHECK(error_of("1.0000000000001s", Unit::time).message == "has more digits than its unit resolves");
  CHECK(error_of("0.0001kbit/s", Unit::bytes_per_second).note == "the smallest step is 1B/s");
}

TEST_CASE("quantities end at 2^64-1 base units") {
  CHECK(value_of("18446744073709551615ps", Unit::time) == ~std::uint64_t{0});
  CHECK(value_of("18446744.073709551615s", Unit::time) == ~std::uint64_t{0});
  CHECK(error_of("18446744073709551616ps", Unit::time).message == "is too large");
  CHECK(error_of("18446744.073709551616s", Unit::time).message == "is too large");
  CHECK(error_of("16777216TiB", Unit::bytes).note == "at most 18446744073709551615B");
  CHECK(error_of("99999999999999999999999999999999999999999s", Unit::time).message == "is too large");
}

TEST_CASE("a quantity without a proper unit is refused with the units that are") {
  CHECK(error_of("64", Unit::bytes).message == "has no unit");
  CHECK(error_of("3.6", Unit::time).note == "accepted units: ps, ns, us, ms, s, as in \"3.6us\"");
  CHECK(error_of("64kb", Unit::bytes).message == "has the unknown unit 'kb'");
  CHECK(error_of("64kb", Unit::bytes).note ==
        "did you mean 'KB'?\naccepted: B, KB, KiB, MB, MiB, GB, GiB, TB, TiB");
  CHECK(error_of("1GiB", Unit::bytes_per_second).message == "has the unknown unit 'GiB'");
  CHECK(error_of("1GiB", Unit::bytes_per_second).note.starts_with("accepted: B/s, kbit/s, "));
  CHECK(error_of("5us", Unit::hertz).note == "accepted: Hz, kHz, MHz, GHz");
  const auto text = GENERATE(as<std::string>{}, "", "us", "-1us", "+1us", ".5us", "1.us", "1..5us", "1.5.5us",
                             "1  us", " 1us", "0x10us", "1e3us", "1_000us", "1us ", "1,5us", "\xC2\xB5s");
  const auto parsed = parse_quantity(text, Unit::time);
  INFO(text);
  CHECK(std::holds_alternative<QuantityError>(parsed));
}

TEST_CASE("formatting takes the shortest exact text") {
  CHECK(format_quantity(3'600_ns) == "3.6us");
  CHECK(format_quantity(Time{}) == "0s");
  CHECK(format_quantity(Time::ps(100)) == "100ps");  // as long as 0.1ns, and no point
  CHECK(format_quantity(Time::ps(1'234'567)) == "1234567ps");
  CHECK(format_quantity(Time::max()) == "18446744073709551615ps");
  CHECK(format_quantity(65'536, Unit::bytes) == "64KiB");
  CHECK(format_quantity(64'000, Unit::bytes) == "64KB");
  CHECK(format_quantity(1'536, Unit::bytes) == "1536B");
  CHECK(format_quantity(0, Unit::bytes) == "0B");
  CHECK(format_quantity(2'684'354'560, Unit::bytes_per_second) == "2.5GiB/s");
  CHECK(format_quantity(3'200'000'000, Unit::hertz) == "3.2GHz");
  CHECK(format_quantity(0, Unit::hertz) == "0Hz");
  CHECK(format_quantity(42, Unit::none) == "42");
}

TEST_CASE("what is formatted parses to the same value, and is no longer than what was typed") {
  CHECK(rc::check("format, parse", [] {
    const auto unit = *rc::gen::elementOf(std::vector<Unit>(std::begin(units), std::end(units)));
    const auto shift = *rc::gen::inRange(0, 64);
    const auto value = *rc::gen::arbitrary<std::uint64_t>() >> shift;
    const auto text = format_quantity(value, unit);
    const auto back = parse_quantity(text, unit);
    RC_ASSERT(std::holds_alternative<std::uint64_t>(back));
    RC_ASSERT(std::get<std::uint64_t>(back) == value);
  }));
  CHECK(rc::check("parse, format", [] {
    const auto choice =
        *rc::gen::elementOf(std::vector<std::pair<Unit, std::string>>{{Unit::time, "us"},
                                                                      {Unit::bytes, "MiB"},
                                                                      {Unit::bytes, "MB"},
                                                                      {Unit::bytes_per_second, "GiB/s"},
                                                                      {Unit::bytes_per_second, "Mbit/s"},
                                                                      {Unit::hertz, "GHz"}});
    const auto text = std::to_string(*rc::gen::inRange(0, 100'000)) + "." +
                      std::to_string(*rc::gen::inRange(0, 1'000)) + choice.second;
    const auto parsed = parse_quantity(text, choice.first);
    if (std::holds_alternative<QuantityError>(parsed)) return;  // more digits than the base unit resolves
    const auto value = std::get<std::uint64_t>(parsed);
    const auto shortest = format_quantity(value, choice.first);
    RC_ASSERT(shortest.size() <= text.size());
    RC_ASSERT(std::get<std::uint64_t>(parse_quantity(shortest, choice.first)) == value);
  }));
}

TEST_CASE("any bytes are a quantity or an error") {
  CHECK(rc::check([](const std::string& text) {
    for (const auto unit : units) {
      const auto parsed = parse_quantity(text, unit);
      if (const auto* error = std::get_if<QuantityError>(&parsed)) RC_ASSERT(!error->message.empty());
    }
  }));
}
