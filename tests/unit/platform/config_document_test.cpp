// SPDX-License-Identifier: Apache-2.0
// Documents: positions, syntax errors, overlays.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/unit/platform/config_fixture.hpp"

using namespace config_test;

namespace {

Document parsed(std::string text) {
  Diagnostics diagnostics;
  auto document = parse_document(std::move(text), "a.toml", OriginKind::scenario, diagnostics);
  INFO(diagnostics.render());
  REQUIRE(document);
  return *document;
}

std::string syntax_errors(std::string text) {
  Diagnostics diagnostics;
  CHECK_FALSE(parse_document(std::move(text), "a.toml", OriginKind::scenario, diagnostics));
  return diagnostics.render();
}

/// What applying --set `argument` to the good scenario, and binding the result, reports.
std::string setting_errors(std::string_view argument) {
  Diagnostics diagnostics;
  Scenario scenario;
  bind(scenario, parsed(std::string{good_scenario}).with_setting(argument, diagnostics), diagnostics);
  return diagnostics.render();
}

Scenario with_setting(std::string_view argument) {
  Diagnostics diagnostics;
  Scenario scenario;
  bind(scenario, parsed(std::string{good_scenario}).with_setting(argument, diagnostics), diagnostics);
  INFO(argument << "\n" << diagnostics.render());
  CHECK_FALSE(diagnostics.has_errors());
  return scenario;
}

}  // namespace

TEST_CASE("syntax errors are rendered as all others, several at once") {
  CHECK(syntax_errors("[guest]\nvcpus = \nmemory = 2GiB\nkernel = \"6.12\nhz = 1\nhz = 2\n[iommu\nqueue = ]\n") ==
        R"(a.toml:2:9: error: key-value pair: expected value, saw '\n'
    vcpus = 
            ^
    expected a value after '='
a.toml:3:11: error: decimal integer: expected digit, saw 'G'
    memory = 2GiB
              ^
    a quantity or a name is written as a string: "2GiB"
a.toml:4:15: error: string: unescaped control characters other than TAB (U+0009) are explicitly prohibited
    kernel = "6.12
                  ^
    is the closing quote missing?
a.toml:6:6: error: key-value pair: cannot redefine existing integer 'hz'
    hz = 2
         ^
    a key or a table is given once
a.toml:7:7: error: table header: expected ']', saw '\n'
    [iommu
          ^
)");
}

TEST_CASE("an error inside a value of several lines is reported alone") {
  CHECK(syntax_errors("a = [1,\n2 3]\nb = ?\n") ==
        "a.toml:2:3: error: array: expected comma or closing ']', saw '3'\n    2 3]\n      ^\n    is a comma "
        "missing, or the array's closing ']'?\n");
}

TEST_CASE("a file that cannot be read is reported at its first line") {
  Diagnostics diagnostics;
  CHECK_FALSE(read_document("/nonexistent/a.toml", OriginKind::scenario, diagnostics));
  CHECK(diagnostics.render() == "/nonexistent/a.toml:1:1: error: cannot read: No such file or directory\n");
  Diagnostics directory;
  CHECK_FALSE(read_document("/", OriginKind::scenario, directory));
  CHECK(directory.render() == "/:1:1: error: cannot read: Is a directory\n");
}

TEST_CASE("a file is read as its text is") {
  const auto path =
      std::filesystem::temp_directory_path() / ("gnomon_config_test." + std::to_string(::getpid()) + ".toml");
  std::ofstream{path} << "title = \"x\"\nguest.vcpus = 0\n";
  Diagnostics diagnostics;
  const auto document = read_document(path.string(), OriginKind::scenario, diagnostics);
  std::filesystem::remove(path);
  REQUIRE(document);
  CHECK(*document->find("title")->text() == "x");
  CHECK(document->find("guest.vcpus")->where.file() == path.string());
  CHECK(document->find("guest.vcpus")->where.line == 2);
}

TEST_CASE("every node knows its place") {
  const auto document = parsed(std::string{good_scenario});
  const auto place = [&](std::string_view path) {
    const auto* node = document.find(path);
    REQUIRE(node);
    return std::pair{node->where.line, node->where.column};
  };
  CHECK(place("guest") == std::pair{4u, 1u});
  CHECK(place("guest.vcpus") == std::pair{5u, 9u});
  CHECK(place("device.1") == std::pair{16u, 1u});
  CHECK(place("device.1.queues.1") == std::pair{18u, 14u});
  CHECK(document.find("device.2") == nullptr);
  CHECK(document.find("guest.nothing") == nullptr);
  CHECK(document.find("guest..vcpus") == nullptr);
}

TEST_CASE("paths split at dots outside quotes") {
  const auto keys = [](std::string_view path) {
    std::vector<std::string> out;
    const auto parts = split_path(path);
    REQUIRE(parts);
    for (const auto& part : *parts) out.push_back(part.key + "@" + std::to_string(part.offset));
    return out;
  };
  CHECK(keys("guest.vcpus") == std::vector<std::string>{"guest@0", "vcpus@6"});
  CHECK(keys("a.\"é.b\".'c'") == std::vector<std::string>{"a@0", "é.b@2", "c@8"});
  const auto bad = GENERATE(as<std::string>{}, "", ".", "a.", ".a", "a..b", "a b", "\"a", "a\"b\"", "a=b");
  CHECK_FALSE(split_path(bad));
}

TEST_CASE("too deep a path is no path") {
  std::string path = "a";
  for (std::size_t n = 1; n < max_depth; ++n) path += ".a";
  CHECK(split_path(path));
  CHECK_FALSE(split_path(path + ".a"));
}

TEST_CASE("--set takes TOML, else a string") {
  CHECK(with_setting("guest.vcpus=4").guest.vcpus == 4);
  CHECK(with_setting("guest.sync_map=false").guest.sync_map == false);
  CHECK(with_setting("guest.memory=4GiB").guest.memory == std::uint64_t{4} << 30);
  CHECK(with_setting("guest.memory=\"4GiB\"").guest.memory == std::uint64_t{4} << 30);
  CHECK(with_setting("guest.cmdline=iommu.strict=1 quiet").guest.cmdline == "iommu.strict=1 quiet");
  CHECK(with_setting("guest.cmdline=").guest.cmdline.empty());
  CHECK(with_setting("guest.cmdline=1\nb = 2").guest.cmdline == "1\nb = 2");
  CHECK(with_setting("device.1.queues=[7]").devices[1].queues == std::vector<unsigned>{7});
  CHECK(with_setting("device.0.media.clock=100MHz").devices[0].clock == 100'000'000);
  CHECK(with_setting("fio={file=\"x.fio\"}").fio->file == "x.fio");
  CHECK(with_setting("fio.file=x.fio").fio->file == "x.fio");
}

TEST_CASE("--set keeps the text of what TOML takes for a number where text is due") {
  CHECK(with_setting("guest.kernel=6.10").guest.kernel == "6.10");
  CHECK(with_setting("guest.kernel=true").guest.kernel == "true");
  CHECK(with_setting("title=1979-05-27").title == "1979-05-27");
}

TEST_CASE("an error in --set is reported in its argument") {
  CHECK(setting_errors("guest.vcpus=600") ==
        "--set:1:13: error: 'guest.vcpus' is out of range: 600\n    guest.vcpus=600\n                ^\n"
        "    accepted: 1 to 512\n");
  CHECK(setting_errors("device.0.queues=[1,99]") ==
        "--set:1:20: error: 'device.0.queues.1' is out of range: 99\n    device.0.queues=[1,99]\n"
        "                       ^\n    accepted: 0 to 64\n");
  CHECK(
      setting_errors("guest.vcpu=1") ==
      "--set:1:7: error: unknown key 'vcpu' in [guest]\n    guest.vcpu=1\n          ^\n    did you mean 'vcpus'?\n"
      "    accepted: vcpus, kernel, cmdline, memory, spinlock, sync_map, tick\n");
  CHECK(setting_errors("guest.memory=4096") ==
        "--set:1:14: error: 'guest.memory' has no unit: \"4096\"\n    guest.memory=4096\n                 ^\n"
        "    accepted units: B, KB, KiB, MB, MiB, GB, GiB, TB, TiB, as in \"64KiB\"\n");
  CHECK(setting_errors("guest.memory.x=1") ==
        "--set:1:7: error: 'guest.memory' is a string, not a table\n    guest.memory.x=1\n          ^\n");
  CHECK(setting_errors("device.7.model=nic") ==
        "--set:1:8: error: 'device' has no item '7'\n    device.7.model=nic\n           ^\n    accepted: 0 to 1\n");
  CHECK(setting_errors("é.x=1") ==
        "--set:1:1: error: expected PATH=VALUE\n    é.x=1\n    ^\n    for instance --set guest.vcpus=4\n");
  CHECK(setting_errors("guest.vcpus") ==
        "--set:1:1: error: expected PATH=VALUE\n    guest.vcpus\n    ^\n    for instance --set guest.vcpus=4\n");
  CHECK(setting_errors("title=\xFF") == "--set:1:1: error: is not UTF-8 text\n    title=\xEF\xBF\xBD\n    ^\n");
}

TEST_CASE("a variant's values lie over the scenario's and keep their positions") {
  const auto document = parsed(std::string{good_scenario});
  Diagnostics diagnostics;
  Scenario base;
  bind(base, document, diagnostics);
  REQUIRE(base.variants.size() == 2);

  Scenario small;
  const auto origins = bind(small, document.with_variant(base.variants[1].set, "small", diagnostics), diagnostics);
  CHECK_FALSE(diagnostics.has_errors());
  CHECK(small.guest.vcpus == 2);
  CHECK(small.guest.memory == std::uint64_t{2} << 30);  // its neighbours stay
  CHECK(small.devices[1].clock == 100'000'000);
  CHECK(small.devices[0].clock == 1'000'000'000);
  CHECK(origin_text(origins.find("guest.vcpus")) == "a.toml:27 (variant small)");
  CHECK(origin_text(origins.find("guest.memory")) == "a.toml:6");
  CHECK(origin_text(origins.find("device.1.media.clock")) == "a.toml:28 (variant small)");
  CHECK(base.guest.vcpus == 16);
  CHECK(document.find("guest.vcpus")->where.line == 5);  // the document itself is untouched

  Scenario strict;
  bind(strict, document.with_variant(base.variants[0].set, "strict", diagnostics), diagnostics);
  CHECK(strict.guest.cmdline == "iommu.strict=1");
  CHECK(diagnostics.render() ==
        R"(a.toml:23:61: error: 'guest.vcpus' is out of range: 1024
    set = { "guest.cmdline" = "iommu.strict=1", "guest.vcpus" = 1024 }
                                                                ^
    accepted: 1 to 512
)");
}

TEST_CASE("an unknown path in a variant is reported at the part that is unknown") {
  const auto errors = [](std::string_view set) {
    const auto document = parsed(
        "title = \"t\"\nmachine.profile = \"p\"\n[[variant]]\nname = \"v\"\nset = " + std::string{set} + "\n");
    Diagnostics diagnostics;
    Scenario base;
    bind(base, document, diagnostics);
    Scenario variant;
    bind(variant, document.with_variant(base.variants.at(0).set, "v", diagnostics), diagnostics);
    return diagnostics.render();
  };
  CHECK(
      errors("{ \"guest.vcpu\" = 1 }") ==
      "a.toml:5:16: error: unknown key 'vcpu' in [guest]\n    set = { \"guest.vcpu\" = 1 }\n                   ^\n"
      "    did you mean 'vcpus'?\n    accepted: vcpus, kernel, cmdline, memory, spinlock, sync_map, tick\n");
  CHECK(errors("{ guest.vcpu = 1 }") ==
        "a.toml:5:15: error: unknown key 'vcpu' in [guest]\n    set = { guest.vcpu = 1 }\n                  ^\n"
        "    did you mean 'vcpus'?\n    accepted: vcpus, kernel, cmdline, memory, spinlock, sync_map, tick\n");
  CHECK(errors("{ \"title.x\" = 1 }") ==
        "a.toml:5:10: error: 'title' is a string, not a table\n    set = { \"title.x\" = 1 }\n             ^\n");
  CHECK(errors("{ \"guest vcpus\" = 1 }") ==
        "a.toml:5:9: error: 'guest vcpus' is not a dotted path\n    set = { \"guest vcpus\" = 1 }\n            ^\n"
        "    for instance \"guest.vcpus\"\n");
  CHECK(errors("{ \"device.0.model\" = \"nic\" }") ==
        "a.toml:5:17: error: 'device' expects an array of tables, got a table\n"
        "    set = { \"device.0.model\" = \"nic\" }\n                    ^\n"
        "    each is written [[device]], its keys below\n");
}

TEST_CASE("a scenario and its variants report a common error once") {
  const auto document = parsed("title = \"t\"\nmachine.profile = \"p\"\nguest.vcpus = 0\n");
  Diagnostics diagnostics;
  for (const auto* name : {"a", "b"}) {
    Scenario scenario;
    bind(scenario, document.with_variant(FreeTable{}, name, diagnostics), diagnostics);
  }
  CHECK(diagnostics.sorted().size() == 1);
}

TEST_CASE("one document lies over a part of another") {
  Diagnostics diagnostics;
  const auto document =
      parsed("[machine]\nprofile = \"p\"\n").with("machine", parsed("profile = \"q\"\nx = 1\n"), diagnostics);
  CHECK(*document.find("machine.profile")->text() == "q");
  CHECK(document.find("machine.x") != nullptr);
  const auto whole = parsed("a = 1\nb = 2\n").with("", parsed("b = 3\n"), diagnostics);
  CHECK(std::get<std::int64_t>(whole.find("a")->value) == 1);
  CHECK(std::get<std::int64_t>(whole.find("b")->value) == 3);
  CHECK_FALSE(diagnostics.has_errors());
}

TEST_CASE("TOML strings are written as they are read") {
  CHECK(quoted("a\"b\\c\n\t\r\x01\x7F"
               "é") == "\"a\\\"b\\\\c\\n\\t\\r\\u0001\\u007Fé\"");
  CHECK(*parsed("a = " + quoted("a\"b\\c\n\t\r\x01\x7F"
                                "é"))
             .find("a")
             ->text() ==
        "a\"b\\c\n\t\r\x01\x7F"
        "é");
  CHECK(join_path("a", "b.c") == "a.\"b.c\"");
  CHECK(join_path("", "b") == "b");
}
