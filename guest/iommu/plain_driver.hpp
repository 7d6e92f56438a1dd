// SPDX-License-Identifier: Apache-2.0
// A driver without hardware, for experiments on the IOMMU core and the flush policies: a page table in plain
// memory, invalidations handed to a target. What real drivers differ in are its options.
#pragma once

#include <cstdint>
#include <optional>

#include "guest/iommu/flush_policy.hpp"
#include "guest/iommu/plain_page_table.hpp"

namespace gnomon::guest {

/// Who is told of invalidations: a modelled cache, a queue, a log.
class InvalidationTarget {
 public:
  virtual ~InvalidationTarget() = default;
  /// Drops what is cached of the block; of leaf entries only, or of the tables above them too.
  virtual void invalidate(FlushBlock block, bool leaf_only) = 0;
};

/// CPU time on bare metal. Orders of magnitude for experiments, not calibrated.
struct PlainDriverCosts {
  Time entry = Time::ns(2);         ///< one page-table entry written or cleared
  Time table = Time::ns(250);       ///< one table allocated and zeroed, or freed
  Time flush = Time::ns(100);       ///< one invalidation command
  Time flush_wait = Time::ns(400);  ///< the wait for all commands of a sync
};

/// What unmap_pages makes of an address without a mapping.
enum class UnmapHoles : std::uint8_t {
  stop,   ///< returns what it has done: AMD-Vi, ARM SMMU
  count,  ///< goes on and counts it as unmapped: VT-d
};

struct PlainDriverOptions {
  PageSizeBitmap page_sizes = page_sizes_4k_2m_1g;  ///< what the core is told
  PageSizeBitmap leaves = page_sizes_4k_2m_1g;      ///< what a leaf can be; other sizes are made of these
  UnmapHoles holes = UnmapHoles::stop;
  bool frees_tables = false;    ///< an unmap that covers a table's whole span frees it, after the flush
  bool gathers_leaves = false;  ///< adds to the gather leaf by leaf, as ARM SMMU; false: a call's chunk at once
  FlushUnit unit = {};
  unsigned levels = 4;
  PlainDriverCosts costs = {};
};

/// VT-d before 5.15: claims every power of two, so that the core calls once a power of two.
inline constexpr PlainDriverOptions plain_vtd_claims_all{
    .page_sizes = page_sizes_powers_of_two, .holes = UnmapHoles::count, .frees_tables = true, .unit = {false, 30}};
/// VT-d since, with both superpages.
inline constexpr PlainDriverOptions plain_vtd{
    .holes = UnmapHoles::count, .frees_tables = true, .unit = {false, 30}};
/// AMD-Vi's v1 table.
inline constexpr PlainDriverOptions plain_amd_v1{
    .page_sizes = page_sizes_amd_v1, .leaves = page_sizes_amd_v1, .levels = 6};
/// A driver of 4 KiB pages.
inline constexpr PlainDriverOptions plain_4k{.page_sizes = page_sizes_4k, .leaves = page_sizes_4k};

class PlainDriver : public IommuDriver {
 public:
  struct Counts {
    std::uint64_t map_calls = 0;
    std::uint64_t unmap_calls = 0;
    std::uint64_t entries_written = 0;
    std::uint64_t entries_cleared = 0;
    std::uint64_t syncs = 0;          ///< waits: iotlb_sync, early syncs, map syncs, flush_iotlb_all
    std::uint64_t early_syncs = 0;    ///< of these, in the middle of an unmap
    std::uint64_t blocks = 0;         ///< invalidation commands
    std::uint64_t domain_blocks = 0;  ///< of these, of the whole domain
    constexpr bool operator==(const Counts&) const = default;
  };

  /// `policy` and `target` outlive the driver.
  PlainDriver(const PlainDriverOptions& options, const FlushPolicy& policy, InvalidationTarget& target,
              std::uint32_t domain = 1)
      : options_(options), policy_(policy), target_(target), domain_(domain), table_(options.levels) {}

  std::uint32_t domain() const override { return domain_; }
  PageSizeBitmap page_sizes() const override { return options_.page_sizes; }
  std::optional<Gpa> iova_to_phys(Iova iova) const override;
  MapOutcome map_pages(Cpu& cpu, Iova iova, Gpa gpa, PageChoice pages, DmaAccess access) override;
  std::uint64_t unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) override;
  void iotlb_sync(Cpu& cpu, IotlbGather& gather) override;
  int iotlb_sync_map(Cpu& cpu, Iova iova, std::uint64_t bytes) override;
  void flush_iotlb_all(Cpu& cpu) override;
  void free_tables(Cpu& cpu, FreelistHandle tables) override;

  const PlainPageTable& table() const { return table_; }
  const Counts& counts() const { return counts_; }

 protected:
  PlainPageTable::UnmapStep clear(Cpu& cpu, Iova iova);
  void count_unmap_call() { ++counts_.unmap_calls; }

 private:
  int map_leaves(Cpu& cpu, Iova iova, Gpa gpa, PageChoice leaves, DmaAccess access, std::uint64_t& mapped);
  void gather_range(Cpu& cpu, Iova iova, std::uint64_t bytes, IotlbGather& gather);
  void flush(Cpu& cpu, Iova first, Iova last, bool leaf_only);

  PlainDriverOptions options_;
  const FlushPolicy& policy_;
  InvalidationTarget& target_;
  std::uint32_t domain_;
  PlainPageTable table_;
  Counts counts_;
};

/// AMD's driver as of 2013: an unmap wants a power of two, counts 4 KiB for each 4 KiB of a hole, and each call of
/// it flushes the whole domain. Behaviour of Linux 3.10 (drivers/iommu/amd_iommu.c).
class Amd2013Driver final : public PlainDriver {
 public:
  explicit Amd2013Driver(InvalidationTarget& target, const PlainDriverCosts& costs = {}, std::uint32_t domain = 1);

  /// Throws GuestPanic when the size asked for is no power of two, or what was unmapped is none.
  std::uint64_t unmap_pages(Cpu& cpu, Iova iova, PageChoice pages, IotlbGather& gather) override;
};

}  // namespace gnomon::guest
