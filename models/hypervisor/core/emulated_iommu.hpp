// SPDX-License-Identifier: Apache-2.0
// An IOMMU as the VMM emulates it: registers in front, a command queue in guest memory, shadow mappings behind.
// The shape QEMU's intel_iommu.c and amd_iommu.c share. Pure; what takes time goes through VmmPort and ShadowTarget.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"
#include "models/hypervisor/core/shadow_target.hpp"

namespace gnomon::hypervisor {

/// What the emulation does besides deciding. Each call takes the time of what it names.
class VmmPort {
 public:
  virtual ~VmmPort() = default;
  /// One 8-byte entry of a table in guest memory; all ones where there is no memory. Counted as a table read.
  virtual std::uint64_t read_entry(Gpa address) = 0;
  /// One search of a device's record of what it was told to map (QEMU's IOVA tree).
  virtual void look_up() = 0;
  /// A status word for the guest, seen by whoever polls it.
  virtual void write_guest(Gpa address, std::uint64_t value, unsigned bytes) = 0;
  /// From now on a guest's store to this page exits, and is told to EmulatedIommu::table_written; or no longer.
  /// A port of an IOMMU that never asks for it need not answer.
  virtual void protect([[maybe_unused]] Gpa page, [[maybe_unused]] bool on) {}
};

/// One command of the guest's queue, executed.
struct ServedCommand {
  enum class Kind : std::uint8_t {
    none,        ///< the queue is off, empty or stopped
    invalidate,  ///< translations
    wait,        ///< completion was signalled
    configure,   ///< device or context entries, device TLBs, interrupts
    illegal,     ///< cannot be executed: the queue stops, as the specification has it
  };
  Kind kind = Kind::none;
  std::uint32_t domain = 0;  ///< as the guest numbers it; ~0 for all
  Iova iova;
  std::uint64_t bytes = 0;  ///< ~0 for the whole domain
};

class EmulatedIommu {
 public:
  virtual ~EmulatedIommu() = default;

  /// A device behind it and what keeps the host's mappings of it. Called before the guest runs.
  virtual void add_endpoint(SourceId source, ShadowTarget& target) = 0;

  /// Trapped accesses of 4 or 8 bytes. A write that rings the queue only moves the tail: serve() does the work.
  virtual std::uint64_t read_register(std::uint32_t offset, unsigned bytes) = 0;
  virtual void write_register(std::uint32_t offset, std::uint64_t value, unsigned bytes) = 0;

  /// Commands wait to be served.
  virtual bool pending() const = 0;
  /// Executes the command at the head of the queue.
  virtual ServedCommand serve(VmmPort& port) = 0;

  /// The guest stored 8 bytes at `entry`, in a page that VmmPort::protect covers; they are there already.
  virtual void table_written([[maybe_unused]] Gpa entry, [[maybe_unused]] VmmPort& port) {}
};

}  // namespace gnomon::hypervisor
