// SPDX-License-Identifier: Apache-2.0
// NVMe controller: the shell around ControllerCore. Registers and doorbells come in, DMA and MSI-X messages go out.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include <vector>

#include "models/fabric/msix_table.hpp"
#include "models/fabric/payload.hpp"
#include "models/nvme/core/controller_core.hpp"
#include "models/spec/pci/msix.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon {

class NvmeController final : public sc_core::sc_module, private nvme::Bus {
 public:
  tlm_utils::simple_target_socket<NvmeController> bar{"bar"};      ///< registers, doorbells, MSI-X table
  tlm_utils::simple_initiator_socket<NvmeController> dma{"dma"};   ///< to the PCIe link

  /// `device`: its number in the event stream; `source`: its requester id.
  NvmeController(const sc_core::sc_module_name& name, std::uint32_t device, SourceId source,
                 const nvme::NvmeConfig& config, const nvme::NvmeFaults& faults, RandomStream random,
                 trace::Tracer& tracer, std::uint64_t& activations);

 private:
  void on_bar(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
  void advance();
  nvme::DmaResult send(Time at, tlm::tlm_command command, Iova address, void* data, std::uint64_t bytes, bool moves);

  nvme::DmaResult read(Time at, Iova address, std::span<std::byte> into) override;
  nvme::DmaResult write(Time at, Iova address, std::span<const std::byte> from) override;
  nvme::DmaResult transfer(Time at, std::span<const nvme::Segment> segments, nvme::Direction direction) override;
  void interrupt(Time at, unsigned vector) override;
  void on_doorbell(Time at, unsigned queue, bool completion, std::uint32_t value) override;
  void on_fetch(Time at, unsigned queue, unsigned cid) override;
  void on_stray(Time at, const nvme::Segment& page, nvme::Direction direction, bool landed) override;
  void on_media(unsigned queue, unsigned cid, unsigned channel, Time begin, Time end) override;
  void on_completion(Time at, unsigned queue, unsigned cid, nvme::Status status,
                     const nvme::CommandTimes& times) override;

  const std::uint32_t device_;
  const SourceId source_;
  nvme::ControllerCore core_;
  trace::Tracer& tracer_;
  std::uint64_t& activations_;
  MsixTable msix_;
  TimedStep step_{[this] { advance(); }};
  Transaction access_;
};

}  // namespace gnomon
