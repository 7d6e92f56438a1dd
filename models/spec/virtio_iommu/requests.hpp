// SPDX-License-Identifier: Apache-2.0
// What driver and device of a virtio-iommu say to each other. Virtio 1.2, section 5.13. Little endian.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <variant>

namespace gnomon::virtio_iommu {

static_assert(std::endian::native == std::endian::little, "wire structures are copied as they lie in memory");

inline constexpr std::uint16_t device_id = 23;  ///< section 5
inline constexpr unsigned request_queue = 0;    ///< 5.13.2
inline constexpr unsigned event_queue = 1;

/// 5.13.3, as bit numbers.
enum class Feature : unsigned { input_range, domain_range, map_unmap, bypass, probe, mmio, bypass_config };
constexpr std::uint64_t bit(Feature f) {
  return std::uint64_t{1} << static_cast<unsigned>(f);
}

/// 5.13.4. Ranges are inclusive.
struct ConfigSpace {
  std::uint64_t page_size_mask = ~std::uint64_t{0xfff};  ///< its lowest bit is the granule of MAP and UNMAP
  struct {
    std::uint64_t start = 0, end = ~std::uint64_t{0};
  } input_range;
  struct {
    std::uint32_t start = 0, end = ~std::uint32_t{0};
  } domain_range;
  std::uint32_t probe_size = 512;  ///< bytes of the property list of PROBE
  std::uint8_t bypass = 0;         ///< 1: endpoints without a domain reach guest memory untranslated
  std::array<std::uint8_t, 3> reserved{};
};
static_assert(sizeof(ConfigSpace) == 40 && offsetof(ConfigSpace, probe_size) == 32);

/// 5.13.6: the first byte of a request.
enum class RequestType : std::uint8_t { attach = 1, detach = 2, map = 3, unmap = 4, probe = 5 };

enum class Status : std::uint8_t { ok, ioerr, unsupp, deverr, inval, range, noent, fault, nomem };

struct Head {
  RequestType type{};
  std::array<std::uint8_t, 3> reserved{};
};
struct Tail {
  Status status = Status::ok;
  std::array<std::uint8_t, 3> reserved{};
};
static_assert(sizeof(Head) == 4 && sizeof(Tail) == 4);

/// 5.13.6.3. `flags`: attach_bypass, with BYPASS_CONFIG.
struct Attach {
  Head head{RequestType::attach};
  std::uint32_t domain = 0;
  std::uint32_t endpoint = 0;
  std::uint32_t flags = 0;
  std::array<std::uint8_t, 4> reserved{};
  Tail tail;
};
inline constexpr std::uint32_t attach_bypass = 1;

/// 5.13.6.4.
struct Detach {
  Head head{RequestType::detach};
  std::uint32_t domain = 0;
  std::uint32_t endpoint = 0;
  std::array<std::uint8_t, 8> reserved{};
  Tail tail;
};

/// 5.13.6.5. virt_end is inclusive. `flags`: map_read, map_write, map_mmio.
struct Map {
  Head head{RequestType::map};
  std::uint32_t domain = 0;
  std::uint64_t virt_start = 0;
  std::uint64_t virt_end = 0;
  std::uint64_t phys_start = 0;
  std::uint32_t flags = 0;
  Tail tail;
};
inline constexpr std::uint32_t map_read = 1;
inline constexpr std::uint32_t map_write = 2;
inline constexpr std::uint32_t map_mmio = 4;
inline constexpr std::uint32_t map_flags = map_read | map_write | map_mmio;

/// 5.13.6.6. virt_end is inclusive.
struct Unmap {
  Head head{RequestType::unmap};
  std::uint32_t domain = 0;
  std::uint64_t virt_start = 0;
  std::uint64_t virt_end = 0;
  std::array<std::uint8_t, 4> reserved{};
  Tail tail;
};
static_assert(sizeof(Attach) == 24 && sizeof(Detach) == 24 && sizeof(Map) == 40 && sizeof(Unmap) == 32);

/// 5.13.6.7, the readable part; probe_size bytes of properties and the tail are device-writable.
struct Probe {
  Head head{RequestType::probe};
  std::uint32_t endpoint = 0;
  std::array<std::uint8_t, 64> reserved{};
};
static_assert(sizeof(Probe) == 72);

/// 5.13.6.8: a property of PROBE; `length` leaves out the first four bytes.
struct ReservedMemoryProperty {
  std::uint16_t type = 1;  ///< RESV_MEM, in the low 12 bits
  std::uint16_t length = 20;
  enum class Subtype : std::uint8_t { reserved = 0, msi = 1 } subtype = Subtype::reserved;
  std::array<std::uint8_t, 3> reserved{};
  std::uint64_t start = 0;
  std::uint64_t end = 0;  ///< inclusive
};
static_assert(sizeof(ReservedMemoryProperty) == 24);

/// 5.13.6.9: what the device puts into a buffer of the event queue.
enum class FaultReason : std::uint8_t { unknown, domain, mapping };
struct Fault {
  FaultReason reason = FaultReason::unknown;
  std::array<std::uint8_t, 3> reserved{};
  std::uint32_t flags = 0;
  std::uint32_t endpoint = 0;
  std::uint32_t reserved1 = 0;
  std::uint64_t address = 0;  ///< where flags has fault_address
};
static_assert(sizeof(Fault) == 24 && offsetof(Fault, address) == 16);
inline constexpr std::uint32_t fault_read = 1;
inline constexpr std::uint32_t fault_write = 2;
inline constexpr std::uint32_t fault_exec = 4;
inline constexpr std::uint32_t fault_address = 0x100;

/// Bytes of a request the device reads: all but the tail.
template <class R>
inline constexpr std::size_t readable_bytes = sizeof(R) - sizeof(Tail);
template <>
inline constexpr std::size_t readable_bytes<Probe> = sizeof(Probe);

inline constexpr std::size_t max_readable_bytes = readable_bytes<Probe>;

/// The device-readable part as it goes into the queue.
template <class R>
std::array<std::byte, readable_bytes<R>> encode(const R& request) {
  static_assert(std::is_trivially_copyable_v<R>);
  std::array<std::byte, readable_bytes<R>> bytes;
  std::memcpy(bytes.data(), &request, bytes.size());
  return bytes;
}

struct Unrecognised {};  ///< a type this version does not know
struct Truncated {};     ///< shorter than its type wants, or than a head
using Request = std::variant<Attach, Detach, Map, Unmap, Probe, Unrecognised, Truncated>;

/// Total: any bytes give a Request. What is behind the request's own length is ignored.
inline Request decode(std::span<const std::byte> bytes) {
  const auto as = [bytes]<class R>(R) -> Request {
    if (bytes.size() < readable_bytes<R>) return Truncated{};
    std::array<std::byte, sizeof(R)> whole{};  // a tail of zeroes behind what was sent
    std::copy_n(bytes.begin(), readable_bytes<R>, whole.begin());
    return std::bit_cast<R>(whole);
  };
  if (bytes.size() < sizeof(Head)) return Truncated{};
  switch (static_cast<RequestType>(bytes[0])) {
    case RequestType::attach: return as(Attach{});
    case RequestType::detach: return as(Detach{});
    case RequestType::map: return as(Map{});
    case RequestType::unmap: return as(Unmap{});
    case RequestType::probe: return as(Probe{});
  }
  return Unrecognised{};
}

}  // namespace gnomon::virtio_iommu
