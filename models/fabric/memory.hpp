// SPDX-License-Identifier: Apache-2.0
// Memory as devices and the IOMMU reach it: bytes, latency, and the wake-up of whoever polls the word just written.
#pragma once

#include <tlm_utils/multi_passthrough_target_socket.h>

#include "models/cpu/core/line_monitor.hpp"
#include "models/fabric/config.hpp"
#include "models/fabric/payload.hpp"
#include "models/memory/physical_memory.hpp"

namespace gnomon {

class Memory final : public sc_core::sc_module {
 public:
  tlm_utils::multi_passthrough_target_socket<Memory> access{"access"};

  /// `bytes` and `monitor` must outlive the module.
  Memory(const sc_core::sc_module_name& name, const MemoryConfig& config, PhysicalMemory& bytes, LineMonitor& monitor);

 private:
  void on_access(int port, tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);

  const MemoryConfig config_;
  PhysicalMemory& bytes_;
  LineMonitor& monitor_;
};

}  // namespace gnomon
