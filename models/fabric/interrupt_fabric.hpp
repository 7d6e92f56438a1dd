// SPDX-License-Identifier: Apache-2.0
// Routes message-signalled interrupts, writes to 0xFEExxxxx, to the CPU their address names.
#pragma once

#include <tlm_utils/multi_passthrough_initiator_socket.h>
#include <tlm_utils/multi_passthrough_target_socket.h>

#include "models/fabric/payload.hpp"

namespace gnomon {

class InterruptFabric final : public sc_core::sc_module {
 public:
  tlm_utils::multi_passthrough_target_socket<InterruptFabric> messages{"messages"};
  tlm_utils::multi_passthrough_initiator_socket<InterruptFabric> cpus{"cpus"};  ///< bound in the order of APIC ids

  explicit InterruptFabric(const sc_core::sc_module_name& name) : sc_module(name) {
    messages.register_b_transport(this, &InterruptFabric::on_message);
  }

 private:
  void on_message(int /*port*/, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
    const auto apic_id = static_cast<unsigned>((payload.get_address() >> 12) & 0xff);  // SDM 3A, 11.11.1
    if (apic_id >= cpus.size()) {
      payload.set_response_status(tlm::TLM_ADDRESS_ERROR_RESPONSE);
      return;
    }
    cpus[static_cast<int>(apic_id)]->b_transport(payload, delay);
  }
};

}  // namespace gnomon
