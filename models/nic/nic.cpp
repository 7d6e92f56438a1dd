// SPDX-License-Identifier: Apache-2.0
#include "models/nic/nic.hpp"

#include <algorithm>
#include <cstring>

namespace gnomon {

Nic::Nic(const sc_core::sc_module_name& name, std::uint32_t device, SourceId source, const nic::NicConfig& config,
         trace::Tracer& tracer, std::uint64_t& activations)
    : sc_module(name),
      device_(device),
      core_(config, *this),
      tracer_(tracer),
      activations_(activations),
      msix_(config.vectors) {
  bar.register_b_transport(this, &Nic::on_bar);
  access_.requester().source = source;
}

void Nic::on_bar(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
  const std::uint64_t offset = payload.get_address();
  if (offset >= pci::msix_table_offset) return msix_.access(payload);
  const unsigned bytes = payload.get_data_length();
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

void Nic::advance() {
  ++activations_;
  core_.advance(global_time());
  step_.at(core_.next_action());
}

nic::DmaResult Nic::send(Time at, tlm::tlm_command command, Iova address, void* data, std::uint64_t bytes,
                         bool moves) {
  const Time now = global_time();
  sc_core::sc_time delay = to_sc(at > now ? at - now : Time{});
  access_.requester().payload_moves = moves;
  auto& payload = access_.prepare(command, address.value, data, bytes);
  dma->b_transport(payload, delay);
  return {payload.is_response_ok(), now + from_sc(delay)};
}

nic::DmaResult Nic::read(Time at, Iova address, std::span<std::byte> into) {
  return send(at, tlm::TLM_READ_COMMAND, address, into.data(), into.size(), true);
}

nic::DmaResult Nic::write(Time at, Iova address, std::span<const std::byte> from) {
  return send(at, tlm::TLM_WRITE_COMMAND, address, const_cast<std::byte*>(from.data()), from.size(), true);
}

nic::DmaResult Nic::transfer(Time at, std::span<const nic::Segment> segments, nic::Direction direction) {
  const auto command = direction == nic::Direction::from_host ? tlm::TLM_READ_COMMAND : tlm::TLM_WRITE_COMMAND;
  nic::DmaResult result{true, at};
  for (const nic::Segment& segment : segments) {
    // All requests are in flight at once; the link's bandwidth puts their data one behind the other.
    const nic::DmaResult part = send(at, command, segment.address, nullptr, segment.bytes, false);
    result.ok = result.ok && part.ok;
    result.done = std::max(result.done, part.done);
    if (!part.ok) break;
  }
  return result;
}

void Nic::interrupt(Time at, unsigned vector) {
  const pci::MsixEntry& entry = msix_.at(vector);
  if ((entry.control & 1) != 0) return;  // masked: the driver polls
  std::uint32_t data = entry.data;
  send(at, tlm::TLM_WRITE_COMMAND, Iova{entry.address}, &data, sizeof data, true);
}

void Nic::on_doorbell(Time /*at*/, unsigned queue, nic::Ring ring, std::uint32_t value) {
  tracer_.emit(global_time(), trace::Doorbell{device_, queue, ring == nic::Ring::completion, value});
}

void Nic::on_drop(Time /*at*/, unsigned queue, unsigned packets, std::uint32_t bytes) {
  tracer_.emit(global_time(), trace::PacketsDropped{bytes, device_, queue, packets, 0});
}

void Nic::on_retransmission(Time /*at*/, unsigned queue, unsigned packets, std::uint32_t bytes) {
  tracer_.emit(global_time(), trace::Retransmitted{bytes, device_, queue, packets, 0});
}

}  // namespace gnomon
