// SPDX-License-Identifier: Apache-2.0
// A scenario as users write it: one TOML file. resolve.hpp makes a Configuration of each of its variants.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/cpu/core/lock.hpp"
#include "models/hypervisor/core/config.hpp"
#include "models/memory/guest_ram.hpp"
#include "platform/config/binder.hpp"
#include "platform/scenario/configuration.hpp"
#include "platform/scenario/machine_profile.hpp"
#include "platform/scenario/workload_tables.hpp"

namespace gnomon::scenario {

enum class Study { none, sensitivity };
inline constexpr std::array study_names{config::EnumName{"none", Study::none},
                                        config::EnumName{"sensitivity", Study::sensitivity}};

struct MachineTable {
  std::string profile;       ///< a file of platform/machines, without its ".toml"
  MachineProfile constants;  ///< from the profile, unless the scenario is a sensitivity study
};

struct HypervisorTable {
  HypervisorKind kind = HypervisorKind::kvm;
  hypervisor::QueueService service = hypervisor::QueueService::on_kick;
  std::uint32_t dma_entry_limit = 65535;
  bool event_idx = true;
  bool indirect = true;
};

enum class FlushQueueKind { per_cpu, single };

struct GuestTable {
  unsigned vcpus = 4;
  std::string kernel = "6.12";
  std::string cmdline;
  std::optional<FlushQueueKind> flush_queue;
  std::optional<unsigned> flush_queue_entries;
  std::optional<Time> flush_queue_timeout;
  std::optional<bool> sync_map;
  std::optional<const guest::FlushPolicy*> flush_policy;
  std::optional<guest::DriverCalls> driver_calls;
  bool sysfs_dma_fq = false;
  bool report_request_errors = false;
  unsigned hz = 250;
  bool memory_encryption = false;
  LockKind spinlock = LockKind::test_and_set;
  std::uint64_t memory = std::uint64_t{8} << 30;
  Backing memory_backing = Backing::thp_2m;
  unsigned runs_per_64k = 2;
};

/// All names of QEMU's and the hardware's, so that one can say which are built; resolve refuses the others.
using IommuName = IommuKind;
inline constexpr std::array iommu_names{config::EnumName{"none", IommuName::none},
                                        config::EnumName{"plain", IommuName::plain},
                                        config::EnumName{"virtio-iommu", IommuName::virtio_iommu},
                                        config::EnumName{"intel-iommu", IommuName::intel_iommu},
                                        config::EnumName{"amd-iommu", IommuName::amd_iommu},
                                        config::EnumName{"smmuv3", IommuName::smmuv3},
                                        config::EnumName{"tegra-smmu", IommuName::tegra_smmu},
                                        config::EnumName{"s390-pci", IommuName::s390_pci}};

struct IommuTable {
  IommuName device = IommuName::none;
  PlainKind plain = PlainKind::vtd;
  bool caching_mode = true;
  bool scalable_mode = false;
  bool first_level = false;
  unsigned aw_bits = 48;
  std::optional<hypervisor::IntelShadowing> shadow;
  guest::TegraFlush tegra_flush = guest::TegraFlush::before;
  std::optional<const tegra::Soc*> tegra_soc;
  bool range_invalidation = true;
  bool guest_queues = false;
  std::uint64_t granule = 4096;
  std::vector<std::uint64_t> page_sizes{4096, 2u << 20, 1u << 30};
};

inline constexpr std::array device_names{config::EnumName{"nvme", DeviceModel::nvme},
                                         config::EnumName{"nic", DeviceModel::nic},
                                         config::EnumName{"dma-master", DeviceModel::dma_master}};

struct DeviceTable {
  DeviceModel model = DeviceModel::nvme;
  bool assigned = true;
  bool untrusted = false;
};

/// Words of iperf3 are its own; what a NIC's driver is told comes from the machine.
struct WorkloadTable {
  std::string fio;
  std::vector<std::string> section;  ///< empty: all
  bool section_is_list = true;       ///< how the file writes it; set before binding, by bind_scenario()
  std::optional<Time> runtime;
  std::optional<Time> ramp_time;
  // Instead of fio:
  std::optional<ApiTable> api;
  std::optional<guest::MapBenchmarkSpec> map_benchmark;
  std::optional<VfioWorkloadSpec> vfio;
  std::optional<iperf::IperfSpec> iperf;
  std::optional<guest::DmaMasterSpec> dma_master;
  std::string trace;  ///< a .gtrace, relative to the scenario
  std::optional<ReplayTable> replay;
};

struct Variant {
  std::string name;
  config::FreeTable set;
};

struct Expectation {
  std::optional<std::string> variant;
  std::optional<std::string> metric;
  std::optional<std::string> relative_to;
  std::optional<double> value, tolerance, tolerance_percent, min, max;
  std::vector<std::string> order;
  std::optional<std::string> status;
  std::string source;
  // Of one that was written for several variants (expand_expectations):
  std::string pattern;           ///< as `variant` was written; empty: for one
  std::string relative_pattern;  ///< as `relative_to` was
  std::size_t written = 0;       ///< which of the file's, from 0
};

struct ScenarioFile {
  std::string title;
  std::string source;
  Study study = Study::none;
  std::vector<std::string> trace;
  MachineTable machine;
  HypervisorTable hypervisor;
  GuestTable guest;
  IommuTable iommu;
  std::vector<DeviceTable> devices;
  WorkloadTable workload;
  Faults faults;
  std::vector<Variant> variants;
  config::FreeTable matrix;
  std::vector<Expectation> expectations;
};

void describe(config::Description& d, ScenarioFile& s);

/// A planted bug by its key under [faults], and what it does.
void describe(config::Description& d, Faults& faults);

/// config::bind of a scenario; `workload.section` may be a string or a list of them.
config::Origins bind_scenario(ScenarioFile& file, const config::Document& document,
                              config::Diagnostics& diagnostics);

}  // namespace gnomon::scenario
