// SPDX-License-Identifier: Apache-2.0
// What is derived from a description: the effective configuration, listings, the reference page, the JSON Schema.
#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tests/unit/platform/config_fixture.hpp"

using namespace config_test;

TEST_CASE("the effective configuration holds every value with its origin") {
  Diagnostics diagnostics;
  const auto document = parse_document(std::string{good_scenario}, "a.toml", OriginKind::scenario, diagnostics)
                            ->with_setting("guest.kernel=6.10", diagnostics);
  Scenario base;
  bind(base, document, diagnostics);
  Scenario s;
  const auto origins = bind(s, document.with_variant(base.variants.at(1).set, "small", diagnostics), diagnostics);
  REQUIRE_FALSE(diagnostics.has_errors());
  CHECK(effective_toml(s, origins) == R"(title = "fio randwrite"  # a.toml:1

[machine]
profile = "intel-desktop-2023"  # a.toml:3

[guest]
vcpus = 2  # a.toml:27 (variant small)
kernel = "6.10"  # --set
cmdline = ""  # default
memory = "2GiB"  # a.toml:6
spinlock = "queued"  # a.toml:7
sync_map = true  # a.toml:8
# tick is not set

[iommu]
device = "virtio-iommu"  # a.toml:10
queue = 256  # default
granule = "64KiB"  # a.toml:11

[[device]]  # a.toml:12
model = "nvme"  # a.toml:13
channels = 32  # a.toml:14
queues = []  # default

[device.media]
write_bandwidth = "2.5GiB/s"  # a.toml:15
clock = "1GHz"  # default

[[device]]  # a.toml:16
model = "nic"  # a.toml:17
queues = [0, 3]  # a.toml:18

[device.media]
write_bandwidth = "2GB/s"  # default
clock = "100MHz"  # a.toml:28 (variant small)

[[variant]]  # a.toml:21
name = "strict"  # a.toml:22

[variant.set]  # a.toml:23
"guest.cmdline" = "iommu.strict=1"
"guest.vcpus" = 1024

[[variant]]  # a.toml:24
name = "small"  # a.toml:25

[variant.set]  # a.toml:26
guest = { vcpus = 2 }
"device.1.media.clock" = "100MHz"

[[expect]]  # a.toml:29
value = 0.813  # a.toml:30
tolerance = 0.02  # a.toml:31
order = ["host", ">", "strict"]  # a.toml:32
)");
}

TEST_CASE("the effective configuration reads back to itself") {
  Diagnostics diagnostics;
  const auto document = parse_document(std::string{good_scenario} + "[fio]\nfile = \"a\\\"b\\n\"\n", "a.toml",
                                       OriginKind::scenario, diagnostics);
  Scenario s;
  const auto first = effective_toml(s, bind(s, *document, diagnostics));
  const auto again = parse_document(first, "config.toml", OriginKind::scenario, diagnostics);
  INFO(diagnostics.render());
  REQUIRE(again);
  Scenario t;
  bind(t, *again, diagnostics);
  CHECK_FALSE(diagnostics.has_errors());
  CHECK(t.fio->file == "a\"b\n");
  CHECK(t.variants.at(0).set.entries.at(1).path == "guest.vcpus");
  CHECK(effective_toml(t, Origins{}) == effective_toml(s, Origins{}));
}

TEST_CASE("the effective configuration of a machine says what its constants rest on") {
  Diagnostics diagnostics;
  const auto document = parse_document(
      "[cpu]\nexit_cost = { value = \"3.6us\", kind = \"fitted\", source = \"a\\ntable\", fitted_to = [\"x\", "
      "\"y\"] }\n",
      "m.toml", OriginKind::machine_profile, diagnostics);
  Machine m;
  const auto text = effective_toml(m, bind(m, *document, diagnostics));
  CHECK(text.find("exit_cost = \"3.6us\"  # m.toml:2 (machine profile); fitted to x, y; a\xEF\xBF\xBDtable\n") !=
        std::string::npos);
}

TEST_CASE("every parameter is listed once, in the order of the description") {
  const auto all = parameters<Scenario>();
  std::vector<std::string> paths;
  for (const auto& p : all) paths.push_back(p.path);
  CHECK(paths == std::vector<std::string>{"title",
                                          "machine.profile",
                                          "guest.vcpus",
                                          "guest.kernel",
                                          "guest.cmdline",
                                          "guest.memory",
                                          "guest.spinlock",
                                          "guest.sync_map",
                                          "guest.tick",
                                          "iommu.device",
                                          "iommu.caching-mode",
                                          "iommu.queue",
                                          "iommu.granule",
                                          "device.N.model",
                                          "device.N.channels",
                                          "device.N.media.write_bandwidth",
                                          "device.N.media.clock",
                                          "device.N.queues",
                                          "fio.file",
                                          "variant.N.name",
                                          "variant.N.set",
                                          "expect.N.value",
                                          "expect.N.tolerance",
                                          "expect.N.order"});
  const auto text = list_text(std::span{all}.subspan(4, 3));
  CHECK(text ==
        "guest.cmdline   string  \"\"              kernel command line\n"
        "guest.memory    size    \"8GiB\"          guest memory\n"
        "guest.spinlock  choice  \"test-and-set\"  spinlock implementation\n");
  CHECK(parameters<Machine>("machine").at(1).path == "machine.cpu.exit_cost");
}

TEST_CASE("a parameter is found by its path, with numbers, or by its end") {
  const auto all = parameters<Scenario>();
  const auto found = [&](std::string_view name) {
    std::vector<std::string> paths;
    for (const auto* p : find_parameters(all, name)) paths.push_back(p->path);
    return paths;
  };
  CHECK(found("guest.vcpus") == std::vector<std::string>{"guest.vcpus"});
  CHECK(found("vcpus") == std::vector<std::string>{"guest.vcpus"});
  CHECK(found("device.3.media.clock") == std::vector<std::string>{"device.N.media.clock"});
  CHECK(found("media.clock") == std::vector<std::string>{"device.N.media.clock"});
  CHECK(found("cpus").empty());
  CHECK(suggest_parameter(all, "guest.vcpu") == "did you mean 'guest.vcpus'?");
  CHECK(suggest_parameter(all, "vcpu") == "did you mean 'vcpus'?");
  CHECK(suggest_parameter(all, "zebra").empty());
}

TEST_CASE("a parameter explains itself") {
  const auto all = parameters<Scenario>();
  CHECK(explain_text(*find_parameters(all, "device.0.channels").at(0)) ==
        "device.N.channels: parallel media units\n"
        "  type      integer\n"
        "  accepted  1 to 4096\n"
        "  default   8\n"
        "  only for  device.N.model = nvme\n");
  CHECK(explain_text(*find_parameters(all, "guest.memory").at(0)) ==
        "guest.memory: guest memory\n"
        "  type      size\n"
        "  accepted  4KiB to 1TiB\n"
        "  units     B, KB, KiB, MB, MiB, GB, GiB, TB, TiB\n"
        "  default   \"8GiB\"\n");
  Origin origin;
  origin.kind = OriginKind::machine_profile;
  origin.where.source = std::make_shared<const Source>(Source{"m.toml", OriginKind::machine_profile, {}, nullptr});
  origin.where.line = 4;
  origin.provenance = Provenance{ProvenanceKind::fitted, "a table", {"strict", "lazy"}};
  const auto machine = parameters<Machine>();
  CHECK(explain_text(*find_parameters(machine, "exit_cost").at(0), &origin) ==
        "cpu.exit_cost: time of one exit\n"
        "  type      time\n"
        "  units     ps, ns, us, ms, s\n"
        "  default   \"1us\"\n"
        "  origin    m.toml:4 (machine profile)\n"
        "  kind      fitted\n"
        "  source    a table\n"
        "  fitted to strict, lazy\n");
}

TEST_CASE("the reference page has a table for each table") {
  const auto all = parameters<Device>("device.N");
  CHECK(markdown_reference(all) == R"(### `[[device]]`

| key | type | default | accepted | meaning |
|---|---|---|---|---|
| `model` | choice | required | nvme, nic | kind of device |
| `channels` | integer | `8` | 1 to 4096 | parallel media units (only for device.N.model = nvme) |
| `queues` | list of integers | `[]` | 0 to 64 | queues in use |

### `[device.media]`

| key | type | default | accepted | meaning |
|---|---|---|---|---|
| `write_bandwidth` | bandwidth | `"2GB/s"` | B/s, kbit/s, KB/s, KiB/s, Mbit/s, MB/s, MiB/s, Gbit/s, GB/s, GiB/s, Tbit/s, TB/s, TiB/s | sustained write bandwidth |
| `clock` | frequency | `"1GHz"` | Hz, kHz, MHz, GHz | controller clock |
)");
}

TEST_CASE("the JSON Schema says what the reader accepts") {
  const auto schema = json_schema(description_of<Scenario>(), "Gnomon scenario");
  CHECK(schema["$schema"] == "http://json-schema.org/draft-07/schema#");
  CHECK(schema["title"] == "Gnomon scenario");
  CHECK(schema["additionalProperties"] == false);
  CHECK(schema["required"] == nlohmann::ordered_json({"title", "machine"}));
  const auto& guest = schema["properties"]["guest"]["properties"];
  CHECK(guest["vcpus"].dump() == R"({"type":"integer","minimum":1,"maximum":512,"description":"virtual CPUs"})");
  CHECK(guest["spinlock"]["enum"] == nlohmann::ordered_json({"test-and-set", "queued"}));
  CHECK(guest["tick"]["pattern"] == "^[0-9]+(\\.[0-9]+)? ?(ps|ns|us|ms|s)$");
  const auto& iommu = schema["properties"]["iommu"]["properties"];
  CHECK(iommu["queue"]["enum"] == nlohmann::ordered_json({16, 32, 64, 128, 256, 512, 1024, 2048, 4096}));
  const auto& device = schema["properties"]["device"];
  CHECK(device["type"] == "array");
  CHECK(device["items"]["required"] == nlohmann::ordered_json::array({"model"}));
  CHECK(device["items"]["properties"]["queues"]["items"]["maximum"] == 64);
}

TEST_CASE("the JSON Schema of a machine profile asks for provenance") {
  const auto profile = json_schema(description_of<Machine>(), "machine", OriginKind::machine_profile);
  for (const auto* path : {"/properties/cpu/properties/exit_cost", "/properties/iommu/properties/entries"}) {
    const auto constant = profile[nlohmann::ordered_json::json_pointer(path)];
    CHECK(constant["required"] == nlohmann::ordered_json({"value", "kind", "source"}));
    CHECK(constant["then"] == nlohmann::ordered_json({{"required", nlohmann::ordered_json::array({"fitted_to"})}}));
  }
  CHECK(profile["properties"]["name"]["type"] == "string");
  const auto plain = json_schema(description_of<Machine>(), "machine");
  CHECK(plain["properties"]["cpu"]["properties"]["exit_cost"]["anyOf"].size() == 2);
  CHECK(plain["properties"]["iommu"]["properties"]["entries"]["type"] == "integer");
}
