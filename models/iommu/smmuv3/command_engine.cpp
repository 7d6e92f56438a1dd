// SPDX-License-Identifier: Apache-2.0
// Smmuv3Unit's command queues. IHI 0070, chapter 4 and section 7.1.
#include <algorithm>
#include <variant>

#include "models/iommu/smmuv3/unit.hpp"

namespace gnomon::iommu {
namespace {

using smmuv3::CommandError;

/// 2^64, as near as 64 bits come to it.
constexpr std::uint64_t whole_space = ~std::uint64_t{0};

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

/// What the event stream calls the domain of a tag: see Smmuv3Unit.
DomainId told(CacheTag tag) {
  return tag.domain == DomainId{} && tag.pasid != no_pasid ? DomainId{static_cast<std::uint16_t>(tag.pasid.value)}
                                                           : tag.domain;
}
SourceId source_of(smmuv3::StreamId sid) {
  return {static_cast<std::uint16_t>(sid)};
}

}  // namespace

std::uint64_t Smmuv3Unit::queued() const {
  std::uint64_t all = 0;
  for (const smmuv3::CommandQueue& queue : queues_) all += queue.queued();
  return all;
}

InvalidationStep Smmuv3Unit::step() {
  for (unsigned tried = 0; tried != queues_.size(); ++tried) {
    const unsigned number = next_queue_;
    next_queue_ = (number + 1) % static_cast<unsigned>(queues_.size());
    if (queues_[number].queued() != 0) return step_queue(number);
  }
  const bool stopped = std::any_of(queues_.begin(), queues_.end(),
                                   [](const smmuv3::CommandQueue& q) { return q.enabled && q.stopped(); });
  return stopped ? InvalidationStep{QueueStopped{}} : InvalidationStep{QueueIdle{}};
}

InvalidationStep Smmuv3Unit::step_queue(unsigned number) {
  smmuv3::CommandQueue& queue = queues_[number];
  if (queue.queued() == 0) return QueueIdle{};
  const auto raw = read_memory<smmuv3::Bits128>(queue.head());
  if (!raw) return failed(queue, CommandError::abort);
  std::optional<smmuv3::Command> command = smmuv3::decode_command(*raw);
  if (number != 0) command = for_guest(*command);
  if (!command) return failed(queue, CommandError::illegal);
  return execute(queue, *command);
}

RemappingUnit::Pending Smmuv3Unit::pending(unsigned number) const {
  smmuv3::CommandQueue ahead = queues_[number];
  const std::uint64_t all = ahead.queued();
  for (std::uint64_t i = 0; i != all; ++i, ahead.consume()) {
    const auto raw = read_memory<std::uint64_t>(ahead.head());
    if (!raw) return {i + 1, false};
    if (smmuv3::opcode_of(*raw) == smmuv3::Opcode::cmd_sync) return {i + 1, true};
  }
  return {all, false};
}

// The queue stands at the command until software has acknowledged the error; the other queues go on.
InvalidationStep Smmuv3Unit::failed(smmuv3::CommandQueue& queue, CommandError error) {
  queue.fail(error);
  const bool own = &queue == &queues_[0];
  return QueueError{error, own && (irq_ctrl_ & smmuv3::irq_ctrl::gerror) != 0};
}

// What a virtual interface lets through: invalidations by ASID and address, whose VMID becomes the guest's, of
// device TLBs, whose StreamID becomes the device's, and CMD_SYNC without a signal.
std::optional<smmuv3::Command> Smmuv3Unit::for_guest(smmuv3::Command command) const {
  const auto vmid = static_cast<std::uint16_t>(smmuv3::field(interface_config_, 16, 1));
  if (auto* c = std::get_if<smmuv3::TlbiNhAsid>(&command)) {
    c->vmid = vmid;
    return command;
  }
  if (auto* c = std::get_if<smmuv3::TlbiNhVa>(&command)) {
    c->vmid = vmid;
    return command;
  }
  if (auto* c = std::get_if<smmuv3::AtcInv>(&command)) {
    for (unsigned i = 0; i != sid_match_.size(); ++i) {
      if (sid_match_[i] != (c->sid << 1 | 1)) continue;
      c->sid = sid_replace_[i];
      return command;
    }
    return std::nullopt;
  }
  const auto* sync = std::get_if<smmuv3::CmdSync>(&command);
  if (sync != nullptr && sync->cs == smmuv3::SyncSignal::none) return command;
  return std::nullopt;
}

InvalidationStep Smmuv3Unit::execute(smmuv3::CommandQueue& queue, const smmuv3::Command& command) {
  const auto done = [&](InvalidationStep step) {
    queue.consume();
    return step;
  };
  return std::visit(Overloaded{
                        [&](const smmuv3::CfgiSte& c) { return done(drop_streams(c.sid, c.sid, true)); },
                        [&](const smmuv3::CfgiSteRange& c) {
                          if (c.range >= 31) return done(drop_streams(0, ~smmuv3::StreamId{0}, true));
                          const std::uint64_t count = std::uint64_t{2} << c.range;
                          const std::uint64_t first = c.sid & ~(count - 1);
                          return done(drop_streams(first, first + (count - 1), true));
                        },
                        [&](const smmuv3::CfgiCd& c) { return done(drop_streams(c.sid, c.sid, false)); },
                        [&](const smmuv3::CfgiCdAll& c) { return done(drop_streams(c.sid, c.sid, false)); },
                        [&](const smmuv3::TlbiNhAll& c) { return done(drop_vmid(c.vmid, false)); },
                        [&](const smmuv3::TlbiNhAsid& c) { return done(drop_asid(c.vmid, c.asid)); },
                        [&](const smmuv3::TlbiNhVa& c) {
                          return done(drop_range({DomainId{c.vmid}, Pasid{c.asid}}, understood(c.range)));
                        },
                        [&](const smmuv3::TlbiNhVaa& c) { return done(drop_address(c.vmid, understood(c.range))); },
                        [&](const smmuv3::TlbiS12Vmall& c) { return done(drop_vmid(c.vmid, true)); },
                        [&](const smmuv3::TlbiS2Ipa& c) {
                          if (!smmu_.stage2) return failed(queue, CommandError::illegal);
                          return done(drop_range({DomainId{c.vmid}, no_pasid}, understood(c.range)));
                        },
                        [&](const smmuv3::TlbiNsnhAll&) { return done(drop_everything()); },
                        [&](const smmuv3::AtcInv& c) {
                          if (!config_.device_tlb) return failed(queue, CommandError::illegal);
                          const bool all = c.size >= smmuv3::atc_inv_all;
                          const std::uint64_t bytes = all ? 0 : page_size << c.size;
                          DeviceTlbInvalidation step;
                          step.source = source_of(c.sid);
                          step.iova = all ? Iova{} : Iova{c.address & ~(bytes - 1)};
                          step.bytes = bytes;
                          return done(step);
                        },
                        [&](const smmuv3::CmdSync& c) {
                          WaitReached step;
                          step.fence = true;
                          step.status_write = smmu_.msi && c.cs == smmuv3::SyncSignal::irq && c.msi_address != 0;
                          step.status_address = Hpa{c.msi_address};
                          step.status_data = c.msi_data;
                          step.status_bytes = sizeof(c.msi_data);
                          return done(step);
                        },
                        [&](const smmuv3::IllegalCommand&) { return failed(queue, CommandError::illegal); },
                    },
                    command);
}

// A unit without range invalidation ignores the fields that say one.
smmuv3::TlbiRange Smmuv3Unit::understood(smmuv3::TlbiRange range) const {
  if (!smmu_.range_invalidation) range.tg = range.num = range.scale = range.ttl = 0;
  return range;
}

InvalidationStep Smmuv3Unit::drop_streams(std::uint64_t first, std::uint64_t last, bool entries_too) {
  ContextCacheInvalidated done;
  done.granularity = last - first >= 0xffffffff ? Granularity::global : Granularity::device;
  if (done.granularity == Granularity::device) done.source = source_of(static_cast<smmuv3::StreamId>(first));
  done.dropped = contexts_.invalidate(first, last);
  if (entries_too) done.dropped += streams_.invalidate(first, last);
  return done;
}

InvalidationStep Smmuv3Unit::drop_asid(std::uint16_t vmid, std::uint16_t asid) {
  const CacheTag tag{DomainId{vmid}, Pasid{asid}};
  IotlbInvalidated done;
  done.granularity = Granularity::domain;
  done.domain = told(tag);
  done.bytes = whole_space;
  if (config_.faults.ignore_pasid_invalidation) return done;
  done.iotlb_dropped = iotlb_.invalidate_pasid(tag);
  if (!config_.faults.keep_walk_cache) done.walk_cache_dropped = walk_cache_.invalidate_pasid(tag);
  return done;
}

// Of VMID 0 every domain of stage 1 alone goes: told as everything.
InvalidationStep Smmuv3Unit::drop_vmid(std::uint16_t vmid, bool second_stage) {
  const DomainId domain{vmid};
  IotlbInvalidated done;
  done.granularity = vmid == 0 ? Granularity::global : Granularity::domain;
  done.domain = domain;
  done.bytes = whole_space;
  if (config_.faults.ignore_domain_invalidation) return done;
  done.iotlb_dropped = second_stage ? iotlb_.invalidate_domain(domain) : iotlb_.invalidate_pasids(domain);
  if (!config_.faults.keep_walk_cache) done.walk_cache_dropped = walk_cache_.invalidate_domain(domain);
  return done;
}

InvalidationStep Smmuv3Unit::drop_range(CacheTag tag, const smmuv3::TlbiRange& range) {
  IotlbInvalidated done;
  done.granularity = Granularity::pages;
  done.domain = told(tag);
  done.iova = Iova{range.address};
  done.bytes = std::min(range.bytes(), whole_space - range.address);
  done.invalidation_hint = range.leaf;
  const std::uint64_t bytes = config_.faults.ignore_psi_mask ? page_size : done.bytes;
  done.iotlb_dropped = iotlb_.invalidate_pasid_pages(tag, done.iova, bytes);
  if (!range.leaf && !config_.faults.keep_walk_cache) {
    done.walk_cache_dropped = walk_cache_.invalidate_pasid_pages(tag, done.iova, bytes);
  }
  return done;
}

// Of every ASID, and what stage 2 alone has under the VMID at these addresses with it: more than was asked.
InvalidationStep Smmuv3Unit::drop_address(std::uint16_t vmid, const smmuv3::TlbiRange& range) {
  const DomainId domain{vmid};
  IotlbInvalidated done;
  done.granularity = Granularity::pages;
  done.domain = domain;
  done.iova = Iova{range.address};
  done.bytes = std::min(range.bytes(), whole_space - range.address);
  done.invalidation_hint = range.leaf;
  const std::uint64_t bytes = config_.faults.ignore_psi_mask ? page_size : done.bytes;
  done.iotlb_dropped = iotlb_.invalidate_pages(domain, done.iova, bytes);
  if (!range.leaf && !config_.faults.keep_walk_cache) {
    done.walk_cache_dropped = walk_cache_.invalidate_pages(domain, done.iova, bytes);
  }
  return done;
}

InvalidationStep Smmuv3Unit::drop_everything() {
  IotlbInvalidated done;
  done.bytes = whole_space;
  done.iotlb_dropped = iotlb_.invalidate_global();
  if (!config_.faults.keep_walk_cache) done.walk_cache_dropped = walk_cache_.invalidate_global();
  return done;
}

}  // namespace gnomon::iommu
