// SPDX-License-Identifier: Apache-2.0
#include "models/fabric/memory.hpp"

#include <cstring>

namespace gnomon {

Memory::Memory(const sc_core::sc_module_name& name, const MemoryConfig& config, PhysicalMemory& bytes,
               LineMonitor& monitor)
    : sc_module(name), config_(config), bytes_(bytes), monitor_(monitor) {
  access.register_b_transport(this, &Memory::on_access);
}

void Memory::on_access(int /*port*/, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  const Hpa address{payload.get_address()};
  const std::uint64_t bytes = payload.get_data_length();
  if (bytes > bytes_.size() || address.value > bytes_.size() - bytes) {
    payload.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
    return;
  }
  add_delay(delay, config_.dma_access);
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
  if (!requester_of(payload).payload_moves) return;
  if (payload.is_write()) {
    std::memcpy(bytes_.at(address, bytes), payload.get_data_ptr(), bytes);
    monitor_.written(address, global_time() + from_sc(delay));
  } else {
    std::memcpy(payload.get_data_ptr(), bytes_.at(address, bytes), bytes);
  }
}

}  // namespace gnomon
