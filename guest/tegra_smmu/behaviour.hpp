// SPDX-License-Identifier: Apache-2.0
// How the Tegra SMMU driver keeps the unit in step with its tables, what each step costs, and planted bugs.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "models/base/time.hpp"

namespace gnomon::guest {

/// The proposals of the thread "iommu: Add range flush operation" (T. Figa, R. Murphy, 29 Sep 2015), and what was
/// there before. To clean is to write a CPU cache line back; the walker does not snoop.
enum class TegraFlush : std::uint8_t {
  before,  ///< 3.19 on: every entry is cleaned, and flushed from page-table cache and TLB, as soon as it is written
  range,   ///< the RFC: one callback after a map and after an unmap; lines cleaned and flushed once, TLB by group
  one_callback,         ///< the same by the name of its weakness: it cannot know that a map needs no TLB flush
  walk_in_flush,        ///< one callback that reads the entries and flushes the TLB where one is absent
  map_sync_unmap_sync,  ///< two callbacks, as iotlb_sync_map and iotlb_sync since 5.5: a map leaves the TLB alone
  unsynchronised,       ///< neither flushes; the caller does, by flush_iotlb_all, for as many maps and unmaps as it
                        ///< likes
  coherent,             ///< a walker that snoops: nothing to clean, no page-table cache to flush. No Tegra has it
};

/// As scenarios spell it. Nothing for another name.
constexpr std::optional<TegraFlush> tegra_flush_of(std::string_view name) {
  if (name == "before") return TegraFlush::before;
  if (name == "range") return TegraFlush::range;
  if (name == "one-callback") return TegraFlush::one_callback;
  if (name == "walk-in-flush") return TegraFlush::walk_in_flush;
  if (name == "map-sync-unmap-sync") return TegraFlush::map_sync_unmap_sync;
  if (name == "unsynchronised") return TegraFlush::unsynchronised;
  if (name == "coherent") return TegraFlush::coherent;
  return std::nullopt;
}

/// Fit to the published times of a Tegra210: see platform/machines/tegra210.toml for what they do and do not fix.
struct TegraSmmuCosts {
  Time page = Time::ns(70);             ///< one page of a map or unmap: its entry found, uses counted
  Time entry_store = Time::ns(10);      ///< one entry written, in the cache
  Time entry_load = Time::ns(5);        ///< one entry read, in the cache
  Time clean_line = Time::ns(100);      ///< one line cleaned to memory, issue
  Time barrier = Time::ns(800);         ///< the wait until what was cleaned is in memory (dsb)
  Time register_write = Time::ns(100);  ///< posted, with the barrier of a writel
  Time register_read = Time::ns(2100);  ///< its answer waits for the writes before it
  Time table_page = Time::ns(1000);     ///< a page for a table allocated and zeroed
  Time table_free = Time::ns(300);      ///< and freed
};

/// Planted bugs, to prove that a checker sees them. All off in a correct driver.
struct TegraDriverFaults {
  bool skip_clean = false;            ///< entries of tables stay in the CPU's cache
  bool skip_ptc_flush = false;        ///< the page-table cache is never flushed of table entries
  bool skip_tlb_flush = false;        ///< nor the TLB
  bool skip_directory_flush = false;  ///< directory entries are neither cleaned nor flushed
  bool skip_freed_table = false;  ///< a freed table's entries stay in the page-table cache: it may become one again
};

}  // namespace gnomon::guest
