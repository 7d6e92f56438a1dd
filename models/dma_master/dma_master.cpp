// SPDX-License-Identifier: Apache-2.0
#include "models/dma_master/dma_master.hpp"

#include <algorithm>
#include <cstring>

namespace gnomon {

DmaMaster::DmaMaster(const sc_core::sc_module_name& name, std::uint32_t device, SourceId source,
                     const dma_master::DmaMasterConfig& config, trace::Tracer& tracer, std::uint64_t& activations)
    : sc_module(name), device_(device), core_(config, *this), tracer_(tracer), activations_(activations) {
  bar.register_b_transport(this, &DmaMaster::on_bar);
  access_.requester().source = source;
  access_.requester().payload_moves = false;
}

void DmaMaster::on_bar(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  const auto offset = static_cast<std::uint32_t>(payload.get_address());
  const unsigned bytes = payload.get_data_length();
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
  if (payload.is_read()) {
    const std::uint64_t value = core_.mmio_read(offset, bytes);
    std::memcpy(payload.get_data_ptr(), &value, bytes);
    return;
  }
  std::uint64_t value = 0;
  std::memcpy(&value, payload.get_data_ptr(), bytes);
  core_.mmio_write(global_time() + from_sc(delay), offset, value, bytes);
  step_.at(core_.next_action());
}

void DmaMaster::advance() {
  ++activations_;
  core_.advance(global_time());
  step_.at(core_.next_action());
}

dma_master::DmaResult DmaMaster::move(Time at, Iova iova, std::uint32_t bytes, bool write) {
  const Time now = global_time();
  sc_core::sc_time delay = to_sc(at > now ? at - now : Time{});
  auto& payload =
      access_.prepare(write ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND, iova.value, nullptr, bytes);
  dma->b_transport(payload, delay);
  return {payload.is_response_ok(), now + from_sc(delay)};
}

void DmaMaster::on_underrun(Iova iova, Time needed, Time came, bool write) {
  tracer_.emit(global_time(), trace::StreamUnderrun{iova.value, needed.ps(), came.ps(), device_, write});
}

}  // namespace gnomon
