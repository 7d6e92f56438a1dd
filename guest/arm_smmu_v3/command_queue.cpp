// SPDX-License-Identifier: Apache-2.0
#include "guest/arm_smmu_v3/command_queue.hpp"

#include <algorithm>
#include <cerrno>
#include <variant>

namespace gnomon::guest {

namespace {

constexpr std::uint32_t slots_per_word = 64;
constexpr std::uint32_t words_per_line = 8;
constexpr std::uint8_t inner_shareable = 3;  // ARM_SMMU_SH_ISH
constexpr std::uint8_t write_back = 0xf;     // ARM_SMMU_MEMATTR_OIWB

/// What a command is in the event stream: `bytes` are what it really covers.
SmmuRequest request_of(const smmuv3::Command& command, std::uint32_t domain) {
  SmmuRequest r;
  r.raw = smmuv3::encode(command);
  r.domain = domain;
  const smmuv3::TlbiRange* range = nullptr;
  if (const auto* va = std::get_if<smmuv3::TlbiNhVa>(&command)) range = &va->range;
  if (const auto* ipa = std::get_if<smmuv3::TlbiS2Ipa>(&command)) range = &ipa->range;
  if (range != nullptr) {
    r.type = trace::RequestType::invalidate;
    r.iova = range->address;
    r.bytes = range->bytes();
  } else if (std::holds_alternative<smmuv3::TlbiNhAsid>(command) ||
             std::holds_alternative<smmuv3::TlbiS12Vmall>(command) ||
             std::holds_alternative<smmuv3::TlbiNhAll>(command)) {
    r.type = trace::RequestType::invalidate;
    r.bytes = trace::whole_domain;
  } else if (std::holds_alternative<smmuv3::TlbiNsnhAll>(command)) {
    r.type = trace::RequestType::invalidate;
    r.bytes = trace::whole_domain;
    r.domain = trace::all_domains;
  }
  return r;
}

}  // namespace

SmmuCommandQueue::SmmuCommandQueue(const Parts& parts, const Options& options)
    : parts_(parts),
      options_(options),
      base_(parts.memory.allocate_ring(smmuv3::command_bytes << options.log2,
                                       std::max<std::uint64_t>(page_size, smmuv3::command_bytes << options.log2))),
      valid_((1u << options.log2) / slots_per_word),
      valid_lines_((valid_.size() + words_per_line - 1) / words_per_line) {}

void SmmuCommandQueue::add(Cpu& cpu, SmmuBatch& batch, const smmuv3::Command& command, std::uint32_t domain) {
  if (options_.force_sync && batch.count == SmmuBatch::most - 1) submit(cpu, batch);
  if (batch.count == SmmuBatch::most) {
    issue(cpu, {batch.requests.data(), batch.count}, false);
    batch.count = 0;
  }
  cpu.work(cpu.costs().smmu_command);
  batch.requests[batch.count++] = request_of(command, domain);
}

int SmmuCommandQueue::submit(Cpu& cpu, SmmuBatch& batch) {
  const unsigned count = batch.count;
  batch.count = 0;
  return issue(cpu, {batch.requests.data(), count}, true);
}

int SmmuCommandQueue::run(Cpu& cpu, const smmuv3::Command& command, std::uint32_t domain) {
  cpu.work(cpu.costs().smmu_command);
  const SmmuRequest request = request_of(command, domain);
  return issue(cpu, {&request, 1}, true);
}

int SmmuCommandQueue::issue(Cpu& cpu, std::span<const SmmuRequest> requests, bool sync) {
  const auto commands = static_cast<std::uint32_t>(requests.size());
  const std::uint32_t count = commands + (sync ? 1 : 0);
  cpu.interrupts_off();
  const Pointers mine = allocate(cpu, count);
  const std::uint32_t sync_prod = advance(mine.prod, commands);
  write_entries(cpu, mine.prod, requests, sync);
  if (sync) lock_shared(cpu);  // before the slots are valid: the queue cannot wrap twice unseen
  set_valid(cpu, mine.prod, advance(mine.prod, count));
  if (!mine.owned) publish(cpu, mine.prod);
  int error = 0;
  if (sync) {
    std::uint32_t cons = advance(sync_prod, 1);
    if (!options_.skip_sync) {
      error = options_.msi_polling ? wait_for_message(cpu, sync_prod) : wait_for_cons(cpu, sync_prod, cons);
      unlock_shared(cpu, cons);
    } else {
      unlock_shared(cpu, shared_.cons);
    }
  }
  cpu.interrupts_on();
  return error;
}

// Returns what was exchanged: the slots begin at its prod; where it was owned, somebody else will publish them.
SmmuCommandQueue::Pointers SmmuCommandQueue::allocate(Cpu& cpu, std::uint32_t count) {
  head_line_.look(cpu);
  Pointers seen = shared_;
  for (;;) {
    while (!has_space(seen, count)) {
      ++counts_.full_waits;
      cpu.interrupts_on();
      seen = until_not_full(cpu);
      cpu.interrupts_off();
    }
    head_line_.own(cpu);
    if (shared_ == seen) break;
    // A failed exchange has fetched the line all the same: the next follows before it leaves again.
    ++counts_.failed_exchanges;
    cpu.processor().spend(cpu.costs().smmu_atomic);
    seen = shared_;
    if (has_space(seen, count)) break;
  }
  shared_.prod = advance(seen.prod, count);
  shared_.owned = true;
  counts_.commands += count;
  return seen;
}

bool SmmuCommandQueue::has_space(const Pointers& p, std::uint32_t count) const {
  return (1u << options_.log2) - smmuv3::queue::used(p.prod, p.cons, options_.log2) >= count;
}

// Whoever finds nobody waiting for a CMD_SYNC reads CONS for all; the others wait until somebody has.
SmmuCommandQueue::Pointers SmmuCommandQueue::until_not_full(Cpu& cpu) {
  owner_line_.own(cpu);
  if (readers_ == 0 && !exclusive_) {
    InterruptsOff off(cpu);
    exclusive_ = true;
    const std::uint32_t cons = read_cons(cpu) & pointer_mask();
    head_line_.own(cpu);
    shared_.cons = cons;
    owner_line_.own(cpu);
    exclusive_ = false;
    readers_ += static_cast<std::uint32_t>(lock_waiters_.size());
    for (Processor* waiter : lock_waiters_) waiter->unpark(cpu.now() + cpu.costs().smmu_line_transfer);
    lock_waiters_.clear();
    return shared_;
  }
  Poll state{0, Time::us(1), cpu.now() + timeout};
  for (;;) {
    head_line_.look(cpu);
    if (has_space(shared_, 1)) return shared_;
    if (!poll(cpu, state)) {
      ++counts_.timeouts;
      return shared_;
    }
  }
}

// queue_poll: ten turns of cpu_relax, then delays that double from 1 us on, ten turns between each. WFE is not
// modelled: what it would wake from is watched.
bool SmmuCommandQueue::poll(Cpu& cpu, Poll& state) const {
  if (cpu.now() > state.gives_up) return false;
  if (++state.spins < spins_before_delay) {
    cpu.work(cpu.costs().smmu_relax);
  } else {
    cpu.processor().spend(state.delay);
    state.delay = state.delay * 2;
    state.spins = 0;
  }
  return true;
}

Gpa SmmuCommandQueue::slot(std::uint32_t pointer) const {
  return base_ + smmuv3::queue::index(pointer, options_.log2) * smmuv3::command_bytes;
}

smmuv3::CmdSync SmmuCommandQueue::sync_command(std::uint32_t prod) const {
  smmuv3::CmdSync c;
  c.cs = options_.msi_polling ? smmuv3::SyncSignal::irq : options_.signal;
  c.msh = inner_shareable;
  c.msi_attr = write_back;
  if (options_.msi_polling) c.msi_address = slot(prod).value;  // the message clears the command's first word
  return c;
}

void SmmuCommandQueue::write_entries(Cpu& cpu, std::uint32_t prod, std::span<const SmmuRequest> requests,
                                     bool sync) {
  for (const SmmuRequest& r : requests) {
    parts_.memory.ram().write(slot(prod), r.raw);
    prod = advance(prod, 1);
    cpu.emit(trace::GuestRequest{r.iova, r.bytes, 0, r.domain, cpu.id(), r.type, 0});
  }
  if (!sync) return;
  cpu.work(cpu.costs().smmu_command);
  cpu.processor().sync();
  parts_.memory.ram().write(slot(prod), smmuv3::encode(sync_command(prod)));
  cpu.emit(trace::GuestRequest{0, 0, 0, trace::all_domains, cpu.id(), trace::RequestType::wait, 0});
}

// Whoever spins on the lock's line when it is released has the lock before somebody who asks afresh.
void SmmuCommandQueue::lock_shared(Cpu& cpu) {
  owner_line_.own(cpu);
  if (!exclusive_) {
    ++readers_;
    return;
  }
  Processor* const self = &cpu.processor();
  lock_waiters_.push_back(self);
  while (std::find(lock_waiters_.begin(), lock_waiters_.end(), self) != lock_waiters_.end()) self->park();
}

// The last to leave knows that all before `cons` is done and tells the others.
void SmmuCommandQueue::unlock_shared(Cpu& cpu, std::uint32_t cons) {
  owner_line_.look(cpu);
  if (readers_ == 1) {
    head_line_.own(cpu);
    shared_.cons = cons;
  }
  owner_line_.own(cpu);
  --readers_;
}

void SmmuCommandQueue::set_valid(Cpu& cpu, std::uint32_t first, std::uint32_t end) {
  while (first != end) {
    const std::uint32_t index = smmuv3::queue::index(first, options_.log2);
    const std::uint32_t left = smmuv3::queue::used(end, first, options_.log2);
    const std::uint32_t here = std::min(left, slots_per_word - index % slots_per_word);
    const std::uint64_t ones = here == slots_per_word ? ~std::uint64_t{0} : (std::uint64_t{1} << here) - 1;
    const std::uint32_t word = index / slots_per_word;
    valid_lines_[word / words_per_line].own(cpu);
    valid_[word] ^= ones << index % slots_per_word;
    first = advance(first, here);
  }
  if (slot_waiter_ == nullptr) return;
  slot_waiter_->unpark(cpu.now() + cpu.costs().smmu_line_transfer);
  slot_waiter_ = nullptr;
}

// A valid bit is the inverse of the wrap bit: what was valid the last time round is invalid this time.
bool SmmuCommandQueue::all_valid(std::uint32_t first, std::uint32_t end) const {
  for (; first != end; first = advance(first, 1)) {
    const std::uint32_t index = smmuv3::queue::index(first, options_.log2);
    const bool set = ((valid_[index / slots_per_word] >> index % slots_per_word) & 1) != 0;
    const bool wrapped = (first >> options_.log2 & 1) != 0;
    if (set == wrapped) return false;
  }
  return true;
}

void SmmuCommandQueue::publish(Cpu& cpu, std::uint32_t first) {
  Processor& processor = cpu.processor();
  owner_line_.look(cpu);
  if (owner_prod_ != first) {
    ++counts_.owner_waits;
    owner_waiters_.push_back({first, &processor});
    while (owner_prod_ != first) processor.park();
  }
  head_line_.own(cpu);  // the window closes: who comes now is an owner
  const std::uint32_t prod = shared_.prod;
  shared_.owned = false;
  while (!all_valid(first, prod)) {
    ++counts_.slot_waits;
    slot_waiter_ = &processor;
    processor.park();
  }
  cpu.work(cpu.costs().smmu_prod_write);
  processor.sync();
  ++counts_.prod_writes;
  cpu.emit(trace::GuestKick{smmuv3::queue::used(prod, first, options_.log2), cpu.id(), 0});
  processor.write_mmio(parts_.prod, prod, 4);
  owner_line_.own(cpu);
  owner_prod_ = prod;
  const auto next = std::find_if(owner_waiters_.begin(), owner_waiters_.end(),
                                 [&](const OwnerWait& w) { return w.prod == prod; });
  if (next == owner_waiters_.end()) return;
  Processor* const waiter = next->processor;
  owner_waiters_.erase(next);
  waiter->unpark(cpu.now() + cpu.costs().smmu_line_transfer);
}

int SmmuCommandQueue::wait_for_message(Cpu& cpu, std::uint32_t prod) {
  Processor& processor = cpu.processor();
  const Hpa word = parts_.memory.ram().to_hpa(slot(prod));
  const auto done = [&] { return parts_.memory.ram().read<std::uint32_t>(slot(prod)) == 0; };
  processor.sync();
  while (!done()) {
    parts_.monitor.watch(word, processor);
    processor.park();
  }
  processor.spend(cpu.costs().smmu_line_transfer);  // the unit's write takes the line away
  processor.sync();
  return 0;
}

int SmmuCommandQueue::wait_for_cons(Cpu& cpu, std::uint32_t prod, std::uint32_t& cons) {
  Poll state{0, Time::us(1), cpu.now() + timeout};
  head_line_.look(cpu);
  cons = shared_.cons;
  // Consumed when CONS has passed the CMD_SYNC; it is less than one queue's length behind.
  const auto consumed = [&] { return ((cons - prod - 1) & pointer_mask()) < (1u << options_.log2); };
  while (!consumed()) {
    if (!poll(cpu, state)) {
      ++counts_.timeouts;
      return ETIMEDOUT;
    }
    cons = read_cons(cpu) & pointer_mask();
  }
  return 0;
}

std::uint32_t SmmuCommandQueue::read_cons(Cpu& cpu) const {
  cpu.work(cpu.costs().smmu_cons_read);
  cpu.processor().sync();
  return static_cast<std::uint32_t>(cpu.processor().read_mmio(parts_.cons, 4));
}

smmuv3::CommandError SmmuCommandQueue::skip_error(Cpu& cpu) {
  const std::uint32_t cons = read_cons(cpu);
  const smmuv3::CommandError error = smmuv3::cons_error_of(cons);
  if (error == smmuv3::CommandError::illegal) {
    smmuv3::CmdSync harmless = sync_command(cons);
    harmless.cs = smmuv3::SyncSignal::sev;
    harmless.msi_address = 0;
    parts_.memory.ram().write(slot(cons), smmuv3::encode(harmless));
  }
  return error;
}

}  // namespace gnomon::guest
