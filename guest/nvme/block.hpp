// SPDX-License-Identifier: Apache-2.0
// A request of the block layer, from its submitter to the driver and back.
#pragma once

#include <cstdint>
#include <span>

#include "guest/iommu/domain.hpp"
#include "guest/kernel/cpu.hpp"

namespace gnomon::guest {

struct BlockRequest;

class BlockClient {
 public:
  virtual ~BlockClient() = default;
  /// In the context of the completion: hard interrupt, on the CPU that took it. `request.status`: 0, or an errno.
  virtual void completed(Cpu& cpu, BlockRequest& request) = 0;
};

/// Owned by its submitter, which keeps it and its buffer in place until completed().
struct BlockRequest {
  std::uint64_t io = 0;  ///< number in the event stream
  trace::Direction direction = trace::Direction::read;
  std::uint64_t offset = 0;  ///< bytes on the device
  std::uint64_t bytes = 0;
  std::span<const Run> buffer;
  BlockClient* client = nullptr;
  std::uint32_t tag = 0;         ///< the submitter's own
  std::uint32_t parts_left = 0;  ///< commands outstanding
  int status = 0;
};

}  // namespace gnomon::guest
