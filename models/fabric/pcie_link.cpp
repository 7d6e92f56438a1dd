// SPDX-License-Identifier: Apache-2.0
#include "models/fabric/pcie_link.hpp"

#include <algorithm>

namespace gnomon {

PcieLink::PcieLink(const sc_core::sc_module_name& name, const PcieConfig& config) : sc_module(name), config_(config) {
  device.register_b_transport(this, &PcieLink::on_dma);
  cpu.register_b_transport(this, &PcieLink::on_mmio);
}

Time PcieLink::wire_time(std::uint64_t bytes) const {
  const std::uint64_t packets = std::max<std::uint64_t>(1, (bytes + config_.max_payload - 1) / config_.max_payload);
  return transfer_time(bytes + packets * config_.tlp_overhead, config_.bandwidth);
}

Time PcieLink::occupy(Time& free_at, Time from, Time wire) {
  const Time start = std::max(free_at, from);
  free_at = start + wire;
  return start;
}

void PcieLink::on_dma(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  const Time now = global_time();
  const Time wire = wire_time(payload.get_data_length());
  requester_of(payload).streams = wire;
  if (payload.is_write()) {
    const Time ready = now + from_sc(delay);
    const Time start = occupy(upstream_free_, ready, wire);
    requester_of(payload).link_wait = start - ready;
    delay = to_sc(start - now + config_.one_way);
    root->b_transport(payload, delay);
    add_delay(delay, wire);
  } else {
    add_delay(delay, config_.one_way);
    root->b_transport(payload, delay);
    const Time ready = now + from_sc(delay);
    const Time start = occupy(downstream_free_, ready, wire);
    requester_of(payload).link_wait = start - ready;
    delay = to_sc(start - now + wire + config_.one_way);
  }
}

void PcieLink::on_mmio(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  // A store is posted: it costs the CPU nothing here and arrives one way later. A load waits for the round trip.
  const sc_core::sc_time sent = delay;
  add_delay(delay, config_.one_way);
  bar->b_transport(payload, delay);
  if (payload.is_write()) {
    delay = sent;
  } else {
    add_delay(delay, config_.one_way);
  }
}

}  // namespace gnomon
