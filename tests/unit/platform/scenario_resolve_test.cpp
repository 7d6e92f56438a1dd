// SPDX-License-Identifier: Apache-2.0
// From a scenario's text to configurations: what kernels make of command lines, what variants may set, where errors
// are told.
#include <catch2/catch.hpp>

#include "platform/scenario/data_root.hpp"
#include "platform/scenario/machine_description.hpp"
#include "tests/unit/platform/scenario_fixture.hpp"

using namespace scenario_test;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

/// The one variant of a guest behind virtio-iommu.
ResolvedVariant guest_of(std::string_view guest, std::string_view more = "") {
  Sandbox box;
  auto resolved = box.resolve(std::string{header} + "[iommu]\ndevice = \"virtio-iommu\"\n[guest]\n" +
                              std::string{guest} + "\n" + std::string{more});
  INFO(box.said);
  REQUIRE(resolved);
  REQUIRE(resolved->variants.size() == 1);
  return std::move(resolved->variants.front());
}

}  // namespace

TEST_CASE("a minimal scenario: one variant, everything from machine and kernel", "[scenario]") {
  Sandbox box;
  const auto resolved = box.resolve(header);
  INFO(box.said);
  REQUIRE(resolved);
  CHECK(resolved->name == "a");
  REQUIRE(resolved->variants.size() == 1);
  CHECK(resolved->variants[0].name == "default");
  const Configuration& c = resolved->variants[0].configuration;
  CHECK(c.hypervisor == HypervisorKind::kvm);
  CHECK(c.iommu == IommuKind::none);
  CHECK_FALSE(c.guest.translated);
  CHECK(c.guest.nvme_max_transfer == 8u << 20);
  REQUIRE(c.jobs.size() == 1);
  CHECK(c.jobs[0].name == "page");
  CHECK(c.jobs[0].runtime == Time::s(10));
  CHECK(c.machine.nvme.media.write_bandwidth == 2'684'354'560);
}

TEST_CASE("kernels make of a command line what they do", "[scenario]") {
  struct Row {
    const char* guest;
    bool translated, deferred, per_cpu, sync_map;
  };
  const Row row =
      GENERATE(Row{"kernel = \"6.12\"", true, true, true, true},
               Row{"kernel = \"6.12\"\ncmdline = \"iommu.strict=1\"", true, false, true, true},
               Row{"kernel = \"6.12\"\ncmdline = \"iommu.strict=1 iommu.strict=0\"", true, true, true, true},
               Row{"kernel = \"6.12\"\nflush_queue = \"single\"\nsync_map = false", true, true, false, false},
               Row{"kernel = \"6.12\"\ncmdline = \"iommu.passthrough=1\"", false, false, true, true},
               Row{"kernel = \"6.5-rfc\"", true, true, false, true},
               Row{"kernel = \"6.5-rfc\"\nflush_queue = \"per-cpu\"", true, true, true, true},
               Row{"kernel = \"6.7\"", true, false, true, false},
               Row{"kernel = \"6.1\"\ncmdline = \"iommu.strict=0\"", true, false, true, false},
               Row{"kernel = \"6.1\"\ncmdline = \"intel_iommu=strict\"", true, false, true, false});
  INFO(row.guest);
  const ResolvedVariant variant = guest_of(row.guest);
  const Configuration& c = variant.configuration;
  CHECK(c.guest.translated == row.translated);
  CHECK((c.iommu == IommuKind::virtio_iommu) == row.translated);
  CHECK(c.guest.sync_map == row.sync_map);
  CHECK(c.guest.deferred == row.deferred);
  if (row.deferred) {
    CHECK(c.guest.flush_queue.per_cpu == row.per_cpu);
    CHECK(c.guest.flush_queue.slots == (row.per_cpu ? 256u : 32768u));
    CHECK(c.guest.flush_queue.timeout == (row.per_cpu ? Time::ms(10) : Time::s(1)));
  }
}

TEST_CASE("lazy asked of a driver that cannot: strict, and said so", "[scenario]") {
  const ResolvedVariant variant = guest_of("kernel = \"6.1\"\ncmdline = \"iommu.strict=0\"");
  REQUIRE(variant.notes.size() == 1);
  CHECK_THAT(variant.notes[0], Contains("cannot defer invalidation"));
  CHECK_THAT(variant.effective_toml, Contains("# Linux 6.1: its virtio-iommu driver cannot defer invalidation"));
  CHECK_THAT(variant.effective_toml, Contains("unmap = \"strict\""));
  CHECK_THAT(variant.effective_toml, Contains("6.1.toml:6 (kernel file)"));
}

TEST_CASE("an untrusted device is strict whatever the command line says", "[scenario]") {
  const ResolvedVariant variant =
      guest_of("cmdline = \"iommu.strict=0\"", "[[device]]\nmodel = \"nvme\"\nuntrusted = true\n");
  CHECK(variant.configuration.guest.translated);
  CHECK_FALSE(variant.configuration.guest.deferred);
  CHECK_THAT(variant.effective_toml, Contains("the device is untrusted"));
}

TEST_CASE("--set wins over variants, and both know where they are from", "[scenario]") {
  Sandbox box;
  const std::string text =
      std::string{header} +
      "[[variant]]\nname = \"few\"\nset = { \"guest.vcpus\" = 2 }\n"
      "[[variant]]\nname = \"many\"\nset = { \"guest.vcpus\" = 8, \"workload.runtime\" = \"1s\" }\n";
  auto resolved = box.resolve(text);
  REQUIRE(resolved);
  REQUIRE(resolved->variants.size() == 2);
  CHECK(resolved->variants[0].configuration.guest.vcpus == 2);
  CHECK(resolved->variants[1].configuration.guest.vcpus == 8);
  CHECK(resolved->variants[1].configuration.jobs[0].runtime == Time::s(1));
  CHECK_THAT(resolved->variants[1].effective_toml, Contains("vcpus = 8  # a.toml:12 (variant many)"));
  resolved = box.resolve(text, {"guest.vcpus=3"});
  REQUIRE(resolved);
  CHECK(resolved->variants[1].configuration.guest.vcpus == 3);
  CHECK_THAT(resolved->variants[1].effective_toml, Contains("vcpus = 3  # --set"));
}

TEST_CASE("a syntax error is told under the name the caller gave", "[scenario]") {
  Sandbox box;
  CHECK_FALSE(box.resolve("title = \"t\"\n[machine\n"));
  CHECK_THAT(box.said, StartsWith("a.toml:2:9: error: "));
}

TEST_CASE("a matrix multiplies the variants", "[scenario]") {
  Sandbox box;
  auto resolved =
      box.resolve(std::string{header} + "[matrix]\n\"guest.vcpus\" = [1, 2]\n\"guest.hz\" = [100, 250, 1000]\n");
  INFO(box.said);
  REQUIRE(resolved);
  REQUIRE(resolved->variants.size() == 6);
  CHECK(resolved->variants[0].name == "vcpus=1,hz=100");
  CHECK(resolved->variants[5].name == "vcpus=2,hz=1000");
  CHECK(resolved->variants[4].configuration.guest.vcpus == 2);
  CHECK(resolved->variants[4].configuration.guest.hz == 250);
  resolved =
      box.resolve(std::string{header} +
                  "[[variant]]\nname = \"a\"\n[[variant]]\nname = \"b\"\n[matrix]\n\"guest.vcpus\" = [1, 2]\n");
  REQUIRE(resolved);
  CHECK(resolved->variants[3].name == "b,vcpus=2");
}

TEST_CASE("constants are the machine's, unless they are what is studied", "[scenario]") {
  Sandbox box;
  const std::string variant = "[[variant]]\nname = \"x\"\nset = { \"machine.hypervisor.exit\" = \"2us\" }\n";
  CHECK_FALSE(box.resolve(std::string{header} + variant));
  CHECK_THAT(box.said, Contains("a.toml:9:9: error: 'machine.hypervisor.exit' is not a variant's to set"));
  const auto study = box.resolve("study = \"sensitivity\"\n" + std::string{header} + variant);
  INFO(box.said);
  REQUIRE(study);
  CHECK(study->variants[0].configuration.machine.hypervisor.exit == Time::us(2));
  CHECK_FALSE(box.resolve(std::string{header} + "[[variant]]\nname = \"x\"\nset = { study = \"sensitivity\" }\n"));
  CHECK_FALSE(box.resolve(std::string{header} + "[machine.hypervisor]\nexit = \"2us\"\n"));
}

TEST_CASE("sections as a string or a list, each error at its place", "[scenario]") {
  Sandbox box;
  const std::string head = "title = \"t\"\nmachine.profile = \"intel-desktop-2023\"\n";
  auto resolved = box.resolve(head + "[workload]\nfio = \"jobs.fio\"\nsection = [\"big\", \"page\"]\n");
  REQUIRE(resolved);
  CHECK(resolved->variants[0].configuration.jobs.size() == 2);
  CHECK_FALSE(box.resolve(head + "[workload]\nfio = \"jobs.fio\"\nsection = \"bigg\"\n"));
  CHECK_THAT(box.said, Contains("a.toml:5:11: error: jobs.fio: ") && Contains("bigg"));
  box.write("jobs.fio", "[a]\nrw=randread\nbs=4q\n");
  CHECK_FALSE(box.resolve(head + "[workload]\nfio = \"jobs.fio\"\n"));
  CHECK_THAT(box.said, Contains("jobs.fio:3:"));
}

TEST_CASE("every fault has a key, and every key reaches its switch", "[scenario]") {
  const auto flags = [](const Faults& f) {
    return std::vector<bool>{f.driver.skip_iotlb_sync,        f.flush_queue.reap_without_flush,
                             f.viommu.unmap_first_piece_only, f.viommu.unmap_past_end,
                             f.vfio.skip_invalidation,        f.vfio.leak_pins,
                             f.iommu.ignore_psi_mask,         f.iommu.ignore_domain_invalidation,
                             f.iommu.keep_walk_cache,         f.iommu.ignore_pasid_invalidation,
                             f.iommu.keep_nested_walk_cache,  f.iommu.keep_nested_entries,
                             f.iommu.keep_pasid_cache,        f.nvme.late_dma};
  };
  const std::vector<std::string> keys{
      "skip_iotlb_sync", "reap_without_flush", "unmap_first_piece_only",     "unmap_past_end",  "skip_invalidation",
      "leak_pins",       "ignore_psi_mask",    "ignore_domain_invalidation", "keep_walk_cache",
      "ignore_pasid_invalidation", "keep_nested_walk_cache", "keep_nested_entries", "keep_pasid_cache", "late_dma"};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto found = flags(guest_of("", "[faults]\n" + keys[i] + " = true\n").configuration.faults);
    for (std::size_t j = 0; j < found.size(); ++j) CHECK(found[j] == (i == j));
  }
}

TEST_CASE("machine profiles hold every constant, each with its provenance", "[scenario]") {
  const auto names = toml_names(machines_folder());
  CHECK(names == std::vector<std::string>{"grace", "intel-desktop-2023", "kunpeng-920", "ryzen-3900x",
                                          "sapphire-rapids-100g", "tegra210", "z15"});
  for (const std::string& name : names) {
    config::Diagnostics diagnostics;
    const auto document = load_machine(name, {}, diagnostics);
    INFO(diagnostics.render());
    REQUIRE(document);
    MachineProfile profile;
    const auto origins = config::bind(profile, *document, diagnostics);
    for (const auto& p : config::parameters<MachineProfile>()) {
      INFO(p.path);
      const config::Origin* origin = origins.find(p.path);
      const std::string group = p.path.substr(0, p.path.find('.'));
      const bool optional = group == "nic" || group == "tegra_smmu" || group == "smmuv3";  // where the machine has one
      if (optional && document->find(group) == nullptr) continue;
      REQUIRE(origin);
      CHECK(origin->provenance.has_value() == p.constant);
    }
  }
}

TEST_CASE("an expectation of several variants: at least one must fit, and what it is relative to must be there", "[scenario]") {
  const std::string two = std::string{header} + "[[variant]]\nname = \"a-1\"\n[[variant]]\nname = \"b-1\"\n[[variant]]\nname = \"a-2\"\n";
  const std::string expect = "[[expect]]\nmetric = \"io.iops\"\nmin = 1\n";
  Sandbox box;
  const auto resolved = box.resolve(two + expect + "variant = \"a-*\"\n");
  INFO(box.said);
  REQUIRE(resolved);
  CHECK(resolved->file.expectations.size() == 2);
  CHECK_FALSE(box.resolve(two + expect + "variant = \"c-*\"\n"));
  CHECK_THAT(box.said, Contains("there is no variant \"c-*\""));
  CHECK_FALSE(box.resolve(two + expect + "variant = \"a-*\"\nrelative_to = \"b-*\"\n"));
  CHECK_THAT(box.said, Contains("there is no variant \"b-2\""));
}

TEST_CASE("devices that differ in trust: each has its own domain, and a note says so", "[scenario]") {
  const ResolvedVariant variant = guest_of(
      "cmdline = \"iommu.strict=0\"", "[[device]]\nmodel = \"nvme\"\n[[device]]\nmodel = \"nvme\"\nuntrusted = true\n");
  CHECK(variant.configuration.guest.deferred);
  CHECK_FALSE(variant.configuration.devices.at(0).untrusted);
  CHECK(variant.configuration.devices.at(1).untrusted);
  REQUIRE(variant.notes.size() == 1);
  CHECK_THAT(variant.notes[0], Contains("not trusted"));
}

TEST_CASE("a machine has no defaults", "[scenario]") {
  config::Diagnostics diagnostics;
  const auto document = config::parse_document("title = \"half a machine\"\n", "m.toml",
                                               config::OriginKind::machine_profile, diagnostics);
  MachineProfile profile;
  const auto origins = config::bind(profile, *document, diagnostics);
  CHECK_FALSE(diagnostics.has_errors());
  require_all_constants(*document, origins, diagnostics);
  CHECK_THAT(diagnostics.render(), Contains("m.toml:1:1: error: missing key 'cpu.hlt_exit'"));
}

TEST_CASE("every kernel that comes with the program can be read", "[scenario]") {
  for (const std::string& name : toml_names(kernels_folder())) {
    config::Diagnostics diagnostics;
    const auto kernel = load_kernel(name, {}, diagnostics);
    INFO(name << "\n" << diagnostics.render());
    CHECK(kernel);
  }
  config::Diagnostics diagnostics;
  CHECK_FALSE(load_kernel("6.13", {}, diagnostics));
  CHECK_THAT(diagnostics.render(), Contains("did you mean '6.1'?") || Contains("did you mean '6.12'?"));
}

TEST_CASE("a job's drive is one of the scenario's devices", "[scenario]") {
  Sandbox box;
  const auto of = [&](const std::string& file, unsigned drives) {
    box.write("jobs.fio", "[page]\nfilename=" + file + "\ndirect=1\nioengine=libaio\nrw=randread\nbs=4k\nsize=1G\n");
    std::string text{header};
    for (unsigned i = 0; i < drives; ++i) text += "[[device]]\nmodel = \"nvme\"\n";
    const auto resolved = box.resolve(text);
    return resolved ? resolved->variants.front().configuration.jobs.front().filename : box.said;
  };
  CHECK(of("/dev/nvme0n1", 0) == "/dev/nvme0n1");
  CHECK(of("/dev/nvme2n1", 3) == "/dev/nvme2n1");
  CHECK_THAT(of("/dev/nvme1n1", 0), Contains("the guest has no \"/dev/nvme1n1\"") && Contains("accepted: /dev/nvme0n1\n"));
  CHECK_THAT(of("/dev/nvme3n1", 3), Contains("the guest has no") &&
                                        Contains("accepted: /dev/nvme0n1, /dev/nvme1n1, /dev/nvme2n1\n"));
  CHECK_THAT(of("/dev/nvme00n1", 3), Contains("the guest has no"));
  CHECK_THAT(of("/dev/nvme0n2", 3), Contains("the guest has no"));
}

namespace {

constexpr std::string_view tegra_header =
    "title = \"t\"\n[machine]\nprofile = \"tegra210\"\n[hypervisor]\nkind = \"none\"\n"
    "[guest]\nkernel = \"4.3\"\nmemory = \"1GiB\"\n";

}  // namespace

TEST_CASE("a Tegra SMMU: one proposal and one SoC after another, and the display as its device", "[scenario]") {
  struct Row {
    const char* keys;
    guest::TegraFlush flush;
    const tegra::Soc* soc;
    bool callbacks;  // of the core, once a call
  };
  const Row row = GENERATE(
      Row{"", guest::TegraFlush::before, &tegra::tegra210, false},
      Row{"flush = \"range\"\nsoc = \"tegra30\"", guest::TegraFlush::range, &tegra::tegra30, true},
      Row{"flush = \"one-callback\"\nsoc = \"tegra114\"", guest::TegraFlush::one_callback, &tegra::tegra114, true},
      Row{"flush = \"walk-in-flush\"\nsoc = \"tegra124\"", guest::TegraFlush::walk_in_flush, &tegra::tegra124, true},
      Row{"flush = \"map-sync-unmap-sync\"", guest::TegraFlush::map_sync_unmap_sync, &tegra::tegra210, true},
      Row{"flush = \"unsynchronised\"", guest::TegraFlush::unsynchronised, &tegra::tegra210, true},
      Row{"flush = \"coherent\"", guest::TegraFlush::coherent, &tegra::tegra210, true});
  Sandbox box;
  const auto resolved = box.resolve(std::string{tegra_header} + "[workload.api]\noperations = [\"sync\"]\n" +
                                    "[iommu]\ndevice = \"tegra-smmu\"\n" + row.keys + "\n");
  INFO(box.said);
  REQUIRE(resolved);
  const Configuration& c = resolved->variants[0].configuration;
  CHECK(c.iommu == IommuKind::tegra_smmu);
  CHECK(c.guest.translated);
  CHECK_FALSE(c.guest.deferred);
  CHECK(c.guest.tegra_flush == row.flush);
  CHECK(c.machine.tegra_soc == row.soc);
  CHECK(c.guest.core.sync_map == row.callbacks);
  CHECK(c.guest.core.gather == row.callbacks);
  REQUIRE(c.devices.size() == 1);
  CHECK(c.devices[0].model == DeviceModel::dma_master);
  CHECK(c.source_of(0) == SourceId{tegra::client::display_0a.id});
}

TEST_CASE("what does not fit a Tegra SMMU, or a stream, is told", "[scenario]") {
  struct Row {
    const char* text;
    const char* said;
  };
  constexpr const char* api = "[workload.api]\noperations = [\"sync\"]\n";
  const Row row = GENERATE_COPY(
      Row{"[iommu]\ndevice = \"tegra-smmu\"\n[[device]]\nmodel = \"nvme\"\n", "no PCI devices"},
      Row{"[iommu]\ndevice = \"tegra-smmu\"\nsoc = \"tegra30\"\n", ""},
      Row{"[iommu]\ndevice = \"none\"\nflush = \"range\"\n", "flush"},
      Row{"[iommu]\ndevice = \"tegra-smmu\"\nflush = \"rang\"\n", "range"});
  Sandbox box;
  const auto resolved = box.resolve(std::string{tegra_header} + api + row.text);
  CAPTURE(row.text, box.said);
  CHECK(resolved.has_value() == (*row.said == '\0'));
  CHECK_THAT(box.said, Contains(row.said));

  const auto stream = [&](const std::string& keys, const std::string& device = "dma-master") {
    return box.resolve(std::string{tegra_header} + "[iommu]\ndevice = \"tegra-smmu\"\n[[device]]\nmodel = \"" + device +
                       "\"\n[workload.dma_master]\n" + keys + "\n");
  };
  CHECK(stream("buffer = \"1MiB\""));
  CHECK_FALSE(stream("buffer = \"5000B\""));
  CHECK_THAT(box.said, Contains("no multiple of 4KiB"));
  CHECK_FALSE(stream("buffer = \"256MiB\"\nflip = true"));
  CHECK_THAT(box.said, Contains("half of the guest's memory"));
  CHECK_FALSE(stream("", "nic"));
  CHECK_FALSE(box.resolve(std::string{tegra_header} + "[iommu]\ndevice = \"tegra-smmu\"\nsoc = \"tegra30\"\n" + api,
                          {"guest.memory=8GiB"}));
  CHECK_THAT(box.said, Contains("tegra30 has physical addresses of 32 bits"));
  CHECK_FALSE(box.resolve("title = \"t\"\n[machine]\nprofile = \"intel-desktop-2023\"\n[iommu]\ndevice = "
                          "\"virtio-iommu\"\n[workload.dma_master]\n"));
  CHECK_THAT(box.said, Contains("a stream needs a dma-master"));
}
