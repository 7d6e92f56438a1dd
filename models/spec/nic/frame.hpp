// SPDX-License-Identifier: Apache-2.0
// The headers of a TCP segment as they lie in memory: Ethernet II, IPv4 (RFC 791), TCP (RFC 9293) with 12 bytes of
// options: MSS, window scale (RFC 7323) and SACK-permitted of a SYN, else room for the timestamps, and behind them
// what was received out of order (RFC 2018). Checksums are left to the NIC.
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

/// Sequence numbers of data that arrived behind a gap: the first, and the one after the last.
struct SackBlock {
  std::uint32_t first = 0;
  std::uint32_t end = 0;
  constexpr bool operator==(const SackBlock&) const = default;
};
inline constexpr unsigned most_sack_blocks = 3;  ///< beside timestamps (RFC 2018, 3)

struct TcpHeader {
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgment = 0;
  std::uint8_t flags = 0;
  std::uint16_t window = 0;        ///< as in the header, unscaled
  std::uint16_t segment_size = 0;  ///< MSS option of a SYN
  std::uint8_t window_scale = 0;   ///< option of a SYN, 0 to 14
  std::uint8_t sack_blocks = 0;    ///< how many of `sack` there are; none in a SYN
  std::array<SackBlock, most_sack_blocks> sack{};
  constexpr bool operator==(const TcpHeader&) const = default;
};

inline constexpr std::uint32_t most_header_bytes = header_bytes + 4 + 8 * most_sack_blocks;
/// Of a segment without data: only such a one carries SACK blocks.
constexpr std::uint32_t header_length(const TcpHeader& h) {
  return h.sack_blocks == 0 ? header_bytes : header_bytes + 4 + 8 * h.sack_blocks;
}

using HeaderBytes = std::array<std::byte, most_header_bytes>;

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
inline constexpr std::size_t sack_at = tcp_at + tcp_header_bytes;
inline constexpr std::uint32_t ethertype_ipv4 = 0x0800;
inline constexpr unsigned protocol_tcp = 6;
}  // namespace detail

/// The first header_length() bytes count. Addresses are zero: there is one peer.
constexpr HeaderBytes encode(const TcpHeader& h) {
  using namespace detail;
  HeaderBytes bytes{};
  put16(bytes, 12, ethertype_ipv4);
  bytes[ip_at] = std::byte{0x45};    // version 4, 5 words
  bytes[ip_at + 8] = std::byte{64};  // time to live
  bytes[ip_at + 9] = std::byte{protocol_tcp};
  const std::uint32_t tcp_bytes = header_length(h) - header_bytes + tcp_header_bytes;
  put16(bytes, ip_at + 2, ip_header_bytes + tcp_bytes);  // of one segment the NIC adds the payload
  put16(bytes, tcp_at, h.source_port);
  put16(bytes, tcp_at + 2, h.destination_port);
  put32(bytes, tcp_at + 4, h.sequence);
  put32(bytes, tcp_at + 8, h.acknowledgment);
  bytes[tcp_at + 12] = static_cast<std::byte>(tcp_bytes / 4 << 4);
  bytes[tcp_at + 13] = static_cast<std::byte>(h.flags);
  put16(bytes, tcp_at + 14, h.window);
  if ((h.flags & tcp_flag::syn) != 0) {
    put32(bytes, options_at, 0x0204'0000u | h.segment_size);      // kind 2, 4 bytes: MSS
    put32(bytes, options_at + 4, 0x0103'0300u | h.window_scale);  // no-op; kind 3, 3 bytes: window scale
    put32(bytes, options_at + 8, 0x0101'0402u);                   // no-ops; kind 4, 2 bytes: SACK permitted
    return bytes;
  }
  put32(bytes, options_at, 0x0101'080au);  // no-ops; kind 8, 10 bytes: timestamps, all zero
  if (h.sack_blocks != 0) put32(bytes, sack_at, 0x0101'0500u | (2u + 8u * h.sack_blocks));  // kind 5
  for (std::size_t i = 0; i < h.sack_blocks; ++i) {
    put32(bytes, sack_at + 4 + 8 * i, h.sack[i].first);
    put32(bytes, sack_at + 8 + 8 * i, h.sack[i].end);
  }
  return bytes;
}

/// None where it is not a TCP segment of this layout. `bytes`: at least header_bytes, all that were sent.
constexpr std::optional<TcpHeader> decode_header(std::span<const std::byte> bytes) {
  using namespace detail;
  if (get16(bytes, 12) != ethertype_ipv4 || bytes[ip_at] != std::byte{0x45}) return std::nullopt;
  if (bytes[ip_at + 9] != std::byte{protocol_tcp}) return std::nullopt;
  const auto tcp_bytes = static_cast<std::uint32_t>(std::to_integer<unsigned>(bytes[tcp_at + 12]) >> 4) * 4;
  const std::uint32_t sack_bytes = tcp_bytes < tcp_header_bytes ? 1 : tcp_bytes - tcp_header_bytes;
  if (sack_bytes != 0 && (sack_bytes % 8 != 4 || sack_bytes < 12 || sack_bytes > 4 + 8 * most_sack_blocks)) {
    return std::nullopt;
  }
  if (bytes.size() < header_bytes + sack_bytes) return std::nullopt;
  TcpHeader h;
  h.sack_blocks = static_cast<std::uint8_t>(sack_bytes / 8);
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
  const std::uint32_t sack_option = 0x0101'0500u | (2u + 8u * h.sack_blocks);
  if (h.sack_blocks != 0 && get32(bytes, sack_at) != sack_option) return std::nullopt;
  for (std::size_t i = 0; i < h.sack_blocks; ++i) {
    h.sack[i] = {get32(bytes, sack_at + 4 + 8 * i), get32(bytes, sack_at + 8 + 8 * i)};
  }
  return h;
}

}  // namespace gnomon::nic
