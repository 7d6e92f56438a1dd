// SPDX-License-Identifier: Apache-2.0
// One stretch of cache maintenance and register writes of the Tegra SMMU driver, and where its time went.
#pragma once

#include <cstdint>

#include "guest/kernel/cpu.hpp"
#include "guest/kernel/kernel_memory.hpp"
#include "guest/tegra_smmu/behaviour.hpp"
#include "guest/tegra_smmu/cached_table.hpp"
#include "models/spec/tegra_smmu/registers.hpp"

namespace gnomon::guest {

struct TegraSmmuOptions {
  Gpa registers;  ///< of the memory controller
  const tegra::Soc* soc = &tegra::tegra210;
  TegraFlush flush = TegraFlush::before;
  TegraSmmuCosts costs;
  TegraDriverFaults faults;
};

/// The unit a domain's devices are behind. What it refers to outlives it.
struct TegraUnit {
  KernelMemory& memory;
  TegraSmmuOptions options;
  bool coherent() const { return options.flush == TegraFlush::coherent; }
};

/// Each operation takes its time from the CPU and enters it under its class; finish() tells the event stream.
class TegraMaintenance {
 public:
  TegraMaintenance(Cpu& cpu, const TegraUnit& unit, std::uint32_t domain, trace::Sync kind);

  /// Cleans and waits for it: one barrier a call.
  void clean(CachedTable& table, std::uint32_t offset, std::uint32_t bytes);
  void barrier();
  /// Drops the atom that holds the byte at `offset` of the table from the page-table cache.
  void flush_ptc(CachedTable& table, std::uint32_t offset);
  void flush_tlb(const tegra::TlbFlush& which);
  void write(std::uint32_t offset, std::uint32_t value);
  std::uint32_t read(std::uint32_t offset);
  /// Waits for the register writes, as the driver does: by reading PTB_ASID. Nothing to wait for: does nothing.
  void read_back();
  /// SmmuMaintained and SyncDone; nothing where nothing was done.
  void finish();

 private:
  void spend(std::uint64_t& on, Time cost);
  const TegraSmmuCosts& costs() const { return unit_.options.costs; }

  Cpu& cpu_;
  const TegraUnit& unit_;
  Time began_;
  trace::SmmuMaintained account_;
  bool posted_ = false;  // writes not yet waited for
};

}  // namespace gnomon::guest
