// SPDX-License-Identifier: Apache-2.0
// VtdUnit's registers. VT-d specification rev 4.1, section 11.4.
#include "models/iommu/vtd/unit.hpp"
#include "models/spec/vtd/capabilities.hpp"

namespace gnomon::iommu {
namespace {

constexpr std::uint64_t low_half = 0xffffffff;

/// Registers of 64 bits by their offset; all others here are of 32.
constexpr bool is_wide(std::uint32_t offset) {
  using namespace vtd;
  switch (offset) {
    case reg::cap:
    case reg::ecap:
    case reg::rtaddr:
    case reg::iqh:
    case reg::iqt:
    case reg::iqa:
    case reg::iqercd:
    case reg::irta: return true;
    default: return offset >= reg::frcd;
  }
}

std::uint64_t capability(const IommuConfig& c) {
  vtd::Capability cap;
  cap.sagaw = c.sagaw;
  cap.mgaw = static_cast<std::uint8_t>(c.address_width - 1);
  cap.fro = vtd::reg::frcd / 16;
  cap.sslps = c.large_pages;
  cap.psi = true;
  cap.nfr = static_cast<std::uint8_t>(c.fault_records - 1);
  cap.mamv = c.max_address_mask;
  cap.dwd = cap.drd = true;
  cap.cm = c.caching_mode;
  cap.fs1gp = c.first_stage && c.first_stage_1g;
  cap.fs5lp = c.first_stage && c.first_stage_5_levels;
  return vtd::encode(cap);
}

std::uint64_t extended_capability(const IommuConfig& c) {
  vtd::ExtendedCapability ecap;
  ecap.c = ecap.qi = ecap.ir = ecap.pt = true;
  ecap.dt = c.device_tlb;
  ecap.sc = c.snoop_control;
  ecap.mhmv = VtdUnit::max_index_mask;
  if (c.scalable_mode) {
    ecap.smts = ecap.ssts = ecap.smpwcs = ecap.rps = ecap.pasid = true;
    ecap.fsts = c.first_stage;
    ecap.nest = c.nested;
    ecap.eafs = c.extended_accessed;
    ecap.pss = static_cast<std::uint8_t>(c.pasid_bits - 1);
  }
  return vtd::encode(ecap);
}

}  // namespace

std::uint64_t VtdUnit::read_register(std::uint32_t offset) const {
  using namespace vtd;
  if (offset >= reg::frcd) {
    const std::uint32_t index = (offset - reg::frcd) / sizeof(Bits128);
    if (index >= faults_.records()) return 0;
    const Bits128 record = faults_.read_record(index);
    return (offset & 8u) == 0 ? record.lo : record.hi;
  }
  switch (offset) {
    case reg::ver: return 0x60;  // 6.0: from there on the queue is the only way to invalidate (section 6.5)
    case reg::cap: return capability(config_);
    case reg::ecap: return extended_capability(config_);
    case reg::gsts: return status_;
    case reg::rtaddr: return rtaddr_;
    case reg::fsts: return faults_.status();
    case reg::fectl: return faults_.control();
    case reg::fedata: return fault_data_;
    case reg::feaddr: return fault_address_ & low_half;
    case reg::feuaddr: return fault_address_ >> 32;
    case reg::iqh: return head_;
    case reg::iqt: return tail_;
    case reg::iqa: return queue_;
    case reg::ics: return wait_complete_ ? ics_iwc : 0;
    case reg::iectl: return completion_control_;
    case reg::iedata: return completion_data_;
    case reg::ieaddr: return completion_address_ & low_half;
    case reg::ieuaddr: return completion_address_ >> 32;
    case reg::iqercd: return queue_error_;
    case reg::irta: return irta_;
    default: return 0;
  }
}

RegisterWrite VtdUnit::write_register(std::uint32_t offset, std::uint64_t value) {
  using namespace vtd;
  RegisterWrite w;
  const auto word = static_cast<std::uint32_t>(value);
  if (offset >= reg::frcd) {
    const std::uint32_t index = (offset - reg::frcd) / sizeof(Bits128);
    if (index < faults_.records() && (offset & 8u) != 0) faults_.write_record_high(index, value);
    return w;
  }
  switch (offset) {
    case reg::gcmd: command(word); break;
    case reg::rtaddr: rtaddr_ = value & mask(63, 10); break;
    case reg::fsts: faults_.write_status(word); break;
    case reg::fectl: w.fault_event = faults_.write_control(word); break;
    case reg::fedata: fault_data_ = word; break;
    case reg::feaddr: fault_address_ = (fault_address_ & ~low_half) | (word & ~3u); break;
    case reg::feuaddr: fault_address_ = (fault_address_ & low_half) | value << 32; break;
    case reg::iqt:
      tail_ = value & queue_offset_mask;
      if (config_.scalable_mode && (queue_ & iqa_dw) != 0 && (tail_ & iqt_misaligned) != 0) {
        tail_ &= ~std::uint64_t{iqt_misaligned};  // the bit reads as 0; the error stops the queue
        w.fault_event = queue_error(QueueErrorInfo::tail_not_aligned).fault_event;
      }
      break;
    case reg::iqa: queue_ = value & (mask(63, 11) | mask(2, 0)); break;
    case reg::ics:
      if ((word & ics_iwc) == 0) break;
      wait_complete_ = false;
      completion_control_ &= ~event_control::ip;
      break;
    case reg::iectl:
      completion_control_ = (completion_control_ & event_control::ip) | (word & event_control::im);
      if (completion_control_ == event_control::ip) {
        completion_control_ = 0;
        w.completion_event = true;
      }
      break;
    case reg::iedata: completion_data_ = word; break;
    case reg::ieaddr: completion_address_ = (completion_address_ & ~low_half) | (word & ~3u); break;
    case reg::ieuaddr: completion_address_ = (completion_address_ & low_half) | value << 32; break;
    case reg::irta: irta_ = value & (mask(63, 11) | mask(3, 0)); break;
    default: break;
  }
  w.queue_pending = queue_pending();
  return w;
}

// The enables follow the written value; the one-shot commands act where their bit is 1 and leave their status set.
void VtdUnit::command(std::uint32_t value) {
  using namespace vtd::gcmd;
  constexpr std::uint32_t enables = te | qie | ire | cfi;
  if ((value & srtp) != 0) root_ = rtaddr_;
  const std::uint32_t one_shot = (status_ | value) & (srtp | sirtp);
  if ((value & qie) == 0) head_ = 0;  // IQH reads 0 while the queue is off
  status_ = (value & enables) | one_shot;
}

std::uint32_t VtdUnit::read32(std::uint32_t offset) const {
  const std::uint32_t base = offset & ~7u;
  if (is_wide(base)) return static_cast<std::uint32_t>(read_register(base) >> (offset & 4u ? 32 : 0));
  return static_cast<std::uint32_t>(read_register(offset));
}

std::uint64_t VtdUnit::read64(std::uint32_t offset) const {
  if (is_wide(offset)) return read_register(offset);
  return std::uint64_t{read32(offset)} | std::uint64_t{read32(offset + 4)} << 32;
}

RegisterWrite VtdUnit::write32(std::uint32_t offset, std::uint32_t value) {
  const std::uint32_t base = offset & ~7u;
  if (!is_wide(base)) return write_register(offset, value);
  const bool high = (offset & 4u) != 0;
  // The half not written keeps its value, except in fault records, whose F a rewrite would clear.
  const std::uint64_t kept = base >= vtd::reg::frcd ? 0 : read_register(base) & (high ? low_half : ~low_half);
  return write_register(base, kept | (high ? std::uint64_t{value} << 32 : value));
}

RegisterWrite VtdUnit::write64(std::uint32_t offset, std::uint64_t value) {
  if (is_wide(offset)) return write_register(offset, value);
  const RegisterWrite low = write32(offset, static_cast<std::uint32_t>(value));
  const RegisterWrite high = write32(offset + 4, static_cast<std::uint32_t>(value >> 32));
  return {high.queue_pending, low.fault_event || high.fault_event, low.completion_event || high.completion_event};
}

}  // namespace gnomon::iommu
