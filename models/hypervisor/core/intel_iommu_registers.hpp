// SPDX-License-Identifier: Apache-2.0
// The registers of an emulated VT-d unit and the state of its invalidation queue. VT-d specification rev 4.1,
// section 11.4.
#pragma once

#include <array>
#include <cstdint>

#include "models/base/address.hpp"
#include "models/spec/vtd/capabilities.hpp"
#include "models/spec/vtd/invalidation.hpp"
#include "models/spec/vtd/registers.hpp"

namespace gnomon::hypervisor {

/// No faults are recorded here: no DMA passes through an emulated unit. Its interrupts are not sent.
class IntelIommuRegisters {
 public:
  static constexpr std::uint32_t bytes = 0x1000;

  IntelIommuRegisters(const vtd::Capability& cap, const vtd::ExtendedCapability& ecap) : cap_(cap), ecap_(ecap) {}

  /// Of 4 or 8 bytes. All ones, and no effect, beyond the page.
  std::uint64_t read(std::uint32_t offset, unsigned access_bytes) const;
  void write(std::uint32_t offset, std::uint64_t value, unsigned access_bytes);

  bool translating() const { return (gsts_ & vtd::gcmd::te) != 0; }
  std::uint64_t root() const { return root_; }  ///< RTADDR as latched by SRTP
  /// The root was set or translation switched since this was last asked for.
  bool take_switched();
  bool switched() const { return switched_; }

  /// The queue is on, no error stops it, and it is not empty.
  bool queue_pending() const;
  std::uint64_t descriptor_bytes() const;
  /// Of the descriptor at the head.
  Gpa head() const { return Gpa{iqa_ & vtd::mask(63, 12)} + iqh_; }
  bool tail_in_queue() const { return iqt_ < vtd::queue_bytes(iqa_); }
  void advance() { iqh_ = (iqh_ + descriptor_bytes()) % vtd::queue_bytes(iqa_); }
  /// FSTS.IQE: the head stays where it is until software clears it.
  void refuse(vtd::QueueErrorInfo reason);
  void wait_completed() { ics_ |= vtd::ics_iwc; }

 private:
  std::uint32_t read_word(std::uint32_t offset) const;
  const std::uint64_t* quad_at(std::uint32_t offset) const;
  void write_quad(std::uint32_t offset, std::uint64_t value);
  void write_word(std::uint32_t offset, std::uint32_t value);
  void command(std::uint32_t value);

  const vtd::Capability cap_;
  const vtd::ExtendedCapability ecap_;
  const std::uint64_t raw_cap_ = vtd::encode(cap_);
  const std::uint64_t raw_ecap_ = vtd::encode(ecap_);
  bool switched_ = false;
  std::uint64_t root_ = 0;
  std::uint64_t rtaddr_ = 0, iqt_ = 0, iqa_ = 0, iqh_ = 0, iqercd_ = 0, irta_ = 0;
  std::uint32_t gsts_ = 0, fsts_ = 0, ics_ = 0;
  std::array<std::uint32_t, 8> events_{vtd::event_control::im, 0, 0, 0, vtd::event_control::im, 0, 0, 0};
};

}  // namespace gnomon::hypervisor
