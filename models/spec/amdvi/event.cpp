// SPDX-License-Identifier: Apache-2.0
#include "models/spec/amdvi/event.hpp"

namespace gnomon::amdvi {
namespace {

constexpr std::uint64_t code(EventCode c) {
  return static_cast<std::uint64_t>(c) << 60;
}

struct Encoder {
  Bits128 operator()(const IllegalDevTableEntry& e) const {
    return {code(EventCode::illegal_dev_table_entry) | e.device.value | at(e.i, 51) | at(e.rw, 53) | at(e.rz, 55) |
                at(e.tr, 56),
            e.address.value};
  }
  Bits128 operator()(const IoPageFault& e) const {
    return {code(EventCode::io_page_fault) | e.device.value | placed(e.domain.value, 47, 32) | at(e.i, 51) |
                at(e.pr, 52) | at(e.rw, 53) | at(e.pe, 54) | at(e.rz, 55) | at(e.tr, 56),
            e.address.value};
  }
  Bits128 operator()(const DevTabHardwareError& e) const {
    return {code(EventCode::dev_tab_hardware_error) | e.device.value | at(e.i, 51) | at(e.rw, 53) | at(e.tr, 56) |
                placed(static_cast<std::uint64_t>(e.type), 58, 57),
            e.address.value & mask(63, 4)};
  }
  Bits128 operator()(const PageTabHardwareError& e) const {
    return {code(EventCode::page_tab_hardware_error) | e.device.value | placed(e.domain.value, 47, 32) |
                at(e.i, 51) | at(e.rw, 53) | at(e.tr, 56) | placed(static_cast<std::uint64_t>(e.type), 58, 57),
            e.address.value & mask(63, 3)};
  }
  Bits128 operator()(const IllegalCommandError& e) const {
    return {code(EventCode::illegal_command_error), e.address.value & mask(63, 4)};
  }
  Bits128 operator()(const CommandHardwareError& e) const {
    return {code(EventCode::command_hardware_error) | placed(static_cast<std::uint64_t>(e.type), 58, 57),
            e.address.value & mask(63, 4)};
  }
  Bits128 operator()(const IotlbInvTimeout& e) const {
    return {code(EventCode::iotlb_inv_timeout) | e.device.value, e.address.value & mask(63, 4)};
  }
  Bits128 operator()(const InvalidDeviceRequest& e) const {
    return {code(EventCode::invalid_device_request) | e.device.value | at(e.tr, 56) |
                placed(static_cast<std::uint64_t>(e.type), 59, 57),
            e.address.value};
  }
  Bits128 operator()(const OtherEvent& e) const { return e.raw; }
};

/// The fields of an event of a known code; bits that are none of its fields are lost.
Event fields_of(Bits128 r) {
  const SourceId device{static_cast<std::uint16_t>(r.lo)};
  const DomainId domain{static_cast<std::uint16_t>(field(r.lo, 47, 32))};
  const bool i = bit(r.lo, 51);
  const bool rw = bit(r.lo, 53);
  const bool tr = bit(r.lo, 56);
  const auto type = static_cast<HardwareErrorType>(field(r.lo, 58, 57));
  switch (code_of(r)) {
    case EventCode::illegal_dev_table_entry:
      return IllegalDevTableEntry{device, i, rw, bit(r.lo, 55), tr, Iova{r.hi}};
    case EventCode::io_page_fault:
      return IoPageFault{device, domain, i, bit(r.lo, 52), rw, bit(r.lo, 54), bit(r.lo, 55), tr, Iova{r.hi}};
    case EventCode::dev_tab_hardware_error:
      return DevTabHardwareError{device, i, rw, tr, type, Hpa{r.hi & mask(63, 4)}};
    case EventCode::page_tab_hardware_error:
      return PageTabHardwareError{device, domain, i, rw, tr, type, Hpa{r.hi & mask(63, 3)}};
    case EventCode::illegal_command_error: return IllegalCommandError{Hpa{r.hi & mask(63, 4)}};
    case EventCode::command_hardware_error: return CommandHardwareError{type, Hpa{r.hi & mask(63, 4)}};
    case EventCode::iotlb_inv_timeout: return IotlbInvTimeout{device, Hpa{r.hi & mask(63, 4)}};
    case EventCode::invalid_device_request:
      return InvalidDeviceRequest{device, tr, static_cast<InvalidRequestType>(field(r.lo, 59, 57)), Iova{r.hi}};
    case EventCode::invalid_ppr_request: break;
  }
  return OtherEvent{r};
}

}  // namespace

Event decode_event(Bits128 raw) {
  const Event event = fields_of(raw);
  return encode(event) == raw ? event : OtherEvent{raw};
}

Bits128 encode(const Event& event) {
  return std::visit(Encoder{}, event);
}

}  // namespace gnomon::amdvi
