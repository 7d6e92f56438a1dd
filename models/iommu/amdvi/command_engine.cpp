// SPDX-License-Identifier: Apache-2.0
// AmdviUnit's command buffer. AMD IOMMU specification 48882 rev 3, section 2.4.
#include <algorithm>

#include "models/iommu/amdvi/unit.hpp"

namespace gnomon::iommu {
namespace {

/// 2^64, as near as 64 bits come to it.
constexpr std::uint64_t whole_space = ~std::uint64_t{0};

}  // namespace

bool AmdviUnit::commands_enabled() const {
  constexpr std::uint64_t both = amdvi::control::iommu_en | amdvi::control::cmd_buf_en;
  return (control_ & both) == both && !amdvi::ring_length_reserved(command_buffer_);
}

Hpa AmdviUnit::command_address() const {
  return amdvi::ring_base(command_buffer_) + (head_ & (amdvi::ring_bytes(command_buffer_) - 1));
}

std::uint64_t AmdviUnit::queued() const {
  if (!commands_run_) return 0;
  return ((tail_ - head_) & (amdvi::ring_bytes(command_buffer_) - 1)) / amdvi::command_bytes;
}

InvalidationStep AmdviUnit::step() {
  if (!commands_run_) return commands_enabled() ? InvalidationStep{QueueStopped{}} : InvalidationStep{QueueIdle{}};
  if (queued() == 0) return QueueIdle{};
  const auto raw = read_memory<amdvi::Bits128>(command_address());
  if (!raw) {
    return queue_error(amdvi::CommandHardwareError{amdvi::HardwareErrorType::master_abort, command_address()});
  }
  const InvalidationStep outcome =
      std::visit([this](const auto& c) { return execute(c); }, amdvi::decode_command(*raw));
  // On an error the head stays: software finds the command there.
  if (!std::holds_alternative<QueueError>(outcome)) {
    head_ = (head_ + amdvi::command_bytes) & (amdvi::ring_bytes(command_buffer_) - 1);
  }
  return outcome;
}

// Nothing is fetched until software has turned CmdBufEn off and on.
InvalidationStep AmdviUnit::queue_error(const amdvi::Event& event) {
  commands_run_ = false;
  const EventLog::Recorded recorded = log_.record(event, (control_ & amdvi::control::event_int_en) != 0);
  return QueueError{amdvi::code_of(amdvi::encode(event)), recorded.interrupt};
}

InvalidationStep AmdviUnit::illegal() {
  return queue_error(amdvi::IllegalCommandError{command_address()});
}

InvalidationStep AmdviUnit::execute(const amdvi::CompletionWait& c) {
  WaitReached done;
  done.status_write = c.s;
  done.status_address = c.store_address;
  done.status_data = c.store_data;
  done.status_bytes = sizeof(c.store_data);
  done.fence = c.f;
  if (c.i && !completion_interrupt_) {  // one interrupt until software has cleared ComWaitInt
    completion_interrupt_ = true;
    done.completion_event = (control_ & amdvi::control::com_wait_int_en) != 0;
  }
  return done;
}

InvalidationStep AmdviUnit::execute(const amdvi::InvalidateDevtabEntry& c) {
  ContextCacheInvalidated done;
  done.granularity = Granularity::device;
  done.source = c.device;
  done.dropped = device_table_cache_.invalidate_device(c.device);
  return done;
}

InvalidationStep AmdviUnit::execute(const amdvi::InvalidateIommuPages& c) {
  if (c.gn) return illegal();  // GTSup is 0
  const amdvi::CoveredRange range = amdvi::decode_range(c.range);
  const bool walk_cache_too = c.pde && !config_.faults.keep_walk_cache;
  IotlbInvalidated done;
  done.granularity = range.everything() ? Granularity::domain : Granularity::pages;
  done.domain = c.domain;
  done.iova = range.base;
  done.bytes = range.everything() ? whole_space : range.bytes;
  done.invalidation_hint = !c.pde;
  if (range.everything()) {
    if (config_.faults.ignore_domain_invalidation) return done;
    done.iotlb_dropped = iotlb_.invalidate_domain(c.domain);
    if (walk_cache_too) done.walk_cache_dropped = walk_cache_.invalidate_domain(c.domain);
    return done;
  }
  const std::uint64_t bytes = config_.faults.ignore_psi_mask ? page_size : range.bytes;
  done.iotlb_dropped = iotlb_.invalidate_pages(c.domain, range.base, bytes);
  if (walk_cache_too) done.walk_cache_dropped = walk_cache_.invalidate_pages(c.domain, range.base, bytes);
  return done;
}

InvalidationStep AmdviUnit::execute(const amdvi::InvalidateIotlbPages& c) {
  if (!config_.device_tlb || c.gn) return illegal();
  const amdvi::CoveredRange range = amdvi::decode_range(c.range);
  return DeviceTlbInvalidation{c.device, c.maxpend, range.base, range.bytes};
}

// Of a device's table, which the outcome cannot name: interrupt remapping is not modelled.
InvalidationStep AmdviUnit::execute(const amdvi::InvalidateInterruptTable&) {
  return InterruptEntriesInvalidated{};
}

InvalidationStep AmdviUnit::execute(const amdvi::CompletePprRequest&) {
  return illegal();  // PPRSup is 0
}

InvalidationStep AmdviUnit::execute(const amdvi::InvalidateIommuAll&) {
  device_table_cache_.invalidate_all();
  IotlbInvalidated done;
  done.bytes = whole_space;
  done.iotlb_dropped = iotlb_.invalidate_global();
  if (!config_.faults.keep_walk_cache) done.walk_cache_dropped = walk_cache_.invalidate_global();
  return done;
}

InvalidationStep AmdviUnit::execute(const amdvi::IllegalCommand&) {
  return illegal();
}

}  // namespace gnomon::iommu
