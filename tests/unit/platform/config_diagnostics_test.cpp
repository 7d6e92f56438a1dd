// SPDX-License-Identifier: Apache-2.0
// Rendering, ordering and spelling hints of diagnostics.
#include <catch2/catch.hpp>

#include "platform/config/diagnostics.hpp"

using namespace gnomon::config;

namespace {

Location at(std::string name, std::string text, unsigned line, unsigned column) {
  return {std::make_shared<const Source>(Source{
              std::move(name), OriginKind::scenario, {}, std::make_shared<const std::string>(std::move(text))}),
          line, column};
}

std::string rendered(const Location& where, std::string message, std::string note = {}) {
  Diagnostics diagnostics;
  diagnostics.error(where, std::move(message), std::move(note));
  return diagnostics.render();
}

}  // namespace

TEST_CASE("a diagnostic shows its line, a caret under the column and its note") {
  CHECK(rendered(at("s.toml", "a = 1\r\n\tb = 2\r\n", 2, 6), "wrong", "accepted: 1\nor 3") ==
        "s.toml:2:6: error: wrong\n"
        "     b = 2\n"
        "         ^\n"
        "    accepted: 1\n"
        "    or 3\n");
  CHECK(rendered(at("s.toml", "a", 7, 1), "beyond the text") == "s.toml:7:1: error: beyond the text\n");
  CHECK(rendered(at("s.toml", "ab", 1, 9), "beyond the line") ==
        "s.toml:1:9: error: beyond the line\n    ab\n      ^\n");
  Diagnostics diagnostics;
  diagnostics.warning(at("s.toml", "a", 1, 1), "odd");
  CHECK(diagnostics.render() == "s.toml:1:1: warning: odd\n    a\n    ^\n");
  CHECK_FALSE(diagnostics.has_errors());
}

TEST_CASE("columns are code points") {
  CHECK(rendered(at("s.toml", "t = 'é' ?", 1, 9), "wrong") ==
        "s.toml:1:9: error: wrong\n    t = 'é' ?\n            ^\n");
  CHECK(rendered(at("s.toml",
                    "\xEF\xBB\xBF"
                    "a = ?",
                    1, 5),
                 "wrong") == "s.toml:1:5: error: wrong\n    a = ?\n        ^\n");
}

TEST_CASE("nothing that a terminal would obey is printed") {
  CHECK(rendered(at("s\x1B[2J.toml", "a\x1B[31m\xFF\xC2\x9B", 1, 2), "key '\x07'", "\x7F") ==
        "s\xEF\xBF\xBD[2J.toml:1:2: error: key '\xEF\xBF\xBD'\n"
        "    a\xEF\xBF\xBD[31m\xEF\xBF\xBD\xEF\xBF\xBD\n"
        "     ^\n"
        "    \xEF\xBF\xBD\n");
}

TEST_CASE("a long line is cut around the column, a long message at its end") {
  const auto text = rendered(at("s", std::string(300, 'a') + "X" + std::string(300, 'b'), 1, 301), "wrong");
  CHECK(text == "s:1:301: error: wrong\n    ..." + std::string(50, 'a') + "X" + std::string(49, 'b') + "...\n    " +
                    std::string(53, ' ') + "^\n");
  CHECK(rendered(at("s", "", 1, 1), std::string(5'000, 'm')) == "s:1:1: error: " + std::string(400, 'm') + "...\n");
  CHECK(rendered(at("s", std::string(100'000, 'a'), 1, 1), "wrong") == "s:1:1: error: wrong\n");
}

TEST_CASE("findings are ordered by file, then position, and each is kept once") {
  Diagnostics diagnostics;
  const auto b = [](unsigned line, unsigned column) { return at("b.toml", "", line, column); };
  diagnostics.error(b(2, 1), "third");
  diagnostics.error(at("a.toml", "", 1, 1), "fourth");
  diagnostics.error(b(1, 9), "second");
  diagnostics.error(b(1, 2), "first");
  diagnostics.error(b(1, 9), "second");
  CHECK(
      diagnostics.render() ==
      "b.toml:1:2: error: first\nb.toml:1:9: error: second\nb.toml:2:1: error: third\na.toml:1:1: error: fourth\n");
}

TEST_CASE("only so many findings are kept") {
  Diagnostics diagnostics;
  for (unsigned line = 1; line <= Diagnostics::limit + 7; ++line) diagnostics.error(at("s", "", line, 1), "wrong");
  CHECK(diagnostics.full());
  CHECK(diagnostics.sorted().size() == Diagnostics::limit);
  CHECK(diagnostics.render().ends_with("s:100:1: error: wrong\nand 7 more, not shown\n"));
}

TEST_CASE("edit distance counts insertion, deletion, replacement and a swap of neighbours as one") {
  CHECK(edit_distance("vcpus", "vcpus") == 0);
  CHECK(edit_distance("vcpu", "vcpus") == 1);
  CHECK(edit_distance("vvcpus", "vcpus") == 1);
  CHECK(edit_distance("vcxus", "vcpus") == 1);
  CHECK(edit_distance("vcups", "vcpus") == 1);
  CHECK(edit_distance("VCPUS", "vcpus") == 0);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("ca", "abc") == 3);  // optimal string alignment; unrestricted Damerau-Levenshtein gives 2
}

TEST_CASE("the nearest name is a typing error away, or there is none") {
  const std::vector<std::string> names{"vcpus", "kernel", "flush_queue", "hz", "memory"};
  CHECK(nearest_name("vcpu", names) == "vcpus");
  CHECK(nearest_name("kenrel", names) == "kernel");
  CHECK(nearest_name("flush-queue", names) == "flush_queue");
  CHECK(nearest_name("h", names) == "hz");
  CHECK(nearest_name("cpu", names) == std::nullopt);  // two edits in three letters
  CHECK(nearest_name("", names) == std::nullopt);
  CHECK(nearest_name("x", std::vector<std::string>{"y"}) == std::nullopt);  // nothing in common
  CHECK(nearest_name(std::string(100'000, 'v'), names) == std::nullopt);
  CHECK(nearest_name("ab", std::vector<std::string>{"ac", "ad"}) == "ac");
  CHECK(hint("vcpu", std::vector<std::string>{"vcpus", "hz"}) == "did you mean 'vcpus'?\naccepted: vcpus, hz");
  CHECK(hint("zzz", std::vector<std::string>{"vcpus"}) == "accepted: vcpus");
}
