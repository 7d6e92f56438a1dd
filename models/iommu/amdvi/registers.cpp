// SPDX-License-Identifier: Apache-2.0
// AmdviUnit's registers. AMD IOMMU specification 48882 rev 3, section 3.4.
#include "models/iommu/amdvi/unit.hpp"

namespace gnomon::iommu {
namespace {

constexpr std::uint64_t low_half = 0xffffffff;

constexpr std::uint64_t control_writable =
    amdvi::control::iommu_en | amdvi::control::ht_tun_en | amdvi::control::event_log_en |
    amdvi::control::event_int_en | amdvi::control::com_wait_int_en | amdvi::mask(7, 5) | amdvi::control::pass_pw |
    amdvi::control::res_pass_pw | amdvi::control::coherent | amdvi::control::isoc | amdvi::control::cmd_buf_en;

constexpr bool log_enabled(std::uint64_t control) {
  constexpr std::uint64_t both = amdvi::control::iommu_en | amdvi::control::event_log_en;
  return (control & both) == both;
}

}  // namespace

amdvi::Capability AmdviUnit::capability() const {
  amdvi::Capability c;
  c.iotlb_sup = config_.device_tlb;
  return c;
}

std::uint64_t AmdviUnit::read_register(std::uint32_t offset) const {
  namespace reg = amdvi::reg;
  switch (offset) {
    case reg::device_table: return device_table_;
    case reg::command_buffer: return command_buffer_;
    case reg::event_log: return log_.base();
    case reg::control: return control_;
    case reg::extended_features: {
      amdvi::ExtendedFeatures features;
      features.ia_sup = true;
      features.hats = amdvi_.hats;
      return amdvi::encode(features);
    }
    case reg::command_head: return head_;
    case reg::command_tail: return tail_;
    case reg::event_head: return log_.head();
    case reg::event_tail: return log_.tail();
    case reg::status:
      return log_.status() | (completion_interrupt_ ? amdvi::status::com_wait_int : 0) |
             (commands_run_ ? amdvi::status::cmd_buf_run : 0);
    default: return 0;
  }
}

RegisterWrite AmdviUnit::write_register(std::uint32_t offset, std::uint64_t value) {
  namespace reg = amdvi::reg;
  RegisterWrite w;
  switch (offset) {
    case reg::device_table: device_table_ = value & amdvi::device_table_writable; break;
    case reg::command_buffer:
      command_buffer_ = value & amdvi::ring_writable;
      head_ = tail_ = 0;  // section 3.4.2
      break;
    case reg::event_log: log_.write_base(value); break;
    case reg::control: write_control(value, w); break;
    case reg::command_head:
      if (!commands_run_) head_ = value & amdvi::ring_pointer_mask;
      break;
    case reg::command_tail: tail_ = value & amdvi::ring_pointer_mask; break;
    case reg::event_head: log_.write_head(value); break;
    case reg::event_tail: log_.write_tail(value); break;
    case reg::status:
      log_.clear_status(value & amdvi::status::write_1_to_clear);
      if ((value & amdvi::status::com_wait_int) != 0) completion_interrupt_ = false;
      break;
    default: break;
  }
  w.queue_pending = queued() != 0;
  return w;
}

// Commands and log start where their enable, taken together with IommuEn, goes from 0 to 1: only so does what an
// error stopped run again. An interrupt enabled while its status stands is sent at once.
void AmdviUnit::write_control(std::uint64_t value, RegisterWrite& w) {
  const std::uint64_t old = control_;
  const bool commands_were = commands_enabled();
  control_ = value & control_writable;
  if (commands_enabled() != commands_were) commands_run_ = !commands_were;
  if (log_enabled(control_) != log_enabled(old)) log_.enable(log_enabled(control_));
  const std::uint64_t risen = control_ & ~old;
  w.fault_event = (risen & amdvi::control::event_int_en) != 0 && log_.interrupt_pending();
  w.completion_event = (risen & amdvi::control::com_wait_int_en) != 0 && completion_interrupt_;
}

std::uint64_t AmdviUnit::read(std::uint32_t offset, unsigned bytes) const {
  const std::uint64_t whole = read_register(offset & ~7u);
  if (bytes == 8) return whole;
  return (offset & 4u) != 0 ? whole >> 32 : whole & low_half;
}

// The half not written keeps its value; status bits written as 0 stay as they are anyway.
RegisterWrite AmdviUnit::write(std::uint32_t offset, std::uint64_t value, unsigned bytes) {
  const std::uint32_t base = offset & ~7u;
  if (bytes == 8) return write_register(base, value);
  const bool high = (offset & 4u) != 0;
  const std::uint64_t kept = base == amdvi::reg::status ? 0 : read_register(base) & (high ? low_half : ~low_half);
  return write_register(base, kept | (high ? value << 32 : value & low_half));
}

}  // namespace gnomon::iommu
