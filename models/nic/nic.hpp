// SPDX-License-Identifier: Apache-2.0
// NIC: the shell around NicCore. Registers and doorbells come in, DMA and MSI-X messages go out.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include <vector>

#include "models/fabric/msix_table.hpp"
#include "models/fabric/payload.hpp"
#include "models/nic/core/nic_core.hpp"
#include "models/spec/pci/msix.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon {

class Nic final : public sc_core::sc_module, private nic::Bus {
 public:
  tlm_utils::simple_target_socket<Nic> bar{"bar"};     ///< registers, doorbells, MSI-X table
  tlm_utils::simple_initiator_socket<Nic> dma{"dma"};  ///< to the PCIe link

  /// `device`: its number in the event stream; `source`: its requester id.
  Nic(const sc_core::sc_module_name& name, std::uint32_t device, SourceId source, const nic::NicConfig& config,
      trace::Tracer& tracer, std::uint64_t& activations);

  const nic::NicCounters& counters() const { return core_.counters(); }
  const nic::PeerCounters& peer() const { return core_.peer(); }

 private:
  void on_bar(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
  void advance();
  nic::DmaResult send(Time at, tlm::tlm_command command, Iova address, void* data, std::uint64_t bytes, bool moves);

  nic::DmaResult read(Time at, Iova address, std::span<std::byte> into) override;
  nic::DmaResult write(Time at, Iova address, std::span<const std::byte> from) override;
  nic::DmaResult transfer(Time at, std::span<const nic::Segment> segments, nic::Direction direction) override;
  void interrupt(Time at, unsigned vector) override;
  void on_doorbell(Time at, unsigned queue, nic::Ring ring, std::uint32_t value) override;
  void on_drop(Time at, unsigned queue, unsigned packets, std::uint32_t bytes) override;
  void on_retransmission(Time at, unsigned queue, unsigned packets, std::uint32_t bytes) override;

  const std::uint32_t device_;
  nic::NicCore core_;
  trace::Tracer& tracer_;
  std::uint64_t& activations_;
  MsixTable msix_;
  TimedStep step_{[this] { advance(); }};
  Transaction access_;
};

}  // namespace gnomon
