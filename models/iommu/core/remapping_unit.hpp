// SPDX-License-Identifier: Apache-2.0
// What a physical IOMMU of any maker answers to its shell. Pure: every call says what happened and how many reads
// it took; the shell charges the time.
#pragma once

#include <cstdint>
#include <optional>

#include "models/base/address.hpp"
#include "models/iommu/core/access.hpp"
#include "models/iommu/core/invalidation_step.hpp"
#include "models/iommu/core/translation.hpp"
#include "models/pgtable/mapping.hpp"

namespace gnomon::iommu {

class RemappingUnit {
 public:
  virtual ~RemappingUnit() = default;

  virtual Translation translate(SourceId source, Iova iova, Access access) = 0;
  /// What the tables in memory say now of `iova`, past every cache and without a trace: the truth a stale
  /// translation is judged by. Nothing where a DMA of that kind would fault, or is not translated by a table.
  virtual std::optional<pgtable::Mapping> resolve(SourceId source, Iova iova, Access access) const = 0;

  /// Commands the unit has been told of and has not executed; 0 where its queue is off or stopped by an error.
  virtual std::uint64_t queued() const = 0;
  /// Executes the command at the head of the queue.
  virtual InvalidationStep step() = 0;

  // A unit of several queues, which are served side by side; `queue` is below queues().
  struct Pending {
    std::uint64_t commands = 0;
    bool waits = false;  ///< the last of them waits for those before it; else nobody is told of their completion
  };
  virtual unsigned queues() const { return 1; }
  /// What the queue does before it tells anybody.
  virtual Pending pending([[maybe_unused]] unsigned queue) const { return {queued(), false}; }
  /// Executes the command at its head.
  virtual InvalidationStep step_queue([[maybe_unused]] unsigned queue) { return step(); }

  /// Accesses of 4 bytes at multiples of 4, of 8 at multiples of 8. Registers that are not modelled read 0 and
  /// ignore writes.
  virtual std::uint64_t read(std::uint32_t offset, unsigned bytes) const = 0;
  virtual RegisterWrite write(std::uint32_t offset, std::uint64_t value, unsigned bytes) = 0;
};

}  // namespace gnomon::iommu
