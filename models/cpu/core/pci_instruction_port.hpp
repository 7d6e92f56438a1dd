// SPDX-License-Identifier: Apache-2.0
// The PCI instructions of a z/Architecture processor, as its software issues them. In a guest each is intercepted;
// in a logical partition hardware and firmware execute it. Encodings: models/spec/s390_pci/instruction.hpp.
#pragma once

#include <cstdint>

#include "models/base/address.hpp"

namespace gnomon {

class Processor;

/// `function`: the first operand, handle in bits 63:32.
class PciInstructionPort {
 public:
  struct Result {
    std::uint8_t condition_code = 0;
    std::uint8_t status = 0;  ///< of condition code 1
    constexpr bool operator==(const Result&) const = default;
  };

  virtual ~PciInstructionPort() = default;

  /// REFRESH PCI TRANSLATIONS of [address, address + bytes): when it returns with condition code 0, the function
  /// sees what the tables in memory say.
  virtual Result rpcit(Processor& processor, std::uint64_t function, Iova address, std::uint64_t bytes) = 0;
  /// MODIFY PCI FUNCTION CONTROLS: the function translates [first, last] by the tables of `iota` from now on.
  virtual Result register_translation(Processor& processor, std::uint64_t function, Iova first, Iova last,
                                      std::uint64_t iota) = 0;
  /// Likewise: the function translates nothing, and its DMA is stopped.
  virtual Result deregister_translation(Processor& processor, std::uint64_t function) = 0;
};

}  // namespace gnomon
