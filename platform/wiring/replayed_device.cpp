// SPDX-License-Identifier: Apache-2.0
#include "platform/wiring/replayed_device.hpp"

#include <algorithm>

namespace gnomon::wiring {

ReplayedDevice::ReplayedDevice(const sc_core::sc_module_name& name, SourceId source) : sc_module(name) {
  access_.requester().source = source;
  access_.requester().payload_moves = false;
}

void ReplayedDevice::access(const guest::DmaMapping& mapping, guest::DmaAccess allowed) {
  const auto command = allowed.write ? tlm::TLM_WRITE_COMMAND : tlm::TLM_READ_COMMAND;
  for (const guest::DmaSegment& segment : mapping.segments) {
    const std::uint64_t end = segment.address.value + segment.bytes;
    for (std::uint64_t at = segment.address.value; at < end;) {
      const std::uint64_t page_end = (at | (page_size - 1)) + 1;
      const std::uint64_t bytes = std::min(end, page_end) - at;
      sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
      auto& payload = access_.prepare(command, at, nullptr, bytes);
      dma->b_transport(payload, delay);
      ++accesses_;
      refused_ += !payload.is_response_ok();
      at += bytes;
    }
  }
}

}  // namespace gnomon::wiring
