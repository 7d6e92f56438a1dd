// SPDX-License-Identifier: Apache-2.0
// One command queue as whoever serves it sees it: a unit, its own or a virtual one, or an emulation. IHI 0070,
// sections 3.5 and 7.1.
#pragma once

#include <cstdint>

#include "models/spec/smmuv3/command.hpp"
#include "models/spec/smmuv3/registers.hpp"

namespace gnomon::smmuv3 {

/// PROD and CONS as their registers hold them. An error stops the queue at its command until it is acknowledged.
struct CommandQueue {
  std::uint64_t base = 0;
  std::uint32_t prod = 0;
  std::uint32_t cons = 0;   ///< with ERR in 30:24
  std::uint32_t error = 0;  ///< GERROR.CMDQ_ERR: toggled by an error
  std::uint32_t acknowledged = 0;
  bool enabled = false;

  unsigned log2() const { return queue_log2(base); }
  bool stopped() const { return ((error ^ acknowledged) & gerror::cmdq_err) != 0; }
  std::uint32_t queued() const { return enabled && !stopped() ? queue::used(prod, cons, log2()) : 0; }
  Hpa head() const { return Hpa{queue_base(base)} + queue::index(cons, log2()) * command_bytes; }
  void consume() { cons = queue::advance(cons, 1, log2()); }  // ERR is cleared by what is consumed
  void fail(CommandError reason) {
    cons = (cons & ~cons_error(static_cast<CommandError>(0x7f))) | cons_error(reason);
    error ^= gerror::cmdq_err;
  }
};

}  // namespace gnomon::smmuv3
