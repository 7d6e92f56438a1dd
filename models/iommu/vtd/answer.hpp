// SPDX-License-Identifier: Apache-2.0
// How a found translation becomes the answer to a DMA, and how tables are read: what both modes share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "models/iommu/core/translation.hpp"
#include "models/memory/physical_memory.hpp"
#include "models/pgtable/mapping.hpp"

namespace gnomon::iommu {

inline constexpr std::uint64_t interrupt_first = 0xfee00000;
inline constexpr std::uint64_t interrupt_end = 0xfef00000;

constexpr bool in_interrupt_range(std::uint64_t address) {
  return address - interrupt_first < interrupt_end - interrupt_first;
}

/// Bytes from `iova` to `last`, cut where the interrupt range begins.
constexpr std::uint64_t up_to_interrupt_range(Iova iova, std::uint64_t last) {
  return (iova.value < interrupt_first ? std::min(last, interrupt_first - 1) : last) - iova.value + 1;
}

inline void answer_pass_through(Translation& t, Iova iova, std::uint64_t last) {
  t.kind = Translation::Kind::pass_through;
  t.hpa = Hpa{iova.value};
  t.bytes = up_to_interrupt_range(iova, last);
  t.permissions = pgtable::read_write;
}

inline void answer_translated(Translation& t, Iova iova, const pgtable::Mapping& m) {
  t.kind = Translation::Kind::translated;
  t.hpa = m.hpa;
  t.bytes = up_to_interrupt_range(iova, iova.value | (m.page_bytes - 1));
  t.permissions = m.permissions;
}

/// Nothing where memory does not answer.
template <class T>
std::optional<T> read_table(const PhysicalMemory& memory, Hpa address) {
  if (address.value > memory.size() - sizeof(T)) return std::nullopt;
  return memory.read<T>(address);
}

}  // namespace gnomon::iommu
