// SPDX-License-Identifier: Apache-2.0
// The headers of a TCP segment as they lie in memory: Ethernet II, IPv4 (RFC 791), TCP (RFC 9293) with 12 bytes of
// options: MSS and window scale (RFC 7323) of a SYN, else room for the timestamps. Checksums are left to the NIC.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace gnomon::nic {

inline constexpr std::uint32_t ethernet_header_bytes = 14;
inline constexpr std::uint32_t ip_header_bytes = 20;
inline constexpr std::uint32_t tcp_header_bytes = 32;  ///< with its options
inline constexpr std::uint32_t header_bytes = ethernet_header_bytes + ip_header_bytes + tcp_header_bytes;
inline constexpr std::uint32_t wire_overhead = 8 + 4 + 12;  ///< preamble, frame check sequence, gap (IEEE 802.3)

/// Payload of a full segment on a link of `mtu`.
constexpr std::uint32_t segment_payload(std::uint32_t mtu) {
  return mtu - ip_header_bytes - tcp_header_bytes;
}
/// Time on the wire is that of so many bytes.
constexpr std::uint64_t wire_bytes(std::uint64_t packets, std::uint64_t payload) {
  return packets * (header_bytes + wire_overhead) + payload;
}

namespace tcp_flag {
inline constexpr std::uint8_t fin = 0x01;
inline constexpr std::uint8_t syn = 0x02;
inline constexpr std::uint8_t rst = 0x04;
inline constexpr std::uint8_t psh = 0x08;
inline constexpr std::uint8_t ack = 0x10;
}  // namespace tcp_flag

struct TcpHeader {
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgment = 0;
  std::uint8_t flags = 0;
  std::uint16_t window = 0;        ///< as in the header, unscaled
  std::uint16_t segment_size = 0;  ///< MSS option of a SYN
  std::uint8_t window_scale = 0;   ///< option of a SYN, 0 to 14
  constexpr bool operator==(const TcpHeader&) const = default;
};

using HeaderBytes = std::array<std::byte, header_bytes>;

namespace detail {
constexpr void put16(std::span<std::byte> to, std::size_t at, std::uint32_t v) {
  to[at] = static_cast<std::byte>(v >> 8);
  to[at + 1] = static_cast<std::byte>(v);
}
constexpr void put32(std::span<std::byte> to, std::size_t at, std::uint32_t v) {
  put16(to, at, v >> 16);
  put16(to, at + 2, v);
}
constexpr std::uint16_t get16(std::span<const std::byte> from, std::size_t at) {
  return static_cast<std::uint16_t>(std::to_integer<unsigned>(from[at]) << 8 |
                                    std::to_integer<unsigned>(from[at + 1]));
}
constexpr std::uint32_t get32(std::span<const std::byte> from, std::size_t at) {
  return std::uint32_t{get16(from, at)} << 16 | get16(from, at + 2);
}
inline constexpr std::size_t ip_at = ethernet_header_bytes;
inline constexpr std::size_t tcp_at = ip_at + ip_header_bytes;
inline constexpr std::size_t options_at = tcp_at + 20;
inline constexpr std::uint32_t ethertype_ipv4 = 0x0800;
inline constexpr unsigned protocol_tcp = 6;
}  // namespace detail

/// Addresses are zero: there is one peer.
constexpr HeaderBytes encode(const TcpHeader& h) {
  using namespace detail;
  HeaderBytes bytes{};
  put16(bytes, 12, ethertype_ipv4);
  bytes[ip_at] = std::byte{0x45};    // version 4, 5 words
  bytes[ip_at + 8] = std::byte{64};  // time to live
  bytes[ip_at + 9] = std::byte{protocol_tcp};
  put16(bytes, ip_at + 2, ip_header_bytes + tcp_header_bytes);  // of one segment the NIC adds the payload
  put16(bytes, tcp_at, h.source_port);
  put16(bytes, tcp_at + 2, h.destination_port);
  put32(bytes, tcp_at + 4, h.sequence);
  put32(bytes, tcp_at + 8, h.acknowledgment);
  bytes[tcp_at + 12] = static_cast<std::byte>(tcp_header_bytes / 4 << 4);
  bytes[tcp_at + 13] = static_cast<std::byte>(h.flags);
  put16(bytes, tcp_at + 14, h.window);
  if ((h.flags & tcp_flag::syn) != 0) {
    put32(bytes, options_at, 0x0204'0000u | h.segment_size);      // kind 2, 4 bytes: MSS
    put32(bytes, options_at + 4, 0x0103'0300u | h.window_scale);  // no-op; kind 3, 3 bytes: window scale
    put32(bytes, options_at + 8, 0x0101'0101u);                   // no-ops
  } else {
    put32(bytes, options_at, 0x0101'080au);  // no-ops; kind 8, 10 bytes: timestamps, all zero
  }
  return bytes;
}

/// None where it is not a TCP segment of this layout.
constexpr std::optional<TcpHeader> decode_header(std::span<const std::byte, header_bytes> bytes) {
  using namespace detail;
  if (get16(bytes, 12) != ethertype_ipv4 || bytes[ip_at] != std::byte{0x45}) return std::nullopt;
  if (bytes[ip_at + 9] != std::byte{protocol_tcp}) return std::nullopt;
  if (bytes[tcp_at + 12] != static_cast<std::byte>(tcp_header_bytes / 4 << 4)) return std::nullopt;
  TcpHeader h;
  h.source_port = get16(bytes, tcp_at);
  h.destination_port = get16(bytes, tcp_at + 2);
  h.sequence = get32(bytes, tcp_at + 4);
  h.acknowledgment = get32(bytes, tcp_at + 8);
  h.flags = std::to_integer<std::uint8_t>(bytes[tcp_at + 13]);
  h.window = get16(bytes, tcp_at + 14);
  if ((h.flags & tcp_flag::syn) != 0) {
    if (get16(bytes, options_at) != 0x0204 || get32(bytes, options_at + 4) >> 8 != 0x01'0303) return std::nullopt;
    h.segment_size = get16(bytes, options_at + 2);
    h.window_scale = std::to_integer<std::uint8_t>(bytes[options_at + 7]);
  }
  return h;
}

}  // namespace gnomon::nic
