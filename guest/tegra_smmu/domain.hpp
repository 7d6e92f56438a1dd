// SPDX-License-Identifier: Apache-2.0
// A domain of the Tegra SMMU driver: a table of two levels in memory that the walker reads past the CPU's cache.
// Behaviour of Linux's drivers/iommu/tegra-smmu.c, 4.3 to 6.1, and the proposals TegraFlush names. As in Linux up
// to 5.8 there is no lock: callers keep their maps and unmaps of a domain apart.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "guest/iommu/driver.hpp"
#include "guest/tegra_smmu/maintenance.hpp"

namespace gnomon::guest {

class TegraDomain final : public IommuDriver {
 public:
  /// `id` from 1; the address space is the one below. Throws std::bad_alloc.
  TegraDomain(const TegraUnit& unit, std::uint32_t id);

  /// Gives the address space its directory, at the first attach of a device.
  void prepare(Cpu& cpu);
  std::uint8_t asid() const { return static_cast<std::uint8_t>(id_ - 1); }

  std::uint32_t domain() const override { return id_; }
  PageSizeBitmap page_sizes() const override { return page_sizes_4k; }
  /// EINVAL beyond the aperture of 4 GiB or the SoC's physical addresses, ENOMEM without a page for a table.
  MapOutcome map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) override;
  std::uint64_t unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) override;
  void iotlb_sync(Cpu& cpu, IotlbGather& gather) override;
  int iotlb_sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes) override;
  /// Unsynchronised: flushes all that was stored since the last time. Else the TLB of the address space.
  void flush_iotlb_all(Cpu& cpu) override;
  std::optional<Gpa> iova_to_phys(Iova iova) const override;

  Gpa directory() const { return directory_.page(); }
  /// The table that holds the entry of `iova`, or null.
  const CachedTable* table_of(Iova iova) const;

 private:
  struct Table {
    explicit Table(const TegraUnit& unit) : entries(unit.memory, *unit.options.soc, unit.coherent()) {}
    CachedTable entries;
    unsigned used = 0;  // entries that are not 0
  };

  bool deferred() const { return unit_.options.flush != TegraFlush::before; }
  int map_page(Cpu& cpu, Iova iova, Gpa gpa, DmaAccess access);
  Table* table_for(Cpu& cpu, Iova iova);
  void free_table(Cpu& cpu, Iova iova);
  void set_directory(Cpu& cpu, Iova iova, std::uint32_t value, TegraMaintenance& m);
  void store(Cpu& cpu, Table& table, Iova iova, std::uint32_t value);
  void flush_entry(Cpu& cpu, Table& table, Iova iova, trace::Sync kind);
  void flush_range(Cpu& cpu, Iova first, Iova last, trace::Sync kind);
  void flush_piece(Cpu& cpu, Table& table, Iova first, Iova last, trace::Sync kind, TegraMaintenance& m);
  void flush_tlb_of(Cpu& cpu, const Table& table, Iova first, Iova last, TegraMaintenance& m);
  bool any_absent(Cpu& cpu, const Table& table, Iova first, Iova last) const;
  void flush_stored(Cpu& cpu);
  void flush_ptc_of(CachedTable& table, std::uint32_t offset, std::uint32_t bytes, TegraMaintenance& m) const;
  tegra::TlbFlush of(tegra::TlbMatch match, Iova iova) const { return {match, true, asid(), iova}; }

  TegraUnit unit_;
  std::uint32_t id_;
  CachedTable directory_;
  std::array<std::unique_ptr<Table>, tegra::table_entries> tables_;
  bool prepared_ = false;
};

}  // namespace gnomon::guest
