// SPDX-License-Identifier: Apache-2.0
// An AMD IOMMU as QEMU emulates it, shadowing the guest's tables for assigned devices: QEMU 10.2's amd-iommu with
// dma-remap=on (hw/i386/amd_iommu.c). Encodings: AMD IOMMU specification 48882 rev 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "models/base/interval_set.hpp"
#include "models/hypervisor/core/emulated_iommu.hpp"
#include "models/memory/guest_ram.hpp"
#include "models/spec/amdvi/capability.hpp"
#include "models/spec/amdvi/command.hpp"
#include "models/spec/amdvi/device_table.hpp"
#include "models/spec/amdvi/event.hpp"

namespace gnomon::hypervisor {

/// Planted bugs, for tests of the checkers. All off in a correct device.
struct AmdviDeviceFaults {
  bool skip_unmap_events = false;  ///< what the guest unmapped is forgotten, and the host is not told
  bool ignore_size_bit = false;    ///< an invalidation is of one page, whatever its S bit says
};

struct AmdviDeviceConfig {
  /// False: the host is told nothing, as by QEMU 10.0, which has no MAP notifiers, and where hardware walks the
  /// guest's tables itself.
  bool shadow = true;
  /// As the specification has it. QEMU logs an illegal command and goes on with the next.
  bool illegal_stops = true;
  /// The walk of QEMU 10.2 takes what ends it above the last level for one level less than it is: an absent
  /// directory entry is stepped over in 512 steps, and of a leaf of 2 MiB or 1 GiB each part is mapped to the
  /// leaf's first page.
  bool short_steps = false;
  AmdviDeviceFaults faults;
};

class AmdviDevice final : public EmulatedIommu {
 public:
  /// `ram` must outlive the device.
  explicit AmdviDevice(GuestRam& ram, const AmdviDeviceConfig& config = {}) : ram_(ram), config_(config) {}

  /// NpCache is always advertised, shadowing or not.
  static constexpr amdvi::Capability capability() {
    amdvi::Capability c;
    c.np_cache = true;
    return c;
  }
  static constexpr amdvi::ExtendedFeatures features() {
    amdvi::ExtendedFeatures f;
    f.ia_sup = true;
    f.hats = amdvi::HostTableLevels::six;
    return f;
  }

  /// The endpoint sees guest memory untranslated until its device table entry is invalidated. Throws
  /// std::invalid_argument where the source or the target is there already.
  void add_endpoint(SourceId source, ShadowTarget& target) override;

  std::uint64_t read_register(std::uint32_t offset, unsigned bytes) override;
  void write_register(std::uint32_t offset, std::uint64_t value, unsigned bytes) override;

  bool pending() const override;
  /// INVALIDATE_IOMMU_PAGES: for each translating endpoint of the domain the guest's table is walked, from the
  /// root, for
  ///   each page of whatever size the range holds. A leaf that is not recorded is mapped; nothing, where something
  ///   is recorded, unmaps the whole record. A leaf that contradicts a record is tried, counted and not recorded.
  /// INVALIDATE_DEVTAB_ENTRY: the entry decides whether the endpoint is translated; its whole table is walked when
  /// it
  ///   begins to be, not when an entry that translated is replaced.
  ServedCommand serve(VmmPort& port) override;

  std::size_t mapping_count(SourceId source) const;       ///< records of what was mapped; 0 of an unknown source
  std::uint64_t conflicts() const { return conflicts_; }  ///< leaves that contradicted a record

 private:
  struct Mapping {
    Gpa gpa;
    DmaAccess access = DmaAccess::none;
    bool operator==(const Mapping&) const = default;
  };
  using Record = gnomon::Interval<Mapping>;
  struct Endpoint {
    Endpoint(SourceId source_, ShadowTarget& target_, gnomon::IntervalPool<Mapping>& pool)
        : source(source_), target(&target_), mapped(pool) {}
    SourceId source;
    ShadowTarget* target;
    bool translating = false;
    IntervalSet<Mapping> mapped;  // QEMU's IOVA tree
  };
  struct Walk;
  struct Registers {
    std::uint64_t device_table = 0, command_buffer = 0, event_log = 0, control = 0, exclusion_base = 0,
                  exclusion_limit = 0, command_head = 0, command_tail = 0, event_head = 0, event_tail = 0,
                  status = 0;
  };

  std::uint64_t* register_at(std::uint32_t offset);
  std::uint64_t value_of(std::uint32_t offset);
  bool running() const;
  bool logging() const;
  void log(const amdvi::Event& event, VmmPort& port);

  ServedCommand run(const amdvi::CompletionWait& command, VmmPort& port);
  ServedCommand run(const amdvi::InvalidateDevtabEntry& command, VmmPort& port);
  ServedCommand run(const amdvi::InvalidateIommuPages& command, VmmPort& port);
  ServedCommand run(const amdvi::InvalidateIotlbPages& command, VmmPort& port);
  ServedCommand run(const amdvi::InvalidateInterruptTable& command, VmmPort& port);
  ServedCommand run(const amdvi::CompletePprRequest& command, VmmPort& port);
  ServedCommand run(const amdvi::InvalidateIommuAll& command, VmmPort& port);
  ServedCommand run(const amdvi::IllegalCommand& command, VmmPort& port);

  amdvi::DeviceTableEntry read_device_entry(SourceId source, VmmPort& port, bool& readable) const;
  void translate(Endpoint& endpoint, const amdvi::DeviceTableEntry& entry, VmmPort& port);
  void pass_through(Endpoint& endpoint);
  void isolate(Endpoint& endpoint);
  Walk walk(const amdvi::DeviceTableEntry& entry, Iova iova, VmmPort& port) const;
  void synchronise(Endpoint& endpoint, const amdvi::DeviceTableEntry& entry, Iova first, Iova last, VmmPort& port);
  void record(Endpoint& endpoint, Iova first, const Walk& leaf, VmmPort& port);
  std::uint64_t forget(Endpoint& endpoint, Iova first, Iova last, VmmPort& port);
  void unmap(Endpoint& endpoint, Record& mapping);
  void unmap_all(Endpoint& endpoint);

  GuestRam& ram_;
  const AmdviDeviceConfig config_;
  Registers registers_;
  bool stopped_ = false;  // by an illegal command, until CmdBufEn is cleared
  gnomon::IntervalPool<Mapping> pool_;
  std::deque<Endpoint> endpoints_;  // in the order they were added
  std::uint64_t conflicts_ = 0;
};

}  // namespace gnomon::hypervisor
