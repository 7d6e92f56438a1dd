// SPDX-License-Identifier: Apache-2.0
// The CPUs' MMIO address map: which module answers at which physical addresses.
#pragma once

#include <tlm_utils/multi_passthrough_initiator_socket.h>
#include <tlm_utils/multi_passthrough_target_socket.h>

#include <vector>

#include "models/fabric/payload.hpp"

namespace gnomon {

class MmioRouter final : public sc_core::sc_module {
 public:
  tlm_utils::multi_passthrough_target_socket<MmioRouter> cpus{"cpus"};
  tlm_utils::multi_passthrough_initiator_socket<MmioRouter> targets{"targets"};

  explicit MmioRouter(const sc_core::sc_module_name& name) : sc_module(name) {
    cpus.register_b_transport(this, &MmioRouter::on_access);
  }

  /// The window [base, base + bytes) goes to the target bound next, at addresses relative to `base`, plus `offset`.
  /// Where windows overlap, the one mapped first is meant.
  void map_next(Gpa base, std::uint64_t bytes, std::uint64_t offset = 0) {
    windows_.push_back({base.value, bytes, offset});
  }

 private:
  struct Window {
    std::uint64_t base;
    std::uint64_t bytes;
    std::uint64_t offset;
  };

  void on_access(int /*port*/, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
    const std::uint64_t address = payload.get_address();
    for (std::size_t i = 0; i < windows_.size(); ++i) {
      if (address - windows_[i].base >= windows_[i].bytes) continue;
      payload.set_address(address - windows_[i].base + windows_[i].offset);
      targets[static_cast<int>(i)]->b_transport(payload, delay);
      payload.set_address(address);
      return;
    }
    payload.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
  }

  std::vector<Window> windows_;
};

}  // namespace gnomon
