// SPDX-License-Identifier: Apache-2.0
// Event log entries of 128 bits. Decoding is total. Source: AMD IOMMU specification 48882 rev 3, section 2.5.
// Field names are the specification's; fields of guest translation (PASID, GN, NX, US) are not modelled and 0.
#pragma once

#include <cstdint>
#include <variant>

#include "models/base/address.hpp"
#include "models/spec/amdvi/bits.hpp"

namespace gnomon::amdvi {

/// Bits 63:60.
enum class EventCode : std::uint8_t {
  illegal_dev_table_entry = 1,
  io_page_fault = 2,
  dev_tab_hardware_error = 3,
  page_tab_hardware_error = 4,
  illegal_command_error = 5,
  command_hardware_error = 6,
  iotlb_inv_timeout = 7,
  invalid_device_request = 8,
  invalid_ppr_request = 9,
};

/// Bits 58:57 of the hardware errors.
enum class HardwareErrorType : std::uint8_t { reserved = 0, master_abort = 1, target_abort = 2, data_error = 3 };

/// Bits 59:57 of INVALID_DEVICE_REQUEST.
enum class InvalidRequestType : std::uint8_t {
  interrupt_range_read = 0,     ///< read or non-posted write in the interrupt range
  pretranslated = 1,            ///< translated request of a device without an IOTLB
  port_io = 2,                  ///< port I/O where IoCtl does not allow it
  system_management_write = 3,  ///< posted write where SysMgt does not allow it
  system_management_read = 4,
  interrupt_range_write = 5,  ///< posted write where IntCtl aborts it
};

struct IllegalDevTableEntry {
  SourceId device{};
  bool i = false;   ///< 51: an interrupt request
  bool rw = false;  ///< 53: a write
  bool rz = false;  ///< 55: a reserved bit is not zero; else an invalid level encoding
  bool tr = false;  ///< 56: a translation request (ATS)
  Iova address{};
  constexpr bool operator==(const IllegalDevTableEntry&) const = default;
};

struct IoPageFault {
  SourceId device{};
  DomainId domain{};
  bool i = false;
  bool pr = false;  ///< 52: the page is present
  bool rw = false;
  bool pe = false;  ///< 54: the permissions do not suffice
  bool rz = false;  ///< 55: with PR and without PE: a reserved bit is not zero, else an invalid level encoding
  bool tr = false;
  Iova address{};
  constexpr bool operator==(const IoPageFault&) const = default;
};

struct DevTabHardwareError {
  SourceId device{};
  bool i = false;
  bool rw = false;
  bool tr = false;
  HardwareErrorType type = HardwareErrorType::reserved;
  Hpa address{};  ///< of the entry, 63:4
  constexpr bool operator==(const DevTabHardwareError&) const = default;
};

struct PageTabHardwareError {
  SourceId device{};
  DomainId domain{};
  bool i = false;
  bool rw = false;
  bool tr = false;
  HardwareErrorType type = HardwareErrorType::reserved;
  Hpa address{};  ///< of the entry, 63:3
  constexpr bool operator==(const PageTabHardwareError&) const = default;
};

/// The unit stops fetching commands.
struct IllegalCommandError {
  Hpa address{};  ///< of the command, 63:4
  constexpr bool operator==(const IllegalCommandError&) const = default;
};

/// A command could not be read, or a completion store not be made. The unit stops fetching commands.
struct CommandHardwareError {
  HardwareErrorType type = HardwareErrorType::reserved;
  Hpa address{};  ///< of the access, 63:4
  constexpr bool operator==(const CommandHardwareError&) const = default;
};

struct IotlbInvTimeout {
  SourceId device{};
  Hpa address{};  ///< of the command, 63:4
  constexpr bool operator==(const IotlbInvTimeout&) const = default;
};

struct InvalidDeviceRequest {
  SourceId device{};
  bool tr = false;
  InvalidRequestType type = InvalidRequestType::interrupt_range_read;
  Iova address{};
  constexpr bool operator==(const InvalidDeviceRequest&) const = default;
};

/// An event of another code, or with bits set that this model does not know.
struct OtherEvent {
  Bits128 raw{};
  constexpr bool operator==(const OtherEvent&) const = default;
};

using Event =
    std::variant<IllegalDevTableEntry, IoPageFault, DevTabHardwareError, PageTabHardwareError, IllegalCommandError,
                 CommandHardwareError, IotlbInvTimeout, InvalidDeviceRequest, OtherEvent>;

inline constexpr std::uint64_t event_bytes = sizeof(Bits128);

constexpr EventCode code_of(Bits128 raw) {
  return static_cast<EventCode>(field(raw.lo, 63, 60));
}
Event decode_event(Bits128 raw);
Bits128 encode(const Event& event);

}  // namespace gnomon::amdvi
