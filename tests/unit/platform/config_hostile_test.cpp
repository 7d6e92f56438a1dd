// SPDX-License-Identifier: Apache-2.0
// Input nobody meant: every byte sequence ends in a document or in diagnostics.
#include <rapidcheck.h>

#include <catch2/catch.hpp>

#include "models/base/random.hpp"
#include "tests/unit/platform/config_fixture.hpp"

using namespace config_test;

namespace {

std::string repeated(std::string_view what, std::size_t times) {
  std::string out;
  out.reserve(what.size() * times);
  for (std::size_t n = 0; n < times; ++n) out += what;
  return out;
}

/// Reads, binds, overlays, echoes. True where the result is a document or at least one well-formed diagnostic.
bool survives(const std::string& text) {
  Diagnostics diagnostics;
  const auto document = parse_document(text, "a.toml", OriginKind::scenario, diagnostics);
  if (document) {
    Scenario scenario;
    const auto origins = bind(scenario, *document, diagnostics);
    if (effective_toml(scenario, origins).empty()) return false;
    for (const auto& variant : scenario.variants) {
      Scenario one;
      bind(one, document->with_variant(variant.set, variant.name, diagnostics), diagnostics);
    }
  }
  for (const auto& d : diagnostics.sorted())
    if (d.line == 0 || d.column == 0 || d.message.empty() || !is_utf8(render(d))) return false;
  return document.has_value() || diagnostics.has_errors();
}

}  // namespace

TEST_CASE("nesting has a limit, however it is written") {
  const auto first_line = [](const std::string& text) {
    const auto errors = errors_of<Scenario>(text);
    return errors.substr(0, errors.find('\n'));
  };
  CHECK(first_line("a = " + repeated("[", 100'000)) == "a.toml:1:69: error: nests deeper than 64 levels");
  CHECK(first_line("a = " + repeated("{b=", 100'000)).ends_with("error: nests deeper than 64 levels"));
  CHECK(first_line("a" + repeated(".a", 1'000'000) + " = 1").ends_with("error: nests deeper than 64 levels"));
  CHECK(first_line("[a" + repeated(".a", 1'000'000) + "]").ends_with("error: nests deeper than 64 levels"));
  CHECK(first_line("x = [\"\"\"a\"\"\"\", {a" + repeated(".a", 100) + " = 1}]")
            .ends_with("error: nests deeper than 64 levels"));
  CHECK(first_line("[a" + repeated(".a", 40) + "]\n\nb" + repeated(".b", 40) + " = 1") ==
        "a.toml:3:48: error: nests deeper than 64 levels");
  CHECK(first_line("x = { a" + repeated(".a", 100) + " = 1 }").ends_with("error: nests deeper than 64 levels"));
}

TEST_CASE("what looks deep inside a string or a comment is not") {
  const auto dots = repeated(".a", 200) + repeated("[", 200);
  Diagnostics diagnostics;
  for (const auto& text : {"a = \"" + dots + "\"", "a = '" + dots + "'", "a = 1 # " + dots,
                           "a = \"\"\"\n\\\"\"\"" + dots + "\"\"\"\"\"", "a = '''\n''" + dots + "'''",
                           "a = \"\\\"" + dots + "\"", "a = [\n" + repeated("1.5,\n", 100) + "]"}) {
    INFO(text);
    CHECK(parse_document(text, "a.toml", OriginKind::scenario, diagnostics));
  }
  INFO(diagnostics.render());
  CHECK_FALSE(diagnostics.has_errors());
}

TEST_CASE("size has a limit") {
  CHECK(errors_of<Scenario>(std::string(10'000'000, ' ')).starts_with("a.toml:1:1: error: is larger than 4 MiB\n"));
  CHECK(survives(std::string(max_file_bytes, 'a')));
  CHECK(survives("a = \"" + std::string(4'000'000, 'a') + "\""));
  std::string keys;
  for (unsigned n = 0; n < 100'000; ++n) keys += "k" + std::to_string(n) + " = " + std::to_string(n) + "\n";
  CHECK(survives(keys));
  CHECK(survives("[[device]]\n" + repeated("[[variant]]\n", 100'000)));
  CHECK(errors_of<Scenario>(repeated("[[expect]]\n", max_tables + 1)) ==
        "a.toml:1:1: error: missing key 'title' at the top level\n    [[expect]]\n    ^\n"
        "    string: what the scenario shows\n"
        "a.toml:1:1: error: missing key 'machine.profile'\n    [[expect]]\n    ^\n    string: machine profile\n"
        "a.toml:1001:1: error: 'expect' has more than 1000 tables\n    [[expect]]\n    ^\n");
  std::string settings = "title = \"t\"\nmachine.profile = \"p\"\n[[variant]]\nname = \"v\"\n[variant.set]\n";
  for (unsigned n = 0; n <= max_settings; ++n) settings += "k" + std::to_string(n) + " = 1\n";
  Diagnostics diagnostics;
  const auto document = parse_document(settings, "a.toml", OriginKind::scenario, diagnostics);
  Scenario scenario;
  bind(scenario, *document, diagnostics);
  document->with_variant(scenario.variants.at(0).set, "v", diagnostics);
  CHECK(diagnostics.render() == "a.toml:1006:1: error: sets more than 1000 values\n    k1000 = 1\n    ^\n");
  CHECK(survives("guest.vcpus = [" + repeated("1,", 1'000'000) + "]"));
}

TEST_CASE("bytes that are no text are refused") {
  const std::string nul{"title = \"a\0b\"", 13};
  CHECK(errors_of<Scenario>(nul).find("error: ") != std::string::npos);
  CHECK(errors_of<Scenario>("title = \"a\\u0000b\"\n") ==
        "a.toml:1:9: error: a string must not contain U+0000\n    title = \"a\\u0000b\"\n            ^\n");
  CHECK(errors_of<Scenario>("title = \"\xFF\"\n").starts_with("a.toml:1:"));
  CHECK(survives("\xED\xA0\x80"));
  CHECK(survives(std::string(1, '\0')));
  CHECK(survives("\xF0\x9F"));
  CHECK(survives("\xEF\xBB\xBF"));
}

TEST_CASE("a key or a header that starts with no key character is a syntax error in every build") {
  const auto text = GENERATE(as<std::string>{}, "[=", "[#]", "[.a]", "[[=]]", "[ ", "[[", "[a.]", "a.=1", ".=1",
                             "x={=}", "x={.}", "[\xC3\xA9]");
  Diagnostics diagnostics;
  INFO(text);
  CHECK_FALSE(parse_document(text, "a.toml", OriginKind::scenario, diagnostics));
  CHECK(diagnostics.has_errors());
}

TEST_CASE("characters beyond ASCII belong in strings and comments") {
  CHECK(errors_of<Scenario>("# é\nté = 1\n") ==
        "a.toml:2:2: error: key-value pair: expected '=', saw 'é'\n    té = 1\n     ^\n");
  const auto text =
      GENERATE(as<std::string>{}, "title = é\n", "t=0\"\u0227", "t=0.\"é", "t\u00A0= 1\n", "t = 'x' \u30A2\n",
               "[é]", "x = [é]", "x = {é = 1}", "t = 1é", "é", "\u2028", "t = 1979-é");
  INFO(text);
  CHECK(errors_of<Scenario>(text).find(": error: ") != std::string::npos);
}

TEST_CASE("strings, quoted keys and comments take any character") {
  Diagnostics diagnostics;
  const auto document = parse_document("\xEF\xBB\xBF'é' = \"ア\" # \u00A0\nb = \"\"\"\né\n\"\"\"\n", "a.toml",
                                       OriginKind::scenario, diagnostics);
  REQUIRE(document);
  CHECK(*document->root().find("é")->value->text() == "ア");
  CHECK(*document->find("b")->text() == "é\n");
}

TEST_CASE("what a broken line kept inside a string is guarded once the line is gone") {
  const auto deep = "x = 1 1 \"\"\"\na" + repeated(".a", 100'000) + " = 1\n";
  CHECK(errors_of<Scenario>(deep).find("a.toml:2:130: error: nests deeper than 64 levels") != std::string::npos);
}

TEST_CASE("UTF-8 is checked as RFC 3629 has it") {
  CHECK(is_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
  for (const auto* bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xC3", "\xE0\x9F\xBF", "\xED\xA0\x80",
                          "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82"})
    CHECK_FALSE(is_utf8(bad));
}

TEST_CASE("any bytes end in a document or in diagnostics") {
  CHECK(rc::check([](const std::string& text) { RC_ASSERT(survives(text)); }));
}

TEST_CASE("a scenario with bytes changed ends in a document or in diagnostics") {
  RandomStream random(1, "mutations");
  constexpr std::string_view pieces[] = {"\"",
                                         "'",
                                         "\"\"\"",
                                         "[",
                                         "]",
                                         "{",
                                         "}",
                                         "=",
                                         ".",
                                         "\n",
                                         "#",
                                         "\\",
                                         std::string_view{"\0", 1},
                                         "\xFF",
                                         "99999999999999999999",
                                         "-1",
                                         "1e999",
                                         "nan",
                                         "[[",
                                         "]]",
                                         "set = {",
                                         "u0000"};
  for (unsigned n = 0; n < 5'000; ++n) {
    std::string text{good_scenario};
    for (auto changes = 1 + random.below(4); changes != 0; --changes) {
      const auto at = random.below(text.size());
      switch (random.below(4)) {
        case 0: text[at] = static_cast<char>(random.below(256)); break;
        case 1: text.erase(at, 1 + random.below(20)); break;
        case 2: text.insert(at, pieces[random.below(std::size(pieces))]); break;
        default: text.insert(at, text.substr(random.below(text.size()), random.below(40))); break;
      }
    }
    INFO(text);
    if (!survives(text)) FAIL();
  }
}

TEST_CASE("any --set argument ends in a document or in diagnostics") {
  CHECK(rc::check([](const std::string& value) {
    Diagnostics diagnostics;
    const auto base = parse_document(std::string{good_scenario}, "a.toml", OriginKind::scenario, diagnostics);
    for (const auto* path : {"", "guest=", "guest.cmdline=", "device.0.", "variant.0.set="}) {
      Scenario scenario;
      bind(scenario, base->with_setting(path + value, diagnostics), diagnostics);
    }
    RC_ASSERT(is_utf8(diagnostics.render()));
  }));
}
