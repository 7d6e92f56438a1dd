// SPDX-License-Identifier: Apache-2.0
// The device table as the AMD IOMMU driver keeps it in the kernel's memory (drivers/iommu/amd/init.c).
#pragma once

#include <cstdint>

#include "guest/kernel/kernel_memory.hpp"
#include "models/spec/amdvi/device_table.hpp"

namespace gnomon::guest {

class AmdDeviceTable {
 public:
  /// For requesters 0 to `last`; all blocked. Throws std::bad_alloc.
  AmdDeviceTable(KernelMemory& memory, SourceId last)
      : memory_(memory),
        bytes_((last.value * amdvi::device_table_entry_bytes + page_size) & ~(page_size - 1)),
        base_(memory.allocate_ring(bytes_)) {
    for (std::uint32_t device = 0; device <= last.value; ++device) block({static_cast<std::uint16_t>(device)});
  }

  Gpa base() const { return base_; }
  std::uint64_t bytes() const { return bytes_; }
  bool contains(SourceId device) const { return device.value * amdvi::device_table_entry_bytes < bytes_; }

  /// Valid, without a table and without permissions: every access of the device is refused.
  void block(SourceId device) {
    amdvi::DeviceTableEntry entry;
    entry.v = true;
    entry.tv = true;
    write(device, entry);
  }
  /// The first word, which makes an entry valid, is stored last. `device` must be contained.
  void write(SourceId device, const amdvi::DeviceTableEntry& entry) {
    const amdvi::Bits256 raw = encode(entry);
    const Gpa at = base_ + device.value * amdvi::device_table_entry_bytes;
    for (unsigned word = 4; word-- > 0;) memory_.ram().write(at + word * sizeof(std::uint64_t), raw.qw[word]);
  }

 private:
  KernelMemory& memory_;
  std::uint64_t bytes_;
  Gpa base_;
};

}  // namespace gnomon::guest
