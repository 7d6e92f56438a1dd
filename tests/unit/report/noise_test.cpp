// SPDX-License-Identifier: Apache-2.0
// Differences beyond noise, against values computed independently.
#include "platform/report/noise.hpp"

#include <catch2/catch.hpp>

using namespace gnomon::report;

TEST_CASE("Welch's interval and its p, as R computes them", "[diff]") {
  // t.test(c(27.5,21.0,19.0,23.6,17.0,17.9,16.9,20.1,21.9,22.6,23.1,19.6,19.0,21.7,21.4),
  //        c(27.1,22.0,20.8,23.4,23.4,23.5,25.8,22.0,24.8,20.2,21.9,22.1,22.9,30.5,31.3)): Wikipedia, Welch's
  //        t-test.
  const Sample a{20.8200, 2.804893, 15}, b{24.1133, 3.346541, 15};
  const Difference d = difference(a, b);
  CHECK(d.value == Approx(3.2933));
  CHECK(d.p == Approx(0.00686).epsilon(0.02));
  REQUIRE(d.ci95);
  CHECK(*d.ci95 == Approx(2.3119).epsilon(0.001));  // t(0.975, 27.17) = 2.0512, standard error 1.12743
}

TEST_CASE("without noise any difference is one", "[diff]") {
  CHECK(difference({5, 0, 1}, {5, 0, 1}).p == 1);
  CHECK(difference({5, 0, 1}, {5.0000001, 0, 1}).p == 0);
  CHECK_FALSE(difference({5, 0, 1}, {6, 0, 1}).ci95);
  CHECK(difference({5, 0, 4}, {6, 0, 4}).p == 0);
  CHECK_FALSE(difference({5, 0, 4}, {6, 0, 4}).ci95);
}

TEST_CASE("one run against many: could it be the next of them", "[diff]") {
  const Sample many{100, 2, 9};
  CHECK(difference(many, {104, 0, 1}).p > 0.05);
  CHECK(difference(many, {106, 0, 1}).p < 0.05);
  CHECK(*difference({106, 0, 1}, many).ci95 == Approx(2.306004 * 2 * 1.0540926));  // t(0.975, 8) sd sqrt(1 + 1/9)
}

TEST_CASE("Benjamini and Hochberg's own example", "[diff]") {
  // Table 1 of J. R. Stat. Soc. B 57 (1995): at 0.05 the four smallest of these are findings.
  const std::vector<double> p{0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
                              0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000};
  std::vector<bool> expected(15, false);
  for (std::size_t i = 0; i < 4; ++i) expected[i] = true;
  CHECK(significant(p, 0.05) == expected);
  CHECK(significant({}, 0.05).empty());
}
