// SPDX-License-Identifier: Apache-2.0
#include "guest/amd_iommu/command_queue.hpp"

#include <cerrno>
#include <optional>
#include <variant>

#include "models/spec/amdvi/registers.hpp"

namespace gnomon::guest {

namespace {

constexpr Time poll_interval = Time::us(1);  // udelay(1)
constexpr std::uint32_t reserve = 0x20;      // bytes never filled

/// What a command is in the event stream: `bytes` are what it really covers.
trace::GuestRequest note_of(const amdvi::Command& command, std::uint32_t domain, std::uint32_t cpu) {
  trace::GuestRequest note{0, 0, 0, domain, cpu, trace::RequestType::configure, 0};
  if (const auto* pages = std::get_if<amdvi::InvalidateIommuPages>(&command)) {
    const amdvi::CoveredRange covered = amdvi::decode_range(pages->range);
    note.type = trace::RequestType::invalidate;
    note.iova = covered.base.value;
    note.bytes = covered.everything() ? trace::whole_domain : covered.bytes;
  } else if (std::holds_alternative<amdvi::InvalidateIommuAll>(command)) {
    note.type = trace::RequestType::invalidate;
    note.domain = trace::all_domains;
    note.bytes = trace::whole_domain;
  } else if (std::holds_alternative<amdvi::CompletionWait>(command)) {
    note.type = trace::RequestType::wait;
  }
  return note;
}

}  // namespace

AmdCommandQueue::AmdCommandQueue(const Parts& parts, AmdCompletion completion)
    : memory_(parts.memory),
      monitor_(parts.monitor),
      lock_(parts.lock),
      registers_(parts.registers),
      completion_(completion),
      base_(parts.memory.allocate_ring(bytes)),
      semaphore_(parts.memory.allocate()) {}

int AmdCommandQueue::submit(Cpu& cpu, const amdvi::Command& command, std::uint32_t domain) {
  InterruptsOff off(cpu);
  LockGuard guard(lock_, cpu.processor());
  return enqueue(cpu, command, domain, true);
}

int AmdCommandQueue::enqueue(Cpu& cpu, const amdvi::Command& command, std::uint32_t domain, bool needs_sync) {
  const std::uint32_t next = (tail_ + amdvi::command_bytes) % bytes;
  for (unsigned reads = 0; (head_ - next) % bytes <= reserve; ++reads) {
    if (reads == most_polls) return EIO;
    if (reads != 0) cpu.processor().spend(poll_interval);  // not before the first look
    head_ = static_cast<std::uint32_t>(cpu.processor().read_mmio(registers_ + amdvi::reg::command_head, 4));
  }
  cpu.work(cpu.costs().amd_command);
  cpu.processor().sync();
  memory_.ram().write(base_ + tail_, amdvi::encode(command));
  tail_ = next;
  cpu.emit(note_of(command, domain, cpu.id()));
  cpu.emit(trace::GuestKick{1, cpu.id(), 0});
  cpu.processor().write_mmio(registers_ + amdvi::reg::command_tail, tail_, 4);
  need_sync_ = needs_sync;
  return 0;
}

int AmdCommandQueue::wait(Cpu& cpu) {
  cpu.processor().sync();
  const bool at_once = completion_ != AmdCompletion::last_sequence;
  if (at_once && !need_sync_) return 0;  // looked at without the lock, as Linux does

  InterruptsOff off(cpu);
  std::optional<LockGuard> guard(std::in_place, lock_, cpu.processor());
  if (need_sync_ || at_once) {
    const amdvi::CompletionWait command{true, false, false, Hpa{semaphore_.value}, ++sequence_};
    if (const int error = enqueue(cpu, command, trace::all_domains, false); error != 0) return error;
  }
  const std::uint64_t number = sequence_;
  if (completion_ != AmdCompletion::under_lock) guard.reset();
  poll(cpu, number);
  return 0;
}

bool AmdCommandQueue::reached(std::uint64_t number) const {
  return static_cast<std::int64_t>(memory_.ram().read<std::uint64_t>(semaphore_) - number) >= 0;
}

void AmdCommandQueue::poll(Cpu& cpu, std::uint64_t number) {
  Processor& processor = cpu.processor();
  cpu.work(cpu.costs().amd_poll);
  processor.sync();
  if (reached(number)) return;
  const Time began = processor.now();
  do {
    monitor_.watch(memory_.ram().to_hpa(semaphore_), processor);
    processor.park();
  } while (!reached(number));
  const Time rest = (processor.now() - began) % poll_interval;  // seen at the next look, not when it happened
  if (rest != Time{}) processor.spend(poll_interval - rest);
}

}  // namespace gnomon::guest
