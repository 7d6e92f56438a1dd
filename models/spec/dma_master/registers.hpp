// SPDX-License-Identifier: Apache-2.0
// Registers of the streaming DMA master. No real device's: what display controllers and cameras have in common,
// with a scatter list in the device.
#pragma once

#include <cstdint>

namespace gnomon::dma_master {

namespace reg {
inline constexpr std::uint32_t control = 0x00;        ///< 32 bits
inline constexpr std::uint32_t status = 0x04;         ///< 32 bits, read only
inline constexpr std::uint32_t segment_iova = 0x08;   ///< 64 bits
inline constexpr std::uint32_t segment_bytes = 0x10;  ///< 64 bits; a write appends the segment to the list
inline constexpr std::uint32_t rate = 0x18;           ///< 64 bits: bytes a second
inline constexpr std::uint32_t underruns = 0x20;      ///< 64 bits, read only: since the last start
inline constexpr std::uint32_t moved = 0x28;          ///< 64 bits, read only: bytes since the last start
inline constexpr std::uint32_t refused = 0x30;        ///< 64 bits, read only: bursts that faulted, since then
/// 32 bits. Segments appended while it runs are the next list. Written 1: that takes over at the end of the one under
/// way, as shadowed registers do in the vertical blank; reads 1 until it has.
inline constexpr std::uint32_t update = 0x38;
}  // namespace reg
inline constexpr std::uint32_t register_space_bytes = 0x1000;

namespace control {
inline constexpr std::uint32_t run = 1u << 0;     ///< written 1: starts at the list's head; 0: stops
inline constexpr std::uint32_t write = 1u << 1;   ///< into memory, as a camera; else out of it, as a display
inline constexpr std::uint32_t repeat = 1u << 2;  ///< begins again at the list's end
inline constexpr std::uint32_t clear = 1u << 3;   ///< empties the list first; reads 0
}  // namespace control

inline constexpr std::uint32_t status_running = 1u << 0;

}  // namespace gnomon::dma_master
