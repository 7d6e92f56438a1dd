// SPDX-License-Identifier: Apache-2.0
// The PCI functions of an s390 guest as QEMU keeps them, shadowing the guest's translation tables for assigned
// devices: QEMU 10.2's hw/s390x/s390-pci-{inst,bus}.c. Pure; what takes time goes through RefreshPort and
// ShadowTarget.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "models/base/address.hpp"
#include "models/hypervisor/core/mapped_pages.hpp"
#include "models/hypervisor/core/shadow_target.hpp"
#include "models/memory/guest_ram.hpp"
#include "models/spec/s390_pci/instruction.hpp"

namespace gnomon::hypervisor {

/// The time a refresh takes besides the host's ioctls.
class RefreshPort {
 public:
  virtual ~RefreshPort() = default;
  /// So many entries of the guest's tables were read, and so many pages searched in the record of what the host
  /// maps. Their time has passed when it returns; told of a segment at a time, before what follows from it.
  virtual void walked(std::uint64_t reads, std::uint64_t look_ups) = 0;
};

/// Planted bugs, for tests of the checkers. All off in a correct device.
struct S390PciFaults {
  bool skip_unmap_events = false;  ///< what the guest made invalid is forgotten, and the host is not told
};

struct S390PciDeviceConfig {
  s390_pci::DmaWindow window = s390_pci::qemu_dma_window;
  std::uint8_t group_flags = s390_pci::group_refresh;
  S390PciFaults faults;
};

/// What one RPCIT came to.
struct RefreshServed {
  s390_pci::Outcome outcome;
  s390_pci::EventCode event = s390_pci::EventCode::none;  ///< the function is in error from now on
  std::uint32_t passes = 0;
  std::uint64_t reads = 0;     ///< entries of the guest's tables
  std::uint64_t look_ups = 0;  ///< pages searched in the record
  std::uint64_t maps = 0;      ///< MAP ioctls, refused ones included
  std::uint64_t unmaps = 0;    ///< UNMAP ioctls
};

class S390PciDevice final {
 public:
  /// `ram` must outlive the object.
  explicit S390PciDevice(GuestRam& ram, const S390PciDeviceConfig& config = {}) : ram_(ram), config_(config) {}

  /// `slots`: the mappings its container still takes (VFIO's dma_avail); none: the kernel names no limit, and one
  /// is always taken to be free. Throws std::invalid_argument where the handle is there already.
  void add_function(s390_pci::FunctionHandle handle, ShadowTarget& target, std::optional<std::uint32_t> slots);

  /// MPCIFC. Error with status `sequence` where one is registered; QEMU makes anything but a region third table,
  /// and limits beyond the window, an operand exception: error with `address_space_invalid` here.
  s390_pci::Outcome register_translation(std::uint64_t function, Iova first, Iova last, std::uint64_t iota);
  /// Unmaps all that is mapped for the function.
  s390_pci::Outcome deregister_translation(std::uint64_t function);

  /// RPCIT. The range is walked from the root, a step each page, 1 MiB or 2 GiB as the entry that ends the walk
  /// spans, and every 4 KiB page of a step is searched in the record, while slots are free:
  ///   invalid and recorded: forgotten, its slot is free. Invalid page table entries, recorded or not, gather in a
  ///   run
  ///     that is unmapped in naturally aligned pieces when another entry follows, or at the end;
  ///   valid and not recorded: mapped; nothing, where recorded as it is; unmapped and mapped, where it changed;
  ///   valid and no slot free: left out, whatever is recorded, and the range is walked again if slots are free
  ///   then.
  /// Insufficient resources where no slot is free at the end, even where everything fitted exactly. A map the host
  /// refuses is recorded: QEMU is not told. An entry of zero, a short segment table, a range beyond the limits: an
  /// event. Not as QEMU: a step ends with its frame wherever it began, what a changed page takes is one slot, and
  /// what is recorded below an invalid directory entry is unmapped. Linux's driver meets none of the three.
  RefreshServed refresh(std::uint64_t function, Iova address, std::uint64_t bytes, RefreshPort& port);

  std::uint64_t mapped_pages(s390_pci::FunctionHandle handle) const;
  /// Of a function with a limit.
  std::uint32_t free_slots(s390_pci::FunctionHandle handle) const;
  std::uint8_t group_flags() const { return config_.group_flags; }

 private:
  struct Function {
    s390_pci::FunctionHandle handle;
    ShadowTarget* target;
    std::optional<std::uint32_t> slots;
    bool registered = false;
    bool in_error = false;
    Iova first{};
    Iova last{};
    std::uint64_t iota = 0;
    MappedPages mapped;
  };
  class Pass;

  const Function* find(s390_pci::FunctionHandle handle) const;
  Function* find(std::uint64_t function);

  GuestRam& ram_;
  const S390PciDeviceConfig config_;
  std::deque<Function> functions_;
};

}  // namespace gnomon::hypervisor
