// SPDX-License-Identifier: Apache-2.0
// Controller registers and doorbells. Source: NVM Express Base Specification 1.4, section 3.1.
#pragma once

#include <cstdint>
#include <optional>

namespace gnomon::nvme {

/// Byte offsets from BAR0.
namespace reg {
inline constexpr std::uint64_t cap = 0x00;    ///< capabilities, 8 bytes, read only
inline constexpr std::uint64_t vs = 0x08;     ///< version
inline constexpr std::uint64_t intms = 0x0c;  ///< interrupt mask set; not for use with MSI-X
inline constexpr std::uint64_t intmc = 0x10;  ///< interrupt mask clear; likewise
inline constexpr std::uint64_t cc = 0x14;     ///< controller configuration
inline constexpr std::uint64_t csts = 0x1c;   ///< controller status, read only
inline constexpr std::uint64_t nssr = 0x20;   ///< subsystem reset
inline constexpr std::uint64_t aqa = 0x24;    ///< admin queue sizes
inline constexpr std::uint64_t asq = 0x28;    ///< admin submission queue base, 8 bytes
inline constexpr std::uint64_t acq = 0x30;    ///< admin completion queue base, 8 bytes
inline constexpr std::uint64_t doorbells = 0x1000;
}  // namespace reg

inline constexpr std::uint32_t version_1_4 = 0x0001'0400;

namespace detail {
constexpr std::uint64_t field(std::uint64_t word, unsigned high, unsigned low) {
  return (word >> low) & (~std::uint64_t{0} >> (63 - (high - low)));
}
}  // namespace detail

/// CAP, 3.1.1.
struct Capabilities {
  std::uint16_t mqes = 0;   ///< entries of the largest queue, minus one
  bool cqr = true;          ///< queues must be physically contiguous
  std::uint8_t to = 0;      ///< longest time from CC.EN to CSTS.RDY, in 500 ms
  std::uint8_t dstrd = 0;   ///< doorbells are 4 << DSTRD bytes apart
  std::uint8_t css = 1;     ///< bit 0: NVM command set
  std::uint8_t mpsmin = 0;  ///< smallest memory page: 4 KiB << MPSMIN
  std::uint8_t mpsmax = 0;  ///< largest memory page: 4 KiB << MPSMAX
  constexpr bool operator==(const Capabilities&) const = default;
};

constexpr std::uint64_t encode(const Capabilities& c) {
  return std::uint64_t{c.mqes} | std::uint64_t{c.cqr} << 16 | std::uint64_t{c.to} << 24 |
         std::uint64_t{c.dstrd & 0xfu} << 32 | std::uint64_t{c.css} << 37 | std::uint64_t{c.mpsmin & 0xfu} << 48 |
         std::uint64_t{c.mpsmax & 0xfu} << 52;
}

constexpr Capabilities decode_capabilities(std::uint64_t v) {
  using detail::field;
  return {.mqes = static_cast<std::uint16_t>(field(v, 15, 0)),
          .cqr = field(v, 16, 16) != 0,
          .to = static_cast<std::uint8_t>(field(v, 31, 24)),
          .dstrd = static_cast<std::uint8_t>(field(v, 35, 32)),
          .css = static_cast<std::uint8_t>(field(v, 44, 37)),
          .mpsmin = static_cast<std::uint8_t>(field(v, 51, 48)),
          .mpsmax = static_cast<std::uint8_t>(field(v, 55, 52))};
}

/// CC, 3.1.5.
struct Configuration {
  bool en = false;
  std::uint8_t css = 0;     ///< 0: NVM command set
  std::uint8_t mps = 0;     ///< memory page: 4 KiB << MPS
  std::uint8_t ams = 0;     ///< 0: round robin
  std::uint8_t shn = 0;     ///< shutdown: 1 normal, 2 abrupt
  std::uint8_t iosqes = 0;  ///< log2 of a submission queue entry's bytes: 6
  std::uint8_t iocqes = 0;  ///< log2 of a completion queue entry's bytes: 4
  constexpr bool operator==(const Configuration&) const = default;
};

constexpr std::uint32_t encode(const Configuration& c) {
  return std::uint32_t{c.en} | (c.css & 7u) << 4 | (c.mps & 0xfu) << 7 | (c.ams & 7u) << 11 | (c.shn & 3u) << 14 |
         (c.iosqes & 0xfu) << 16 | (c.iocqes & 0xfu) << 20;
}

constexpr Configuration decode_configuration(std::uint32_t v) {
  const auto bits = [v](unsigned high, unsigned low) {
    return static_cast<std::uint8_t>(detail::field(v, high, low));
  };
  return {.en = bits(0, 0) != 0,
          .css = bits(6, 4),
          .mps = bits(10, 7),
          .ams = bits(13, 11),
          .shn = bits(15, 14),
          .iosqes = bits(19, 16),
          .iocqes = bits(23, 20)};
}

/// CSTS, 3.1.6.
namespace csts {
inline constexpr std::uint32_t rdy = 1u << 0;
inline constexpr std::uint32_t cfs = 1u << 1;            ///< controller fatal status: only a reset helps
inline constexpr std::uint32_t shst_complete = 2u << 2;  ///< shutdown processing complete
}  // namespace csts

/// AQA, 3.1.8, from the queues' sizes in entries, 2 to 4096.
constexpr std::uint32_t encode_aqa(std::uint32_t submission_entries, std::uint32_t completion_entries) {
  return (submission_entries - 1) | (completion_entries - 1) << 16;
}
constexpr std::uint32_t aqa_submission_entries(std::uint32_t aqa) {
  return (aqa & 0xfff) + 1;
}
constexpr std::uint32_t aqa_completion_entries(std::uint32_t aqa) {
  return ((aqa >> 16) & 0xfff) + 1;
}

/// A queue's doorbell: SQyTDBL takes the tail, CQyHDBL the head.
struct Doorbell {
  std::uint16_t queue = 0;
  bool completion = false;
  constexpr bool operator==(const Doorbell&) const = default;
};

constexpr std::uint64_t doorbell_offset(Doorbell d, unsigned dstrd) {
  return reg::doorbells + (2 * std::uint64_t{d.queue} + d.completion) * (std::uint64_t{4} << dstrd);
}

/// Which doorbell lies at `offset`; none between doorbells or past queue 65535.
constexpr std::optional<Doorbell> doorbell_at(std::uint64_t offset, unsigned dstrd) {
  const std::uint64_t stride = std::uint64_t{4} << dstrd;
  if (offset < reg::doorbells || (offset - reg::doorbells) % stride != 0) return std::nullopt;
  const std::uint64_t index = (offset - reg::doorbells) / stride;
  if (index / 2 > 0xffff) return std::nullopt;
  return Doorbell{static_cast<std::uint16_t>(index / 2), index % 2 != 0};
}

}  // namespace gnomon::nvme
