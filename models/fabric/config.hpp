// SPDX-License-Identifier: Apache-2.0
// PCIe link and memory timing.
#pragma once

#include <cstdint>

#include "models/base/time.hpp"

namespace gnomon {

struct PcieConfig {
  Time one_way = Time::ns(450);                  ///< device to root complex, or back
  std::uint64_t bandwidth = 3'938'000'000;       ///< bytes/s on the wire in each direction (3.0 x4 after 128b/130b)
  std::uint32_t max_payload = 256;               ///< bytes of data a TLP carries
  std::uint32_t tlp_overhead = 24;               ///< bytes of header, sequence, LCRC and framing a TLP
};

struct MemoryConfig {
  Time dma_access = Time::ns(90);  ///< a device's access to memory or the last-level cache, first beat
};

}  // namespace gnomon
