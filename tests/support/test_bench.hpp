// SPDX-License-Identifier: Apache-2.0
// What a module is plugged into: scripted processes, initiators, targets that write down what reaches them.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <systemc>
#include <utility>
#include <vector>

#include "models/fabric/payload.hpp"

namespace gnomon::test {

/// A process of the test's own.
class Script final : public sc_core::sc_module {
 public:
  Script(const sc_core::sc_module_name& name, std::function<void(Script&)> body)
      : sc_module(name), body_(std::move(body)) {
    using SC_CURRENT_USER_MODULE = Script;
    SC_THREAD(run);
    set_stack_size(256 * 1024);
  }
  void wait_until(Time at) {
    wait_until_kernel(at);
    process_resumed();
  }

  void wait_for(sc_core::sc_event& event) {
    meet_kernel_again();
    wait(event);
    process_resumed();
  }

 private:
  void run() {
    process_resumed();
    body_(*this);
    meet_kernel_again();
  }
  std::function<void(Script&)> body_;
};

/// Sends one transaction at a time.
class Initiator final : public sc_core::sc_module {
 public:
  struct Reply {
    Time delay;
    bool ok = false;
  };
  tlm_utils::simple_initiator_socket<Initiator> out{"out"};

  explicit Initiator(const sc_core::sc_module_name& name) : sc_module(name) {}

  Requester& requester() { return transaction_.requester(); }
  Reply send(tlm::tlm_command command, std::uint64_t address, void* data, std::uint64_t bytes, Time delay = {}) {
    sc_core::sc_time spent = to_sc(delay);
    auto& payload = transaction_.prepare(command, address, data, bytes);
    out->b_transport(payload, spent);
    return {from_sc(spent), payload.is_response_ok()};
  }
  Reply read(std::uint64_t address, void* data, std::uint64_t bytes, Time delay = {}) {
    return send(tlm::TLM_READ_COMMAND, address, data, bytes, delay);
  }
  template <class T>
  Reply write(std::uint64_t address, T value, Time delay = {}) {
    return send(tlm::TLM_WRITE_COMMAND, address, &value, sizeof value, delay);
  }
  /// Addresses and sizes only.
  Reply move(tlm::tlm_command command, std::uint64_t address, std::uint64_t bytes, Time delay = {}) {
    requester().payload_moves = false;
    return send(command, address, nullptr, bytes, delay);
  }

 private:
  Transaction transaction_;
};

/// Answers everything after `latency`.
class Target final : public sc_core::sc_module {
 public:
  struct Access {
    Time at;  ///< now, plus the delay it came with
    std::uint64_t address = 0;
    std::uint64_t bytes = 0;
    std::uint64_t data = 0;  ///< the first eight bytes of a write
    Time streams;
    bool write = false;
  };
  tlm_utils::simple_target_socket<Target> in{"in"};
  Time latency;
  bool refuses = false;  ///< an address error
  std::vector<Access> seen;
  std::function<void(Access&, void* data)> answer;  ///< fills what is read, or does more

  explicit Target(const sc_core::sc_module_name& name, Time takes = {}) : sc_module(name), latency(takes) {
    in.register_b_transport(this, &Target::on_access);
  }

 private:
  void on_access(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
    Access access{global_time() + from_sc(delay), payload.get_address(), payload.get_data_length(), 0,
                  requester_of(payload).streams,  payload.is_write()};
    if (access.write && payload.get_data_ptr() != nullptr)
      std::memcpy(&access.data, payload.get_data_ptr(), std::min<std::uint64_t>(8, access.bytes));
    if (answer) answer(access, payload.get_data_ptr());
    seen.push_back(access);
    delay += to_sc(latency);
    payload.set_response_status(refuses ? tlm::TLM_ADDRESS_ERROR_RESPONSE : tlm::TLM_OK_RESPONSE);
  }
};

}  // namespace gnomon::test
