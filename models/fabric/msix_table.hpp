// SPDX-License-Identifier: Apache-2.0
// A device's MSI-X table, as its BAR shows it (PCI Local Bus Specification 3.0, 6.8.2).
#pragma once

#include <cstring>
#include <tlm>
#include <vector>

#include "models/spec/pci/msix.hpp"

namespace gnomon {

class MsixTable {
 public:
  explicit MsixTable(std::size_t vectors) : entries_(vectors) {}

  const pci::MsixEntry& at(unsigned vector) const { return entries_.at(vector); }

  /// An access to the BAR at or behind msix_table_offset. One past the table, or across entries, is an address error.
  void access(tlm::tlm_generic_payload& payload) {
    const std::uint64_t offset = payload.get_address() - pci::msix_table_offset;
    const std::uint64_t index = offset / sizeof(pci::MsixEntry);
    const std::uint64_t within = offset % sizeof(pci::MsixEntry);
    if (index >= entries_.size() || within + payload.get_data_length() > sizeof(pci::MsixEntry)) {
      payload.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
      return;
    }
    auto* entry = reinterpret_cast<unsigned char*>(&entries_[index]) + within;
    if (payload.is_write()) {
      std::memcpy(entry, payload.get_data_ptr(), payload.get_data_length());
    } else {
      std::memcpy(payload.get_data_ptr(), entry, payload.get_data_length());
    }
  }

 private:
  std::vector<pci::MsixEntry> entries_;
};

}  // namespace gnomon
