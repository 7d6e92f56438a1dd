// SPDX-License-Identifier: Apache-2.0
// Physical Region Pages: how a command names its data. Source: NVM Express Base Specification 1.4, section 4.3.
// The memory page is 4 KiB (CC.MPS = 0).
#pragma once

#include <algorithm>
#include <cstdint>

#include "models/base/address.hpp"

namespace gnomon::nvme {

inline constexpr std::uint32_t prp_entry_bytes = 8;

constexpr std::uint32_t prp_offset(std::uint64_t prp) {
  return static_cast<std::uint32_t>(prp & (page_size - 1));
}

/// PRP1 may start anywhere in its page on a dword.
constexpr bool valid_prp1(std::uint64_t prp) {
  return prp % 4 == 0;
}
/// Every other data entry starts its page; so does the pointer that chains one list page to the next.
constexpr bool valid_prp_entry(std::uint64_t prp) {
  return prp_offset(prp) == 0;
}
/// PRP2 as a list pointer may start anywhere in its page on a qword.
constexpr bool valid_prp_list(std::uint64_t prp) {
  return prp % prp_entry_bytes == 0;
}

/// Bytes of the transfer in PRP1's page.
constexpr std::uint32_t prp1_bytes(std::uint64_t prp1, std::uint32_t bytes) {
  return std::min(bytes, static_cast<std::uint32_t>(page_size) - prp_offset(prp1));
}

enum class Prp2Use { unused, page, list };

/// What PRP2 is: reserved when PRP1's page holds it all, a data page when one more does, else a list pointer.
constexpr Prp2Use prp2_use(std::uint64_t prp1, std::uint32_t bytes) {
  const std::uint32_t rest = bytes - prp1_bytes(prp1, bytes);
  if (rest == 0) return Prp2Use::unused;
  return rest <= page_size ? Prp2Use::page : Prp2Use::list;
}

/// The part of a PRP list inside one page.
struct PrpListPage {
  std::uint32_t data_entries = 0;
  bool chained = false;  ///< one more entry follows: the pointer to the next list page
  constexpr std::uint32_t entries() const { return data_entries + chained; }
  constexpr bool operator==(const PrpListPage&) const = default;
};

/// `pointer` locates the first entry; `entries_left` >= 1 data entries are still to come. The page's last slot
/// chains only when the list does not end within the page.
constexpr PrpListPage prp_list_page(std::uint64_t pointer, std::uint32_t entries_left) {
  const std::uint32_t slots = (static_cast<std::uint32_t>(page_size) - prp_offset(pointer)) / prp_entry_bytes;
  if (entries_left <= slots) return {entries_left, false};
  return {slots - 1, true};
}

}  // namespace gnomon::nvme
