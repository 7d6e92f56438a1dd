// SPDX-License-Identifier: Apache-2.0
#include "models/nvme/nvme_controller.hpp"

#include <algorithm>
#include <cstring>

namespace gnomon {

NvmeController::NvmeController(const sc_core::sc_module_name& name, std::uint32_t device, SourceId source,
                               const nvme::NvmeConfig& config, const nvme::NvmeFaults& faults, RandomStream random,
                               trace::Tracer& tracer, std::uint64_t& activations)
    : sc_module(name), device_(device), source_(source), core_(config, faults, random, *this), tracer_(tracer),
      activations_(activations), msix_(config.vectors) {
  bar.register_b_transport(this, &NvmeController::on_bar);
  access_.requester().source = source;
}

void NvmeController::on_bar(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
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

void NvmeController::advance() {
  ++activations_;
  core_.advance(global_time());
  step_.at(core_.next_action());
}

nvme::DmaResult NvmeController::send(Time at, tlm::tlm_command command, Iova address, void* data, std::uint64_t bytes,
                                     bool moves) {
  const Time now = global_time();
  sc_core::sc_time delay = to_sc(at > now ? at - now : Time{});
  Requester& request = access_.requester();
  request.payload_moves = moves;
  request.link_wait = request.translation = Time{};
  auto& payload = access_.prepare(command, address.value, data, bytes);
  dma->b_transport(payload, delay);
  return {payload.is_response_ok(), now + from_sc(delay), request.link_wait, request.translation};
}

nvme::DmaResult NvmeController::read(Time at, Iova address, std::span<std::byte> into) {
  return send(at, tlm::TLM_READ_COMMAND, address, into.data(), into.size(), true);
}

nvme::DmaResult NvmeController::write(Time at, Iova address, std::span<const std::byte> from) {
  return send(at, tlm::TLM_WRITE_COMMAND, address, const_cast<std::byte*>(from.data()), from.size(), true);
}

nvme::DmaResult NvmeController::transfer(Time at, std::span<const nvme::Segment> segments,
                                         nvme::Direction direction) {
  const auto command = direction == nvme::Direction::from_host ? tlm::TLM_READ_COMMAND : tlm::TLM_WRITE_COMMAND;
  nvme::DmaResult result{true, at, {}, {}};
  bool first = true;
  for (const nvme::Segment& segment : segments) {
    // All requests are in flight at once; the link's bandwidth puts their data one behind the other.
    const nvme::DmaResult part = send(at, command, segment.address, nullptr, segment.bytes, false);
    // One that waits for the link waits for the data before it, which is this transfer's own.
    if (first || part.queued == Time{}) result.queued = part.queued, result.translation = part.translation;
    first = false;
    result.ok = result.ok && part.ok;
    result.done = std::max(result.done, part.done);
    if (!part.ok) break;
  }
  return result;
}

void NvmeController::interrupt(Time at, unsigned vector) {
  const pci::MsixEntry& entry = msix_.at(vector);
  if ((entry.control & 1) != 0) return;  // masked: the driver polls
  std::uint32_t data = entry.data;
  send(at, tlm::TLM_WRITE_COMMAND, Iova{entry.address}, &data, sizeof data, true);
}

void NvmeController::on_doorbell(Time /*at*/, unsigned queue, bool completion, std::uint32_t value) {
  tracer_.emit(global_time(), trace::Doorbell{device_, queue, completion, value});
}

void NvmeController::on_fetch(Time /*at*/, unsigned queue, unsigned cid) {
  tracer_.emit(global_time(), trace::CommandFetched{device_, queue, cid, 0});
}

void NvmeController::on_stray(Time /*at*/, const nvme::Segment& page, nvme::Direction direction, bool landed) {
  tracer_.emit(global_time(), trace::StrayAccess{page.address.value, page.bytes, device_,
                                                 direction == nvme::Direction::to_host, landed, 0});
}

void NvmeController::on_media(unsigned queue, unsigned cid, unsigned channel, Time begin, Time end) {
  tracer_.emit(global_time(), trace::MediaBusy{begin.ps(), end.ps(), device_, queue, cid, channel});
}

void NvmeController::on_completion(Time /*at*/, unsigned queue, unsigned cid, nvme::Status status,
                                   const nvme::CommandTimes& times) {
  if (queue != 0) {
    tracer_.emit(global_time(), trace::CommandTimes{times.queued.ps(), times.translation.ps(), times.media.ps(), device_,
                                                    queue, cid, 0});
  }
  tracer_.emit(global_time(), trace::CommandCompleted{device_, queue, cid, static_cast<std::uint32_t>(status)});
}

}  // namespace gnomon
