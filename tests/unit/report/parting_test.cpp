// SPDX-License-Identifier: Apache-2.0
// Where two traces part.
#include "platform/report/parting.hpp"

#include <catch2/catch.hpp>

#include "platform/report/result_folder.hpp"

using namespace gnomon::report;
using Catch::Matchers::Contains;

namespace {

const std::string head = "# gnomon trace hashes 1: events, ...\n";
std::string hash(char c) {
  return std::string(16, c);
}
std::string line(int events, int ps, char c) {
  return std::to_string(events) + " " + std::to_string(ps) + " " + hash(c) + "\n";
}
std::vector<TracePoint> points(const std::string& lines) {
  return read_trace_points(head + lines, "x");
}

}  // namespace

TEST_CASE("the first checkpoint that differs bounds the event", "[diff]") {
  const auto a = points(line(1, 5, 'a') + line(2, 6, 'b') + line(64, 7, 'c') + line(66, 8, 'd'));
  CHECK(parting(a, a).differ == 0);
  const auto exact = parting(a, points(line(1, 5, 'a') + line(2, 9, 'e') + line(64, 9, 'f')));
  CHECK(exact.same == 1);
  CHECK(exact.differ == 2);
  CHECK(exact.differ_ps_a == 6);
  CHECK(exact.differ_ps_b == 9);
  const auto between = parting(a, points(line(1, 5, 'a') + line(2, 6, 'b') + line(64, 7, 'c') + line(66, 8, '0')));
  CHECK(between.same == 64);
  CHECK(between.differ == 66);
}

TEST_CASE("a trace that ends early", "[diff]") {
  const auto a = points(line(1, 5, 'a') + line(2, 6, 'b') + line(3, 7, 'c'));
  const auto prefix = parting(a, points(line(1, 5, 'a') + line(2, 6, 'b')));
  CHECK(prefix.one_ended);
  CHECK(prefix.same == 2);
  CHECK(prefix.differ == 3);
  const auto within =
      parting(points(line(1, 5, 'a') + line(66, 9, 'd')), points(line(1, 5, 'a') + line(65, 7, 'c')));
  CHECK(within.one_ended);
  CHECK(within.same == 1);
  CHECK(within.differ == 66);
}

TEST_CASE("a list of hashes that is none is told by its line", "[diff]") {
  CHECK_THROWS_WITH(read_trace_points("hello\n", "f"), Contains("f: is not a list of trace hashes"));
  for (const char* bad :
       {"1 5 abc\n", "1 5\n", "x 5 0123456789abcdef\n", "1 5 0123456789abcdef", "1 5 0123456789ABCDEF\n"})
    CHECK_THROWS_WITH(points(bad), Contains("damaged, at line 2"));
  CHECK_THROWS_AS(points(line(2, 1, 'a') + line(2, 1, 'a')), Unreadable);
  CHECK(points("").empty());
}
