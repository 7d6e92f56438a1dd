// SPDX-License-Identifier: Apache-2.0
// Structs read through their descriptions: values, defaults, origins, provenance, and every error with its exact
// text.
#include <catch2/catch.hpp>

#include "tests/unit/platform/config_fixture.hpp"

using namespace config_test;

namespace {

template <class T>
std::pair<T, Origins> bound(std::string_view text, OriginKind kind = OriginKind::scenario) {
  Diagnostics diagnostics;
  const auto document = parse_document(std::string{text}, "a.toml", kind, diagnostics);
  REQUIRE(document);
  T object;
  auto origins = bind(object, *document, diagnostics);
  INFO(diagnostics.render());
  REQUIRE_FALSE(diagnostics.has_errors());
  return {std::move(object), std::move(origins)};
}

constexpr std::string_view good_machine = R"(name = "desk"
[cpu]
exit_cost = { value = "3.6us", kind = "fitted", source = "the thread's table", fitted_to = ["strict", "lazy"] }
posted = { value = true, kind = "measured", source = "/proc/cpuinfo" }
[iommu]
entries = { value = 128, kind = "assumed", source = "none published" }
ways = { value = [4, 8], kind = "derived", source = "entries over sets" }
)";

}  // namespace

TEST_CASE("every kind of field is read") {
  const auto [s, origins] = bound<Scenario>(good_scenario);
  CHECK(s.title == "fio randwrite");
  CHECK(s.profile == "intel-desktop-2023");
  CHECK(s.guest.vcpus == 16);
  CHECK(s.guest.kernel == "6.12");  // default
  CHECK(s.guest.memory == std::uint64_t{2} << 30);
  CHECK(s.guest.spinlock == Spinlock::queued);
  CHECK(s.guest.sync_map == true);
  CHECK_FALSE(s.guest.tick);
  CHECK(s.iommu.device == Iommu::virtio);
  CHECK(s.iommu.granule == 65'536);
  REQUIRE(s.devices.size() == 2);
  CHECK(s.devices[0].model == Model::nvme);
  CHECK(s.devices[0].channels == 32);
  CHECK(s.devices[0].write_bandwidth == 2'684'354'560);
  CHECK(s.devices[1].model == Model::nic);
  CHECK(s.devices[1].clock == 3'200'000'000);
  CHECK(s.devices[1].queues == std::vector<unsigned>{0, 3});
  CHECK_FALSE(s.fio);
  REQUIRE(s.variants.size() == 2);
  CHECK(s.variants[0].set.entries.at(1).path == "guest.vcpus");
  CHECK(s.expectations.at(0).value == 0.813);
  CHECK(s.expectations.at(0).tolerance == 0.02);
  CHECK(s.expectations.at(0).order == std::vector<std::string>{"host", ">", "strict"});
}

TEST_CASE("origins say where each value is, and where to complain about one that is not there") {
  const auto [s, origins] = bound<Scenario>(good_scenario);
  CHECK(origin_text(origins.find("guest.vcpus")) == "a.toml:5");
  CHECK(origins.is_default("guest.kernel"));
  CHECK(origin_text(origins.find("guest.kernel")) == "default");
  CHECK(origins.where("guest.vcpus").column == 9);
  CHECK(origins.where("guest.kernel").line == 4);  // the header of [guest]
  CHECK(origins.where("device.1.channels").line == 16);
  CHECK(origins.where("fio.file").line == 1);
  CHECK(origins.where("fio.file").file() == "a.toml");
}

TEST_CASE("all errors of a file come at once, in order, with what would be accepted") {
  CHECK(scenario_errors(R"([gest]
[guest]
vcpu = 3
vcpus = 0
memory = 4096
spinlock = "qeued"
kernel = 6.12
sync_map = 1
tick = "3us5"
[iommu]
queue = 100
[[device]]
model = "nic"
queues = [1, 65, "x"]
media.write_bandwidth = "2.5gib/s"
[fio]
)") == R"(a.toml:3:2: error: unknown key 'gest' at the top level
    [gest]
     ^
    did you mean 'guest'?
    accepted: title, machine, guest, iommu, device, fio, variant, expect
a.toml:5:1: error: unknown key 'vcpu' in [guest]
    vcpu = 3
    ^
    did you mean 'vcpus'?
    accepted: vcpus, kernel, cmdline, memory, spinlock, sync_map, tick
a.toml:6:9: error: 'guest.vcpus' is out of range: 0
    vcpus = 0
            ^
    accepted: 1 to 512
a.toml:7:10: error: 'guest.memory' has no unit
    memory = 4096
             ^
    accepted units: B, KB, KiB, MB, MiB, GB, GiB, TB, TiB, as in "64KiB"
a.toml:8:12: error: 'guest.spinlock' does not take "qeued"
    spinlock = "qeued"
               ^
    did you mean 'queued'?
    accepted: test-and-set, queued
a.toml:9:10: error: 'guest.kernel' expects a string, got a number
    kernel = 6.12
             ^
a.toml:10:12: error: 'guest.sync_map' expects true or false, got an integer
    sync_map = 1
               ^
    accepted: true, false
a.toml:11:8: error: 'guest.tick' has the unknown unit 'us5': "3us5"
    tick = "3us5"
           ^
    did you mean 'us'?
    accepted: ps, ns, us, ms, s
a.toml:13:9: error: 'iommu.queue' is no power of two: 100
    queue = 100
            ^
    accepted: 16 to 4096, a power of two
a.toml:16:14: error: 'device.0.queues.1' is out of range: 65
    queues = [1, 65, "x"]
                 ^
    accepted: 0 to 64
a.toml:16:18: error: 'device.0.queues.2' expects an integer, got a string
    queues = [1, 65, "x"]
                     ^
    accepted: 0 to 64
a.toml:17:25: error: 'device.0.media.write_bandwidth' has the unknown unit 'gib/s': "2.5gib/s"
    media.write_bandwidth = "2.5gib/s"
                            ^
    did you mean 'GiB/s'?
    accepted: B/s, kbit/s, KB/s, KiB/s, Mbit/s, MB/s, MiB/s, Gbit/s, GB/s, GiB/s, Tbit/s, TB/s, TiB/s
a.toml:18:1: error: missing key 'file' in [fio]
    [fio]
    ^
    string: job file
)");
}

TEST_CASE("a value of the wrong kind is named with what was expected") {
  CHECK(scenario_errors("guest = 3\niommu = []\ndevice = 3\nvariant = [1]\nexpect = {}\nfio.file = 1979-05-27\n") ==
        R"(a.toml:3:9: error: 'guest' expects a table, got an integer
    guest = 3
            ^
    written [guest], its keys below
a.toml:4:9: error: 'iommu' expects a table, got an array
    iommu = []
            ^
    written [iommu], its keys below
a.toml:5:10: error: 'device' expects an array of tables, got an integer
    device = 3
             ^
    each is written [[device]], its keys below
a.toml:6:12: error: 'variant.0' expects a table, got an integer
    variant = [1]
               ^
a.toml:7:10: error: 'expect' expects an array of tables, got a table
    expect = {}
             ^
    each is written [[expect]], its keys below
a.toml:8:12: error: 'fio.file' expects a string, got a date
    fio.file = 1979-05-27
               ^
)");
}

TEST_CASE("missing keys are reported at their table's header, or at 1:1") {
  CHECK(errors_of<Scenario>("") ==
        "a.toml:1:1: error: missing key 'title' at the top level\n    string: what the scenario shows\n"
        "a.toml:1:1: error: missing key 'machine.profile'\n    string: machine profile\n");
  CHECK(errors_of<Scenario>("title = \"t\"\n  [machine]\n[[variant]]\nset = {}\n") ==
        "a.toml:2:3: error: missing key 'profile' in [machine]\n      [machine]\n      ^\n    string: machine "
        "profile\n"
        "a.toml:3:1: error: missing key 'name' in [[variant]]\n    [[variant]]\n    ^\n    string: name in the "
        "results\n");
}

TEST_CASE("numbers keep to their bounds, whatever their size") {
  CHECK(scenario_errors("guest.vcpus = -1\n") ==
        "a.toml:3:15: error: 'guest.vcpus' is out of range: -1\n    guest.vcpus = -1\n                  ^\n"
        "    accepted: 1 to 512\n");
  CHECK(scenario_errors("guest.vcpus = 4294967297\n").find("out of range: 4294967297") != std::string::npos);
  CHECK(scenario_errors("guest.vcpus = 99999999999999999999\n").find("not representable in 64 bits") !=
        std::string::npos);
  CHECK(scenario_errors("guest.vcpus = 1.0\n").find("expects an integer, got a number") != std::string::npos);
  CHECK(scenario_errors("guest.memory = \"1KiB\"\n") ==
        "a.toml:3:16: error: 'guest.memory' is out of range: 1KiB\n    guest.memory = \"1KiB\"\n                   "
        "^\n"
        "    accepted: 4KiB to 1TiB\n");
  CHECK(scenario_errors("expect = [{ value = inf }, { value = 3 }]\n") ==
        "a.toml:3:21: error: 'expect.0.value' is not finite\n    expect = [{ value = inf }, { value = 3 }]\n"
        "                        ^\n");
  CHECK(scenario_errors("variant = [{ name = \"\" }]\n") ==
        "a.toml:3:21: error: 'variant.0.name' is empty\n    variant = [{ name = \"\" }]\n                        "
        "^\n");
}

TEST_CASE("a key of another model is refused, unless the model itself is in doubt") {
  CHECK(scenario_errors("[[device]]\nmodel = \"nic\"\nchannels = 3\n[iommu]\ncaching-mode = true\n") ==
        R"(a.toml:5:1: error: 'channels' does not apply: 'model' is "nic"
    channels = 3
    ^
    it belongs to model = nvme
a.toml:7:1: error: 'caching-mode' does not apply: 'device' is "none"
    caching-mode = true
    ^
    it belongs to device = intel-iommu
)");
  CHECK(scenario_errors("[iommu]\ndevice = \"intel\"\ncaching-mode = true\ngranule = \"4KiB\"\n") ==
        R"(a.toml:4:10: error: 'iommu.device' does not take "intel"
    device = "intel"
             ^
    accepted: none, intel-iommu, virtio-iommu
)");
  CHECK(scenario_errors("[[device]]\nchannels = 3\n") ==
        R"(a.toml:3:1: error: missing key 'model' in [[device]]
    [[device]]
    ^
    choice: kind of device
    accepted: nvme, nic
)");
}

TEST_CASE("a value in error leaves its member as it was") {
  Diagnostics diagnostics;
  const auto document =
      parse_document("guest.vcpus = 0\nguest.cmdline = \"x\"\n", "a.toml", OriginKind::scenario, diagnostics);
  Scenario s;
  s.guest.vcpus = 7;
  bind(s, *document, diagnostics);
  CHECK(s.guest.vcpus == 7);
  CHECK(s.guest.cmdline == "x");
}

TEST_CASE("what the file lists replaces what the struct listed") {
  Diagnostics diagnostics;
  const auto document =
      parse_document("[[device]]\nmodel = \"nic\"\n", "a.toml", OriginKind::scenario, diagnostics);
  Scenario s;
  s.devices.resize(3);
  bind(s, *document, diagnostics);
  CHECK(s.devices.size() == 1);
}

TEST_CASE("a machine's constants carry their provenance beside them") {
  const auto [m, origins] = bound<Machine>(good_machine, OriginKind::machine_profile);
  CHECK(m.exit_cost == 3'600_ns);
  CHECK(m.posted);
  CHECK(m.iotlb_entries == 128);
  CHECK(m.ways == std::vector<unsigned>{4, 8});
  const auto* cost = origins.find("cpu.exit_cost");
  REQUIRE(cost);
  REQUIRE(cost->provenance);
  CHECK(cost->provenance->kind == ProvenanceKind::fitted);
  CHECK(cost->provenance->source == "the thread's table");
  CHECK(cost->provenance->fitted_to == std::vector<std::string>{"strict", "lazy"});
  CHECK(origin_text(cost) == "a.toml:3 (machine profile)");
  CHECK_FALSE(origins.find("name")->provenance);
  CHECK(origins.find("cpu.exit_cost.source") == nullptr);  // no parameter of its own
}

TEST_CASE("a machine profile without provenance is refused") {
  CHECK(errors_of<Machine>(R"(name = "x"
[cpu]
exit_cost = "3.6us"
posted = { value = 1, kind = "guess" }
[iommu]
entries = { value = 64, kind = "fitted", source = "" }
ways = { value = [4], kind = "measured", source = "s", fitted_to = ["t"], sorce = 1 }
)",
                           OriginKind::machine_profile) ==
        R"(a.toml:3:13: error: 'cpu.exit_cost' does not say where it is from
    exit_cost = "3.6us"
                ^
    a constant of a machine profile is { value = …, kind = "…", source = "…" }
    accepted kinds: measured, derived, fitted (with fitted_to = ["…"]), assumed
a.toml:4:10: error: missing key 'source' in [cpu.posted]
    posted = { value = 1, kind = "guess" }
             ^
    string: where it is from
a.toml:4:20: error: 'cpu.posted.value' expects true or false, got an integer
    posted = { value = 1, kind = "guess" }
                       ^
    accepted: true, false
a.toml:4:30: error: 'cpu.posted.kind' does not take "guess"
    posted = { value = 1, kind = "guess" }
                                 ^
    accepted: measured, derived, fitted, assumed
a.toml:6:11: error: missing key 'fitted_to' in [iommu.entries]
    entries = { value = 64, kind = "fitted", source = "" }
              ^
    list of strings: the figures it was fitted to
a.toml:6:51: error: 'iommu.entries.source' is empty
    entries = { value = 64, kind = "fitted", source = "" }
                                                      ^
a.toml:7:56: error: 'fitted_to' does not apply: 'kind' is "measured"
    ways = { value = [4], kind = "measured", source = "s", fitted_to = ["t"], sorce = 1 }
                                                           ^
    it belongs to kind = fitted
a.toml:7:75: error: unknown key 'sorce' in [iommu.ways]
    ways = { value = [4], kind = "measured", source = "s", fitted_to = ["t"], sorce = 1 }
                                                                              ^
    did you mean 'source'?
    accepted: kind, source, fitted_to, value
)");
}

TEST_CASE("outside a machine profile a constant may be plain, and no plain field takes the table form") {
  const auto [m, origins] = bound<Machine>(
      "cpu.exit_cost = \"2us\"\ncpu.posted = { value = true, kind = \"assumed\", source = \"s\" }\n");
  CHECK(m.exit_cost == 2_us);
  CHECK(m.posted);
  CHECK(errors_of<Machine>("iommu.entries = { value = 1, kind = \"assumed\", source = \"s\" }\n")
            .starts_with("a.toml:1:17: error: 'iommu.entries' expects an integer, got a table\n"));
}

TEST_CASE("a constant set over the profile loses the profile's provenance") {
  Diagnostics diagnostics;
  const auto profile =
      parse_document(std::string{good_machine}, "desk.toml", OriginKind::machine_profile, diagnostics);
  for (const auto* setting : {"cpu.exit_cost=9us", "cpu.exit_cost.value=9us"}) {
    Machine m;
    const auto origins = bind(m, profile->with_setting(setting, diagnostics), diagnostics);
    INFO(setting << "\n" << diagnostics.render());
    CHECK_FALSE(diagnostics.has_errors());
    CHECK(m.exit_cost == 9_us);
    CHECK(origins.find("cpu.exit_cost")->kind == OriginKind::command_line);
    CHECK_FALSE(origins.find("cpu.exit_cost")->provenance);
    CHECK(origins.find("cpu.posted")->provenance);
  }
}

TEST_CASE("a description that is wrong in itself throws") {
  struct Twice {
    unsigned a = 0;
  } twice;
  Description d;
  d.field("x.a", twice.a, "");
  CHECK_THROWS_AS(d.field("x.a", twice.a, ""), std::logic_error);
  CHECK_THROWS_AS(d.field("x", twice.a, ""), std::logic_error);
  Description lost;
  lost.field("a", twice.a, "").only_for("no_such_choice", {"x"});
  Diagnostics diagnostics;
  CHECK_THROWS_AS(read(lost, Document{}, diagnostics), std::logic_error);
}
