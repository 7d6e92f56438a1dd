// SPDX-License-Identifier: Apache-2.0
// Which guest a recording is of: from what lies beside it in its archive, else from the trace itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "platform/conform/command_stream.hpp"

namespace gnomon::conform {

struct GuestIdentity {
  std::string kernel;  ///< "6.12.95+deb12-amd64"; empty: not known
  std::optional<Unit> unit;
  std::optional<bool> caching_mode;  ///< of an intel-iommu
  std::optional<bool> lazy;          ///< the domains of the devices are DMA-FQ
  unsigned vcpus = 0;                ///< 0: not known
  std::uint64_t memory = 0;          ///< bytes; 0: not known
  std::uint64_t page_sizes = 0;      ///< a bit each, as a virtio-iommu offers them; 0: not known
  std::string cmdline;               ///< of the kernel, only what concerns its IOMMU
};

/// `command`: QEMU's command line as a shell would take it. `console`: what the guest printed.
GuestIdentity identify(const std::string& command, const std::string& console);

/// The last of `known` ("6.1", "6.12") that is not after `release` ("6.12.95+deb12-amd64"); "" where none is.
std::string nearest_kernel(const std::string& release, const std::vector<std::string>& known);

}  // namespace gnomon::conform
