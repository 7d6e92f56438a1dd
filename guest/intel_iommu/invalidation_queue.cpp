// SPDX-License-Identifier: Apache-2.0
#include "guest/intel_iommu/invalidation_queue.hpp"

#include <cerrno>
#include <optional>
#include <stdexcept>
#include <utility>
#include <variant>
#include <vector>

#include "models/spec/vtd/registers.hpp"

namespace gnomon::guest {

namespace {

/// What a descriptor is in the event stream: `bytes` are what it really covers.
trace::GuestRequest note_of(const vtd::InvalidationDescriptor& descriptor, std::uint32_t domain,
                            std::uint32_t cpu) {
  trace::GuestRequest note{0, 0, 0, domain, cpu, trace::RequestType::configure, 0};
  const auto covers = [&](Iova addr, std::uint8_t am) {
    const vtd::PageBlock block = vtd::page_block(addr, am);
    note.iova = block.base.value;
    note.bytes = block.bytes;
  };
  if (const auto* iotlb = std::get_if<vtd::IotlbInvalidate>(&descriptor)) {
    note.type = trace::RequestType::invalidate;
    note.bytes = trace::whole_domain;
    if (iotlb->g == vtd::Granularity::global) note.domain = trace::all_domains;
    if (iotlb->g == vtd::Granularity::device_or_page) {
      covers(iotlb->addr, iotlb->am);
      note.flags = iotlb->ih ? trace::request_leaf_only : 0;
    }
  } else if (const auto* piotlb = std::get_if<vtd::PasidIotlbInvalidate>(&descriptor)) {
    note.type = trace::RequestType::invalidate;
    note.bytes = trace::whole_domain;
    if (piotlb->g == vtd::PasidGranularity::pages) {
      covers(piotlb->addr, piotlb->am);
      note.flags = piotlb->ih ? trace::request_leaf_only : 0;
    }
  } else if (std::holds_alternative<vtd::InvalidationWait>(descriptor)) {
    note.type = trace::RequestType::wait;
    note.domain = trace::all_domains;
  }
  return note;
}

}  // namespace

struct IntelInvalidationQueue::Held {
  Held(Lock& lock, Processor& processor)
      : lock_(lock), processor_(processor), guard_(std::in_place, lock, processor) {}
  void drop() { guard_.reset(); }
  void take() { guard_.emplace(lock_, processor_); }

 private:
  Lock& lock_;
  Processor& processor_;
  std::optional<LockGuard> guard_;
};

IntelInvalidationQueue::IntelInvalidationQueue(const Parts& parts, bool wide)
    : memory_(parts.memory),
      monitor_(parts.monitor),
      lock_(parts.lock),
      registers_(parts.registers),
      registers_trap_(parts.registers_trap),
      shift_(wide ? 5 : 4),
      base_(parts.memory.allocate_ring(slots * descriptor_bytes(), slots * descriptor_bytes())),
      status_(parts.memory.allocate()) {}

std::uint64_t IntelInvalidationQueue::iqa() const {
  return base_.value | (shift_ == 5 ? vtd::iqa_dw | 1 : 0);  // QS: 2^QS pages
}

void IntelInvalidationQueue::write(unsigned index, const vtd::InvalidationDescriptor& descriptor) {
  if (shift_ == 5) {
    memory_.ram().write(slot(index), vtd::encode_wide(descriptor));
  } else {
    memory_.ram().write(slot(index), vtd::encode(descriptor));
  }
}

int IntelInvalidationQueue::submit(Cpu& cpu, std::span<const vtd::InvalidationDescriptor> descriptors,
                                   std::uint32_t domain) {
  if (descriptors.size() + 2 > slots) throw std::invalid_argument("more descriptors than the queue has slots");
  InterruptsOff off(cpu);
  for (;;) {
    Held held(lock_, cpu.processor());
    const int error = submit_once(cpu, held, descriptors, domain);
    if (error != EAGAIN) return error;
  }
}

// Room for the descriptors and the wait, and one slot between head and tail.
void IntelInvalidationQueue::wait_for_slots(Cpu& cpu, Held& held, unsigned wanted) {
  while (free_ < wanted + 2) {
    held.drop();
    cpu.work(cpu.costs().intel_relax);
    held.take();
  }
}

int IntelInvalidationQueue::submit_once(Cpu& cpu, Held& held,
                                        std::span<const vtd::InvalidationDescriptor> descriptors,
                                        std::uint32_t domain) {
  const auto count = static_cast<unsigned>(descriptors.size());
  wait_for_slots(cpu, held, count);
  const unsigned first = head_;
  const unsigned wait_slot = (first + count) % slots;
  cpu.work(cpu.costs().intel_submit + cpu.costs().intel_descriptor * count);
  cpu.processor().sync();
  vtd::InvalidationWait wait;
  wait.sw = true;
  wait.status_data = done;
  wait.status_address = Hpa{status_word(wait_slot).value};
  for (unsigned i = 0; i <= count; ++i) {
    const vtd::InvalidationDescriptor& next = i < count ? descriptors[i] : vtd::InvalidationDescriptor{wait};
    write((first + i) % slots, next);
    set_status((first + i) % slots, in_use);
    waits_[(first + i) % slots] = i == count;
    cpu.emit(note_of(next, domain, cpu.id()));
  }
  head_ = (wait_slot + 1) % slots;
  free_ -= count + 1;
  cpu.emit(trace::GuestKick{count + 1, cpu.id(), 0});
  cpu.processor().write_mmio(registers_ + vtd::reg::iqt, head_ << shift_, 4);

  const int error = poll(cpu, held, first, wait_slot);
  for (unsigned i = 0; i < count; ++i) set_status((first + i) % slots, done);
  reclaim();
  return error;
}

// Frees from the oldest slot on: a submission that is done waits for those before it.
void IntelInvalidationQueue::reclaim() {
  while (free_ < slots && (status(tail_) == done || status(tail_) == aborted)) {
    set_status(tail_, free);
    tail_ = (tail_ + 1) % slots;
    ++free_;
  }
}

int IntelInvalidationQueue::poll(Cpu& cpu, Held& held, unsigned first, unsigned wait_slot) {
  Processor& processor = cpu.processor();
  cpu.work(cpu.costs().intel_poll);
  processor.sync();
  const Time began = processor.now();
  Time period;
  while (status(wait_slot) != done) {
    if (const int error = check_faults(cpu, first, wait_slot); error != 0) return error;
    held.drop();
    cpu.work(cpu.costs().intel_relax + cpu.costs().intel_poll);
    if (period == Time{}) period = processor.now() - began;
    processor.sync();
    if (!registers_trap_ && status(wait_slot) == in_use) {
      monitor_.watch(memory_.ram().to_hpa(status_word(wait_slot)), processor);
      processor.park();
      const Time rest = (processor.now() - began) % period;  // seen at the next look, not when it happened
      if (rest != Time{}) processor.spend(period - rest);
    }
    held.take();
  }
  return 0;
}

// qi_check_fault: reads FSTS once.
int IntelInvalidationQueue::check_faults(Cpu& cpu, unsigned first, unsigned wait_slot) {
  if (status(wait_slot) == aborted) return EAGAIN;
  Processor& processor = cpu.processor();
  const auto read = [&](std::uint32_t offset) {
    return static_cast<std::uint32_t>(processor.read_mmio(registers_ + offset, 4));
  };
  const std::uint32_t faults = read(vtd::reg::fsts);
  if ((faults & vtd::fsts::iqe) != 0) {
    const unsigned refused = (read(vtd::reg::iqh) >> shift_) % slots;
    // Linux looks for the first of the batch alone, and would wait for ever where it is another.
    if ((refused - first) % slots < (wait_slot - first) % slots) {
      replace_refused(cpu, refused, wait_slot);
      return EINVAL;
    }
  }
  if ((faults & vtd::fsts::ite) != 0) {
    abort_waits(cpu);
    if (status(wait_slot) == aborted) return EAGAIN;
  }
  if ((faults & vtd::fsts::ice) != 0) processor.write_mmio(registers_ + vtd::reg::fsts, vtd::fsts::ice, 4);
  return 0;
}

// The unit goes on at its head as soon as the error is cleared.
void IntelInvalidationQueue::replace_refused(Cpu& cpu, unsigned refused, unsigned wait_slot) {
  std::vector<std::byte> wait(descriptor_bytes());
  memory_.ram().read_bytes(slot(wait_slot), wait.data(), wait.size());
  memory_.ram().write_bytes(slot(refused), wait.data(), wait.size());
  cpu.processor().write_mmio(registers_ + vtd::reg::fsts, vtd::fsts::iqe, 4);
}

// A time-out drops every wait that the unit has fetched but not answered: their submitters start again.
void IntelInvalidationQueue::abort_waits(Cpu& cpu) {
  Processor& processor = cpu.processor();
  const auto fetched = static_cast<unsigned>(processor.read_mmio(registers_ + vtd::reg::iqh, 4)) >> shift_;
  for (unsigned index = tail_; index != fetched && index != head_; index = (index + 1) % slots) {
    if (!waits_[index] || status(index) != in_use) continue;
    set_status(index, aborted);
    monitor_.written(memory_.ram().to_hpa(status_word(index)), processor.now());
  }
  processor.write_mmio(registers_ + vtd::reg::fsts, vtd::fsts::ite, 4);
}

}  // namespace gnomon::guest
