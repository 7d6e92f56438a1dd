// SPDX-License-Identifier: Apache-2.0
// A small scenario and a small machine profile with every kind of field, for the tests of platform/config.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "platform/config/binder.hpp"

namespace config_test {

using namespace gnomon;
using namespace gnomon::config;

enum class Spinlock { test_and_set, queued };
inline constexpr std::array spinlock_names{EnumName{"test-and-set", Spinlock::test_and_set},
                                           EnumName{"queued", Spinlock::queued}};
enum class Iommu { none, intel, virtio };
inline constexpr std::array iommu_names{EnumName{"none", Iommu::none}, EnumName{"intel-iommu", Iommu::intel},
                                        EnumName{"virtio-iommu", Iommu::virtio}};
enum class Model { nvme, nic };
inline constexpr std::array model_names{EnumName{"nvme", Model::nvme}, EnumName{"nic", Model::nic}};

struct Guest {
  unsigned vcpus = 1;
  std::string kernel = "6.12";
  std::string cmdline;
  std::uint64_t memory = std::uint64_t{8} << 30;
  Spinlock spinlock = Spinlock::test_and_set;
  std::optional<bool> sync_map;
  std::optional<Time> tick;
};
inline void describe(Description& d, Guest& c) {
  d.field("vcpus", c.vcpus, range(1, 512), "virtual CPUs");
  d.field("kernel", c.kernel, "kernel release whose behaviour the guest has").not_empty();
  d.field("cmdline", c.cmdline, "kernel command line");
  d.field("memory", c.memory, Unit::bytes, "guest memory").within(range(4096, std::uint64_t{1} << 40));
  d.choice("spinlock", c.spinlock, spinlock_names, "spinlock implementation");
  d.field("sync_map", c.sync_map, "iotlb_sync_map is used; by default as the driver does");
  d.field("tick", c.tick, "period of the timer tick");
}

struct IommuConfig {
  Iommu device = Iommu::none;
  bool caching_mode = false;
  unsigned queue = 256;
  std::uint64_t granule = 4096;
};
inline void describe(Description& d, IommuConfig& c) {
  d.choice("device", c.device, iommu_names, "the virtual IOMMU");
  d.field("caching-mode", c.caching_mode, "not-present entries are cached").only_for("device", {"intel-iommu"});
  d.field("queue", c.queue, range(16, 4096), "entries of the invalidation queue").power_of_two();
  d.field("granule", c.granule, Unit::bytes, "smallest page").only_for("device", {"virtio-iommu"});
}

struct Device {
  Model model = Model::nvme;
  std::uint32_t channels = 8;
  std::uint64_t write_bandwidth = 2'000'000'000;
  std::uint64_t clock = 1'000'000'000;
  std::vector<unsigned> queues;
};
inline void describe(Description& d, Device& c) {
  d.choice("model", c.model, model_names, "kind of device").required();
  d.field("channels", c.channels, range(1, 4096), "parallel media units").only_for("model", {"nvme"});
  d.field("media.write_bandwidth", c.write_bandwidth, Unit::bytes_per_second, "sustained write bandwidth");
  d.field("media.clock", c.clock, Unit::hertz, "controller clock");
  d.field("queues", c.queues, range(0, 64), "queues in use");
}

struct Variant {
  std::string name;
  FreeTable set;
};
inline void describe(Description& d, Variant& c) {
  d.field("name", c.name, "name in the results").required().not_empty();
  d.free_table("set", c.set, "what differs from the scenario");
}

struct Expect {
  double value = 0;
  std::optional<double> tolerance;
  std::vector<std::string> order;
};
inline void describe(Description& d, Expect& c) {
  d.field("value", c.value, "published figure");
  d.field("tolerance", c.tolerance, "absolute tolerance");
  d.field("order", c.order, "variants and the relations between them");
}

struct Fio {
  std::string file;
};
inline void describe(Description& d, Fio& c) {
  d.field("file", c.file, "job file").required();
}

struct Scenario {
  std::string title;
  std::string profile;
  Guest guest;
  IommuConfig iommu;
  std::vector<Device> devices;
  std::optional<Fio> fio;
  std::vector<Variant> variants;
  std::vector<Expect> expectations;
};
inline void describe(Description& d, Scenario& c) {
  d.field("title", c.title, "what the scenario shows").required();
  d.field("machine.profile", c.profile, "machine profile").required();
  d.table("guest", c.guest, "the guest");
  d.table("iommu", c.iommu, "the virtual IOMMU");
  d.tables("device", c.devices, "devices");
  d.table("fio", c.fio, "a fio workload");
  d.tables("variant", c.variants, "variants");
  d.tables("expect", c.expectations, "expectations");
}

struct Machine {
  std::string name;
  Time exit_cost = Time::us(1);
  unsigned iotlb_entries = 64;
  bool posted = false;
  std::vector<unsigned> ways{4};
};
inline void describe(Description& d, Machine& c) {
  d.field("name", c.name, "what the profile is of");
  d.constant("cpu.exit_cost", c.exit_cost, "time of one exit");
  d.field("iommu.entries", c.iotlb_entries, range(1, 4096), "IOTLB entries");
  d.constant("cpu.posted", c.posted, "posted interrupts");
  d.constant("iommu.ways", c.ways, "ways of each cache");
}

inline constexpr std::string_view good_scenario = R"(title = "fio randwrite"
[machine]
profile = "intel-desktop-2023"
[guest]
vcpus = 16
memory = "2GiB"
spinlock = "queued"
sync_map = true
[iommu]
device = "virtio-iommu"
granule = "64KiB"
[[device]]
model = "nvme"
channels = 32
media.write_bandwidth = "2.5GiB/s"
[[device]]
model = "nic"
queues = [0, 3]
[device.media]
clock = "3.2GHz"
[[variant]]
name = "strict"
set = { "guest.cmdline" = "iommu.strict=1", "guest.vcpus" = 1024 }
[[variant]]
name = "small"
[variant.set]
guest.vcpus = 2
"device.1.media.clock" = "100MHz"
[[expect]]
value = 0.813
tolerance = 0.02
order = ["host", ">", "strict"]
)";

/// What binding `text` reports, rendered.
template <class T>
std::string errors_of(std::string_view text, OriginKind kind = OriginKind::scenario) {
  Diagnostics diagnostics;
  if (const auto document = parse_document(std::string{text}, "a.toml", kind, diagnostics)) {
    T object;
    bind(object, *document, diagnostics);
  }
  return diagnostics.render();
}

/// errors_of a scenario whose required keys stand in the first line, so that `text` begins at line 2.
inline std::string scenario_errors(std::string_view text) {
  return errors_of<Scenario>("title = \"t\"\nmachine.profile = \"p\"\n" + std::string{text});
}

}  // namespace config_test
