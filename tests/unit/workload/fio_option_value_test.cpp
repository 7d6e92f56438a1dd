// SPDX-License-Identifier: Apache-2.0
// Values of fio options; the expectations were observed in fio 3.33.
#include <catch2/catch.hpp>

#include "guest/fio/option_table.hpp"
#include "guest/fio/option_value.hpp"

using namespace gnomon;
using namespace gnomon::fio;

TEST_CASE("integers and their suffixes") {
  const auto value = [](std::string_view text) {
    const auto parsed = parse_integer(text, 1024);
    INFO(parsed.error);
    REQUIRE(parsed);
    return parsed.value;
  };
  CHECK(value("4096") == 4096);
  CHECK(value("4096b") == 4096);
  CHECK(value("+4k") == 4096);
  CHECK(value("1k") == 1024);
  CHECK(value("1K") == 1024);
  CHECK(value("1kb") == 1024);
  CHECK(value("4ki") == 4096);  // the inversion needs the b
  CHECK(value("4kib") == 4000);
  CHECK(value("4KiB") == 4000);
  CHECK(value("10mib") == 10'000'000);
  CHECK(value("2g") == std::uint64_t{2} << 30);
  CHECK(value("3t") == std::uint64_t{3} << 40);
  CHECK(value("1p") == std::uint64_t{1} << 50);
  CHECK(value("0x1000") == 4096);
  CHECK(value("18446744073709551615") == ~std::uint64_t{0});
  CHECK(parse_integer("4k", 1000).value == 4000);
  CHECK(parse_integer("4kib", 1000).value == 4096);
}

TEST_CASE("what fio misreads in silence is refused") {
  CHECK(parse_integer("1.5k", 1024).error == "'1.5k' is not an integer: '.5k' is no suffix of k m g t p");
  CHECK(parse_integer("4 k", 1024).error == "'4 k' is not an integer: ' k' is no suffix of k m g t p");
  CHECK(parse_integer("-1", 1024).error == "'-1' is negative");
  CHECK(parse_integer("18446744073709551616", 1024).error == "'18446744073709551616' exceeds 64 bits");
  CHECK(parse_integer("16385p", 1024).error == "'16385p' exceeds 64 bits");
  CHECK(parse_integer("(1+1)k", 1024).error == "'(1+1)k' is not an integer");
}

TEST_CASE("times") {
  const auto value = [](std::string_view text) {
    const auto parsed = parse_time(text, Time::s(1));
    INFO(parsed.error);
    REQUIRE(parsed);
    return parsed.value;
  };
  CHECK(value("10") == Time::s(10));
  CHECK(value("0.2") == Time::ms(200));
  CHECK(value(".5") == Time::ms(500));
  CHECK(value("100MS") == Time::ms(100));
  CHECK(value("250us") == Time::us(250));
  CHECK(value("7usec") == Time::us(7));
  CHECK(value("1.5m") == Time::s(90));
  CHECK(value("2h") == Time::s(7200));
  CHECK(value("1d") == Time::s(86400));
  CHECK(parse_time("5", Time::us(1)).value == Time::us(5));
  CHECK(parse_time("10 ms", Time::s(1)).error == "'10 ms' is not a time: the units are d h m s ms us");
  CHECK(parse_time("ms", Time::s(1)).error == "'ms' is not a time");
  CHECK(parse_time("214d", Time::s(1)).error == "'214d' exceeds the 213 days a simulation can count");
}

TEST_CASE("values per direction") {
  const auto value = [](std::string_view text) { return parse_per_direction(text, 1024, {4096, 4096}).value; };
  CHECK(value("8k") == PerDirection<std::uint64_t>{8192, 8192});
  CHECK(value("4k,8k") == PerDirection<std::uint64_t>{4096, 8192});
  CHECK(value(",8k") == PerDirection<std::uint64_t>{4096, 8192});
  CHECK(value("8k,") == PerDirection<std::uint64_t>{8192, 8192});
  CHECK(value("8k,,16k") == PerDirection<std::uint64_t>{8192, 8192});
  CHECK(parse_per_direction("1,2,3,4", 1024, {}).error == "'1,2,3,4' has more than three values (read,write,trim)");
}

TEST_CASE("a percentage of a large device does not overflow") {
  const std::uint64_t device = ~std::uint64_t{0};
  CHECK(Amount{0, 100}.of(device) == device);
  CHECK(Amount{0, 50}.of(1001) == 500);
}

TEST_CASE("the nearest word, when one is near") {
  CHECK(nearest("iodept", option_names()) == "iodepth");
  CHECK(nearest("qwertyuiop", option_names()).empty());
}

TEST_CASE("options are found by name and alias") {
  REQUIRE(find_option("blocksize") != nullptr);
  CHECK(find_option("blocksize")->name == "bs");
  CHECK(find_option("thinktime")->treatment == Treatment::modelled);
  CHECK(find_option("") == nullptr);
  CHECK(find_option("BS") == nullptr);
}
