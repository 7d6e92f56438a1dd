// SPDX-License-Identifier: Apache-2.0
// A device's PCIe link: latency each way, and bandwidth shared by all the device's requests in a direction.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include "models/fabric/config.hpp"
#include "models/fabric/payload.hpp"

namespace gnomon {

class PcieLink final : public sc_core::sc_module {
 public:
  tlm_utils::simple_target_socket<PcieLink> device{"device"};    ///< DMA and MSI from the device
  tlm_utils::simple_initiator_socket<PcieLink> root{"root"};     ///< on to the IOMMU
  tlm_utils::simple_target_socket<PcieLink> cpu{"cpu"};          ///< MMIO from the CPUs
  tlm_utils::simple_initiator_socket<PcieLink> bar{"bar"};       ///< on to the device's registers

  PcieLink(const sc_core::sc_module_name& name, const PcieConfig& config);

 private:
  void on_dma(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
  void on_mmio(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
  Time wire_time(std::uint64_t bytes) const;
  static Time occupy(Time& free_at, Time from, Time wire);

  const PcieConfig config_;
  Time upstream_free_;    // device to host: writes, MSIs
  Time downstream_free_;  // host to device: completions of reads
};

}  // namespace gnomon
