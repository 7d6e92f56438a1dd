// SPDX-License-Identifier: Apache-2.0
// A streaming DMA master (display, camera): the shell around StreamCore. Registers come in, DMA goes out.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include "models/dma_master/core/stream_core.hpp"
#include "models/fabric/payload.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon {

class DmaMaster final : public sc_core::sc_module, private dma_master::Bus {
 public:
  tlm_utils::simple_target_socket<DmaMaster> bar{"bar"};     ///< registers
  tlm_utils::simple_initiator_socket<DmaMaster> dma{"dma"};  ///< to the IOMMU, or a link before it

  /// `device`: its number in the event stream; `source`: whose requests they are (a Tegra's memory client).
  DmaMaster(const sc_core::sc_module_name& name, std::uint32_t device, SourceId source,
            const dma_master::DmaMasterConfig& config, trace::Tracer& tracer, std::uint64_t& activations);

 private:
  void on_bar(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
  void advance();
  dma_master::DmaResult move(Time at, Iova iova, std::uint32_t bytes, bool write) override;
  void on_underrun(Iova iova, Time needed, Time came, bool write) override;

  const std::uint32_t device_;
  dma_master::StreamCore core_;
  trace::Tracer& tracer_;
  std::uint64_t& activations_;
  TimedStep step_{[this] { advance(); }};
  Transaction access_;
};

}  // namespace gnomon
