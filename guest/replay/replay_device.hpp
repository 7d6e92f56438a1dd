// SPDX-License-Identifier: Apache-2.0
// The device a replayed mapping is for, as far as a recording knows it: it uses what is mapped.
#pragma once

#include "guest/dma/dma_device.hpp"

namespace gnomon::guest {

class ReplayDevice {
 public:
  virtual ~ReplayDevice() = default;
  /// Accesses each page of the mapping once, now: a write where the mapping lets the device write, else a read. The
  /// caller has let global time catch up. No processor waits for it.
  virtual void access(const DmaMapping& mapping, DmaAccess allowed) = 0;

  std::uint64_t accesses() const { return accesses_; }
  std::uint64_t refused() const { return refused_; }  ///< of those: not translated, or no memory there

 protected:
  std::uint64_t accesses_ = 0, refused_ = 0;
};

}  // namespace gnomon::guest
