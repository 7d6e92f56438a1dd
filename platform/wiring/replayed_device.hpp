// SPDX-License-Identifier: Apache-2.0
// A device that uses the mappings of a replay, at the IOMMU's own socket: the recorded times between map and unmap
// have the link and the device's work in them already, so its accesses take no link.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>

#include "guest/replay/replay_device.hpp"
#include "models/fabric/payload.hpp"

namespace gnomon::wiring {

class ReplayedDevice final : public sc_core::sc_module, public guest::ReplayDevice {
 public:
  tlm_utils::simple_initiator_socket<ReplayedDevice> dma{"dma"};  ///< to the IOMMU

  /// `source`: whose requests they are.
  ReplayedDevice(const sc_core::sc_module_name& name, SourceId source);
  void access(const guest::DmaMapping& mapping, guest::DmaAccess allowed) override;

 private:
  Transaction access_;
};

}  // namespace gnomon::wiring
