// SPDX-License-Identifier: Apache-2.0
// Stores of a guest to memory that its hypervisor has write-protected: each is a VM exit. Memory here is written
// directly, so software that may write protected pages says so afterwards.
#pragma once

#include "models/base/address.hpp"
#include "models/cpu/core/processor.hpp"

namespace gnomon {

class StoreTrap {
 public:
  virtual ~StoreTrap() = default;
  /// The processor has stored the 8 bytes at `address`, which are there already. Where the page is protected this
  /// takes the time of the exit and of what the hypervisor does in it; else none.
  virtual void stored(Processor& processor, Gpa address) = 0;
};

}  // namespace gnomon
