// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/core/host_iommu_driver.hpp"

#include <bit>

#include "models/spec/vtd/registers.hpp"
#include "models/spec/vtd/translation_tables.hpp"

namespace gnomon::hypervisor {

namespace {
constexpr std::uint32_t queue_descriptors = 256;  // one page of 128-bit descriptors
}

HostIommuDriver::HostIommuDriver(PhysicalMemory& memory, PageAllocator& pages, LineMonitor& monitor,
                                 RegisterPort& registers, const HostIommuCosts& costs, unsigned max_address_mask,
                                 trace::Tracer& tracer)
    : memory_(memory),
      pages_(pages),
      monitor_(monitor),
      registers_(registers),
      costs_(costs),
      max_address_mask_(max_address_mask),
      tracer_(tracer) {}

void HostIommuDriver::enable() {
  root_table_ = pages_.allocate();
  queue_ = pages_.allocate();
  status_ = pages_.allocate();
  registers_.write(vtd::reg::rtaddr, root_table_.value, 8);
  registers_.write(vtd::reg::gcmd, vtd::gcmd::srtp, 4);
  registers_.write(vtd::reg::iqt, 0, 8);
  registers_.write(vtd::reg::iqa, queue_.value, 8);
  registers_.write(vtd::reg::gcmd, vtd::gcmd::qie, 4);
  registers_.write(vtd::reg::gcmd, vtd::gcmd::qie | vtd::gcmd::te, 4);
}

void HostIommuDriver::attach(SourceId device, DomainId domain, Hpa root, unsigned levels) {
  const unsigned bus = device.value >> 8;
  const unsigned device_function = device.value & 0xff;
  const Hpa root_slot = root_table_ + bus * sizeof(vtd::Bits128);
  auto root_entry = vtd::decode_root_entry(memory_.read<vtd::Bits128>(root_slot));
  if (!root_entry.p) {
    root_entry = {true, pages_.allocate()};
    memory_.write(root_slot, vtd::encode(root_entry));
  }
  vtd::ContextEntry context;
  context.p = true;
  context.ssptptr = root;
  context.aw = vtd::aw_of_levels(levels);
  context.did = domain;
  memory_.write(root_entry.ctp + device_function * sizeof(vtd::Bits128), vtd::encode(context));
}

void HostIommuDriver::push(const vtd::InvalidationDescriptor& descriptor) {
  memory_.write(queue_ + tail_ * sizeof(vtd::Bits128), vtd::encode(descriptor));
  tail_ = (tail_ + 1) % queue_descriptors;
}

void HostIommuDriver::invalidate(Processor& processor, DomainId domain, Iova first, Iova last, bool leaf_only) {
  vtd::IotlbInvalidate flush;
  flush.did = domain;
  flush.dr = true;
  flush.dw = true;
  const auto mask = static_cast<unsigned>(std::bit_width(first.page() ^ last.page()));
  if (mask <= max_address_mask_) {
    flush.g = vtd::Granularity::device_or_page;
    flush.am = static_cast<std::uint8_t>(mask);
    flush.addr = Iova{first.value & ~((std::uint64_t{1} << (page_shift + mask)) - 1)};
    flush.ih = leaf_only;
  } else {
    flush.g = vtd::Granularity::domain;
  }
  vtd::InvalidationWait done;
  done.sw = true;
  done.status_address = status_;
  done.status_data = ++sequence_;

  processor.spend(costs_.submit);
  processor.sync();
  push(flush);
  push(done);
  tracer_.emit(processor.now(), trace::InvalidationSubmitted{processor.id(), 2});
  registers_.write(vtd::reg::iqt, tail_ * sizeof(vtd::Bits128), 8);
  wait(processor, sequence_);
}

void HostIommuDriver::wait(Processor& processor, std::uint32_t expected) {
  const Time began = processor.now();
  // The queue is served in order: a later wait's number stands for ours too.
  while (static_cast<std::int32_t>(memory_.read<std::uint32_t>(status_) - expected) < 0) {
    monitor_.watch(status_, processor);
    processor.park();
  }
  if (costs_.poll_interval == Time{}) return;
  const Time waited = processor.now() - began;  // seen at the next look, not when it happened
  const Time rest = waited % costs_.poll_interval;
  if (rest != Time{}) processor.spend(costs_.poll_interval - rest);
}

}  // namespace gnomon::hypervisor
