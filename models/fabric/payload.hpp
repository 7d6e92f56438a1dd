// SPDX-License-Identifier: Apache-2.0
// What a transaction carries beside TLM's generic payload: who asks, and for how long the data takes.
#pragma once

#include <tlm>

#include "models/base/address.hpp"
#include "models/base/time.hpp"
#include "models/cpu/core/processor.hpp"
#include "models/fabric/calendar.hpp"

namespace gnomon {

/// Rides on every transaction of this platform. Owned by the initiator, which reuses one payload for all its requests.
struct Requester : tlm::tlm_extension<Requester> {
  SourceId source;                 ///< of a device's request
  Processor* processor = nullptr;  ///< of a CPU's access: the one that waits and, on an exit, runs the hypervisor
  bool payload_moves = true;       ///< false: data whose bytes nobody reads; only address, size and time matter
  Time streams;                    ///< how long the beats of a device's request occupy its link
  Time link_wait;                  ///< how long they waited for the link while it carried others
  Time translation;                ///< how long a device's request was inside the IOMMU

  tlm::tlm_extension_base* clone() const override { return new Requester(*this); }
  void copy_from(const tlm::tlm_extension_base& other) override { *this = static_cast<const Requester&>(other); }
};

/// A reusable transaction with its extension attached.
class Transaction {
 public:
  Transaction() { payload_.set_extension(&requester_); }
  ~Transaction() { payload_.clear_extension(&requester_); }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  Requester& requester() { return requester_; }

  /// Ready to send. `data` may be null when payload_moves is false.
  tlm::tlm_generic_payload& prepare(tlm::tlm_command command, std::uint64_t address, void* data, std::uint64_t bytes) {
    payload_.set_command(command);
    payload_.set_address(address);
    payload_.set_data_ptr(static_cast<unsigned char*>(data));
    payload_.set_data_length(static_cast<unsigned>(bytes));
    payload_.set_streaming_width(static_cast<unsigned>(bytes));
    payload_.set_response_status(tlm::TLM_INCOMPLETE_RESPONSE);
    return payload_;
  }

 private:
  Requester requester_;
  tlm::tlm_generic_payload payload_;
};

inline Requester& requester_of(tlm::tlm_generic_payload& payload) { return *payload.get_extension<Requester>(); }

}  // namespace gnomon
