// SPDX-License-Identifier: Apache-2.0
#include "models/iommu/vtd/fault_log.hpp"

namespace gnomon::iommu {
namespace {

using namespace vtd::event_control;
using namespace vtd::fsts;
constexpr std::uint64_t f_bit = std::uint64_t{1} << 63;

}  // namespace

FaultLog::Recorded FaultLog::record(const vtd::FaultRecord& fault) {
  if ((sticky_ & pfo) != 0) return {};  // nothing is recorded until software clears PFO
  const bool already_raised = pending() || sticky_ != 0;
  if ((records_[next_].hi & f_bit) != 0) {
    sticky_ |= pfo;
    return {false, signal(already_raised)};
  }
  if (!pending()) first_ = next_;
  vtd::FaultRecord stored = fault;
  stored.f = true;
  records_[next_] = vtd::encode(stored);
  next_ = (next_ + 1) % records();
  ++pending_;
  return {true, signal(already_raised)};
}

bool FaultLog::raise(std::uint32_t status_bits) {
  const bool already_raised = pending() || sticky_ != 0;
  sticky_ |= status_bits & (iqe | ice | ite);
  return signal(already_raised);
}

// One event covers all conditions that arise while any is still pending.
bool FaultLog::signal(bool already_raised) {
  if (already_raised) return false;
  if ((control_ & im) != 0) {
    control_ |= ip;
    return false;
  }
  return true;
}

void FaultLog::settle() {
  if (!pending() && sticky_ == 0) control_ &= ~ip;  // serviced by polling: nothing is left to tell
}

std::uint32_t FaultLog::status() const {
  return sticky_ | (pending() ? ppf : 0u) | static_cast<std::uint32_t>(first_) << fri_shift;
}

void FaultLog::write_status(std::uint32_t value) {
  sticky_ &= ~value;
  settle();
}

bool FaultLog::write_control(std::uint32_t value) {
  control_ = (control_ & ip) | (value & im);
  if ((control_ & (im | ip)) != ip) return false;
  control_ &= ~ip;
  return true;
}

void FaultLog::write_record_high(unsigned index, std::uint64_t value) {
  if ((value & f_bit) == 0 || (records_[index].hi & f_bit) == 0) return;
  records_[index].hi &= ~f_bit;
  --pending_;
  settle();
}

}  // namespace gnomon::iommu
