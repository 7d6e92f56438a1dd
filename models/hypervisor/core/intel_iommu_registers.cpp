// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/core/intel_iommu_registers.hpp"

#include <optional>
#include <utility>

namespace gnomon::hypervisor {

namespace gcmd = vtd::gcmd;
namespace reg = vtd::reg;

namespace {

constexpr std::uint32_t sticky_faults = vtd::fsts::pfo | vtd::fsts::iqe | vtd::fsts::ice | vtd::fsts::ite;

// FECTL, FEDATA, FEADDR, FEUADDR, then the same of the completion event.
std::optional<std::size_t> event_word(std::uint32_t offset) {
  if (offset >= reg::fectl && offset <= reg::feuaddr) return (offset - reg::fectl) / 4;
  if (offset >= reg::iectl && offset <= reg::ieuaddr) return 4 + (offset - reg::iectl) / 4;
  return std::nullopt;
}

}  // namespace

bool IntelIommuRegisters::take_switched() {
  return std::exchange(switched_, false);
}

bool IntelIommuRegisters::queue_pending() const {
  return (gsts_ & gcmd::qie) != 0 && (fsts_ & vtd::fsts::iqe) == 0 && iqh_ != iqt_;
}

std::uint64_t IntelIommuRegisters::descriptor_bytes() const {
  const bool wide = ecap_.smts && (iqa_ & vtd::iqa_dw) != 0;
  return wide ? vtd::wide_descriptor_bytes : vtd::descriptor_bytes;
}

void IntelIommuRegisters::refuse(vtd::QueueErrorInfo reason) {
  fsts_ |= vtd::fsts::iqe;
  iqercd_ = static_cast<std::uint64_t>(reason);
}

// Registers of 64 bits.
const std::uint64_t* IntelIommuRegisters::quad_at(std::uint32_t offset) const {
  switch (offset) {
    case reg::cap: return &raw_cap_;
    case reg::ecap: return &raw_ecap_;
    case reg::rtaddr: return &rtaddr_;
    case reg::iqh: return &iqh_;
    case reg::iqt: return &iqt_;
    case reg::iqa: return &iqa_;
    case reg::iqercd: return &iqercd_;
    case reg::irta: return &irta_;
    default: return nullptr;
  }
}

std::uint32_t IntelIommuRegisters::read_word(std::uint32_t offset) const {
  switch (offset) {
    case reg::ver: return 0x10;
    case reg::gsts: return gsts_;
    case reg::fsts: return fsts_;
    case reg::ics: return ics_;
    default: break;
  }
  const auto event = event_word(offset);
  return event ? events_[*event] : 0;
}

std::uint64_t IntelIommuRegisters::read(std::uint32_t offset, unsigned access_bytes) const {
  if (offset + access_bytes > bytes) return ~std::uint64_t{0};
  const std::uint64_t* quad = quad_at(offset & ~7u);
  if (access_bytes == 8) {
    return quad != nullptr ? *quad : read_word(offset) | std::uint64_t{read_word(offset + 4)} << 32;
  }
  return quad != nullptr ? static_cast<std::uint32_t>(*quad >> (offset & 4u) * 8) : read_word(offset);
}

void IntelIommuRegisters::write(std::uint32_t offset, std::uint64_t value, unsigned access_bytes) {
  if (offset + access_bytes > bytes) return;
  const std::uint32_t base = offset & ~7u;
  const std::uint64_t* quad = quad_at(base);
  if (quad == nullptr) {
    write_word(offset, static_cast<std::uint32_t>(value));
    if (access_bytes == 8) write_word(offset + 4, static_cast<std::uint32_t>(value >> 32));
  } else if (access_bytes == 8) {
    write_quad(base, value);
  } else {
    const unsigned shift = (offset & 4u) * 8;
    const std::uint64_t half = std::uint64_t{0xffff'ffff} << shift;
    write_quad(base, (*quad & ~half) | (value << shift & half));
  }
}

void IntelIommuRegisters::write_quad(std::uint32_t offset, std::uint64_t value) {
  switch (offset) {
    case reg::rtaddr: rtaddr_ = value & vtd::mask(63, 10); break;
    case reg::iqa: iqa_ = value & (vtd::mask(63, 11) | vtd::mask(2, 0)); break;
    case reg::irta: irta_ = value; break;
    case reg::iqt:
      iqt_ = value & vtd::queue_offset_mask;
      if (descriptor_bytes() == vtd::wide_descriptor_bytes && (value & vtd::iqt_misaligned) != 0) {
        iqt_ &= ~std::uint64_t{vtd::iqt_misaligned};
        refuse(vtd::QueueErrorInfo::tail_not_aligned);
      }
      break;
    default: break;  // read only
  }
}

void IntelIommuRegisters::write_word(std::uint32_t offset, std::uint32_t value) {
  switch (offset) {
    case reg::gcmd: command(value); break;
    case reg::fsts:
      fsts_ &= ~(value & sticky_faults);
      if ((fsts_ & vtd::fsts::iqe) == 0) iqercd_ = 0;
      break;
    case reg::ics: ics_ &= ~(value & vtd::ics_iwc); break;
    default:
      if (const auto event = event_word(offset)) events_[*event] = value;
      break;
  }
}

void IntelIommuRegisters::command(std::uint32_t value) {
  if ((value & gcmd::srtp) != 0) {
    root_ = rtaddr_;
    gsts_ |= gcmd::srtp;
    switched_ = true;
  }
  gsts_ |= value & gcmd::sirtp;
  constexpr std::uint32_t switches = gcmd::te | gcmd::qie | gcmd::ire | gcmd::cfi;
  const std::uint32_t changed = (gsts_ ^ value) & switches;
  gsts_ ^= changed;
  if ((changed & gcmd::te) != 0) switched_ = true;
  if ((changed & gcmd::qie) != 0) iqh_ = 0;
}

}  // namespace gnomon::hypervisor
