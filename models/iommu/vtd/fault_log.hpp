// SPDX-License-Identifier: Apache-2.0
// Primary fault logging: FSTS, FECTL and the ring of fault recording registers (VT-d specification rev 4.1, chapter
// 7).
#pragma once

#include <cstdint>
#include <vector>

#include "models/spec/vtd/fault.hpp"
#include "models/spec/vtd/registers.hpp"

namespace gnomon::iommu {

class FaultLog {
 public:
  /// `records`: 1 to 256 recording registers.
  explicit FaultLog(unsigned records) : records_(records) {}

  struct Recorded {
    bool recorded = false;  ///< false where the ring is full (PFO), or PFO still stands from before
    bool event = false;     ///< the fault event interrupt is to be sent now
  };
  Recorded record(const vtd::FaultRecord& fault);
  /// Sets IQE, ICE or ITE. True where the fault event is to be sent now.
  bool raise(std::uint32_t status_bits);

  std::uint32_t status() const;
  /// Clears the bits written as 1, PPF and FRI excepted.
  void write_status(std::uint32_t value);

  std::uint32_t control() const { return control_; }
  /// True where unmasking lets a pending event out now.
  bool write_control(std::uint32_t value);

  unsigned records() const { return static_cast<unsigned>(records_.size()); }
  vtd::Bits128 read_record(unsigned index) const { return records_[index]; }
  /// The only effect software has on a record: writing F as 1 clears it.
  void write_record_high(unsigned index, std::uint64_t value);

 private:
  bool pending() const { return pending_ != 0; }
  bool signal(bool already_raised);
  void settle();

  std::vector<vtd::Bits128> records_;
  unsigned next_ = 0;         // the register the next fault goes to
  unsigned first_ = 0;        // FRI
  unsigned pending_ = 0;      // registers with F set
  std::uint32_t sticky_ = 0;  // PFO, IQE, ICE, ITE
  std::uint32_t control_ = vtd::event_control::im;
};

}  // namespace gnomon::iommu
