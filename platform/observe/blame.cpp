// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/blame.hpp"

#include <algorithm>
#include <utility>

namespace gnomon::observe {

namespace {

constexpr std::array cause_names = {"guest_cpu",  "run_queue",         "lock_wait", "exit",
                                    "hypervisor", "host_invalidation", "iotlb",     "pcie",
                                    "media",      "interrupt",         "queueing"};
constexpr std::array<Cause, works> own_cause = {Cause::guest_cpu,  Cause::lock_wait,         Cause::exit,
                                                Cause::hypervisor, Cause::host_invalidation, Cause::run_queue,
                                                Cause::run_queue};
constexpr std::array work_names = {"guest_cpu",         "lock_wait", "exit", "hypervisor",
                                   "host_invalidation", "interrupt", "idle"};
static_assert(cause_names.size() == causes && work_names.size() == works);

__extension__ using Wide = unsigned __int128;

constexpr std::uint64_t most_sane = std::uint64_t{1} << 61;  // ps, 26 days: eight of them are no overflow

constexpr std::size_t first_index = 1024;  // I/Os are numbered in sequence: so many in flight never collide
constexpr std::size_t most_waiting = 256;  // invalidation waits at once; a queue holds fewer

/// Reads `did` as the time `length` went into. Times of events that contradict each other are cut to fit, and what
/// is missing is `rest`'s. True if there was nothing to do.
bool fit(WorkTimes& did, std::uint64_t length, Work rest) {
  std::uint64_t any = length;
  for (const std::uint64_t time : did) any |= time;
  if (any < most_sane && sum_of(did) == length) return true;  // none is beyond it, as no sum can wrap
  std::uint64_t left = length;
  for (std::uint64_t& time : did) {
    time = std::min(time, left);
    left -= time;
  }
  did[static_cast<std::size_t>(rest)] += left;
  return false;
}

}  // namespace

const char* cause_name(Cause cause) {
  return cause_names[static_cast<std::size_t>(cause)];
}

Blame::Blame(std::optional<std::uint32_t> big_lock)
    : big_lock_(big_lock), index_(first_index, none), invalidating_(most_waiting) {}

// ---- processors
// ------------------------------------------------------------------------------------------------------

Blame::Mark& Blame::mark_of(std::uint32_t id) {
  Io& io = ios_[id / 2];
  return id % 2 == 0 ? io.posting : io.completion;
}

void Blame::set_mark(std::uint32_t id, std::uint32_t on, std::uint64_t now) {
  Mark& mark = mark_of(id);
  if (mark.open) forget_mark(mark, id);
  Cpu& c = cpu(on);
  mark = {c.account.sums().both, now, on, none, c.account.settled() < now};
  if (!mark.open) return;
  mark.next = c.first_mark;
  c.first_mark = id;
}

void Blame::forget_mark(Mark& mark, std::uint32_t id) {
  std::uint32_t* link = &cpu(mark.cpu).first_mark;
  while (*link != id) link = &mark_of(*link).next;
  *link = mark.next;
  mark.open = false;
}

/// Marks at instants that are settled now get their share of what the stretch was made of.
void Blame::settle_marks(Cpu& c, const WorkTimes& did, std::uint64_t length) {
  std::uint32_t* link = &c.first_mark;
  while (*link != none) {
    Mark& mark = mark_of(*link);
    mark.base = c.account.sums().both;
    if (mark.at > c.account.settled()) {
      link = &mark.next;
      continue;
    }
    // What of the stretch came after the mark, each work in proportion, the largest taking the rounding.
    std::uint64_t after = c.account.settled() - mark.at;
    std::size_t largest = 0;
    const std::uint64_t all_after = after;
    for (std::size_t w = 0; w < works; ++w) {
      if (did[w] == 0) continue;
      if (did[w] > did[largest]) largest = w;
      const std::uint64_t share =
          did[w] == length ? all_after : static_cast<std::uint64_t>(static_cast<Wide>(did[w]) * all_after / length);
      mark.base[w] -= share;
      after -= share;
    }
    mark.base[largest] -= after;
    mark.open = false;
    *link = mark.next;
  }
}

void Blame::settle(Cpu& c, std::uint64_t now, Work outer) {
  const std::uint64_t from = c.account.settled();
  if (now <= from) return;
  if (c.first_mark == none) return c.account.settle(now, outer);
  const WorkTimes before = c.account.sums().both;
  c.account.settle(now, outer);
  settle_marks(c, c.account.sums().both - before, now - from);
}

void Blame::milestone(Cpu& c, std::uint64_t now) {
  c.milestone = c.account.sums().both;
  c.milestone_at = now;
}

void Blame::on(Time at, const trace::VmExit& e) {
  const std::uint64_t now = at.ps();
  Cpu& c = cpu(e.cpu);
  settle(c, std::min(e.began_ps, now), Work::guest);
  auto outer = Work::exit;
  if (e.reason == trace::ExitReason::hlt) outer = Work::idle;
  if (e.reason == trace::ExitReason::external_interrupt) outer = Work::interrupt;
  settle(c, now, outer);
}

void Blame::on(Time at, const trace::CpuSpan& e) {
  const std::uint64_t now = at.ps();
  Cpu& c = cpu(e.cpu);
  settle(c, now, e.activity == trace::Activity::idle ? Work::idle : Work::guest);
  if (e.activity == trace::Activity::softirq) c.account.thread_was_softirq();
  if (e.activity == trace::Activity::idle) c.submitting = 0;
  if (e.activity != trace::Activity::task) milestone(c, now);
  c.account.in_interrupt = false;
  c.account.note_thread();
}

void Blame::on(Time at, const trace::InterruptTaken& e) {
  const std::uint64_t now = at.ps();
  Cpu& c = cpu(e.cpu);
  settle(c, now, Work::guest);
  c.account.in_interrupt = true;
  milestone(c, now);
}

void Blame::on(Time at, const trace::LockAcquired& e) {
  const std::uint64_t now = at.ps();
  if (e.waited_ps == 0) return;
  cpu(e.cpu).account.waited(now - std::min(now, e.waited_ps), now);
  if (e.cpu == thread_) thread_lock_ += e.waited_ps;
}

void Blame::on(Time at, const trace::LockReleased& e) {
  if (big_lock_ && e.lock != *big_lock_) return;
  const std::uint64_t now = at.ps();
  cpu(e.cpu).account.held(now - std::min(now, e.held_ps), now);
}

void Blame::on(Time, const trace::IoThreadWoken& e) {
  thread_ = e.thread;
}

void Blame::on(Time at, const trace::InvalidationSubmitted& e) {
  const std::uint64_t now = at.ps();
  if (invalidating_count_ == most_waiting) return;
  invalidating_[(invalidating_first_ + invalidating_count_++) % most_waiting] = {e.cpu, now};
}

/// The queue is served in order: the wait that is done is the first's.
void Blame::on(Time at, const trace::InvalidationWaitDone&) {
  const std::uint64_t now = at.ps();
  if (invalidating_count_ == 0) return;
  const auto [who, began] = invalidating_[invalidating_first_];
  invalidating_first_ = (invalidating_first_ + 1) % most_waiting;
  --invalidating_count_;
  cpu(who).account.invalidated(began, now);
  if (who == thread_) thread_invalidation_ += now - began;
}

void Blame::on(Time, const trace::GuestKick& e) {
  if (thread_ == none) return;
  Cpu& c = cpu(e.cpu);
  c.kicked_lock = thread_lock_;
  c.kicked_invalidation = thread_invalidation_;
}

/// With a thread of the hypervisor serving the ring, the guest's CPU spins until it has.
void Blame::on(Time at, const trace::SyncDone& e) {
  const std::uint64_t now = at.ps();
  if (thread_ == none) return;
  Cpu& c = cpu(e.cpu);
  settle(c, std::min(e.began_ps, now), Work::guest);
  c.account.polled(c.account.settled(), now, thread_lock_ - c.kicked_lock,
                   thread_invalidation_ - c.kicked_invalidation);
  settle(c, now, Work::hypervisor);
}

// ---- I/Os
// ------------------------------------------------------------------------------------------------------------

Blame::Io* Blame::find(std::uint64_t number) {
  const std::uint32_t slot = index_[number % index_.size()];
  return slot != none && ios_[slot].number == number ? &ios_[slot] : nullptr;
}

void Blame::grow_index() {
  const std::size_t size = index_.size() * 2;
  index_.assign(size, none);
  for (std::uint32_t slot = 0; slot < ios_.size(); ++slot) {
    if (ios_[slot].number != 0) index_[ios_[slot].number % size] = slot;
  }
}

Blame::Io& Blame::make(std::uint64_t number) {
  if (Io* known = find(number)) drop(*known);
  // Numbers that share a place are a whole table apart: rare, unless one I/O hangs.
  while (index_[number % index_.size()] != none) grow_index();
  if (free_ == none) {
    free_ = static_cast<std::uint32_t>(ios_.size());
    ios_.emplace_back();
  }
  const std::uint32_t slot = free_;
  free_ = ios_[slot].next_free;
  Io& io = ios_[slot];
  io.number = number;
  io.queued = io.translation = io.media = 0;
  io.stage = Stage::submitted;
  io.posting.open = io.completion.open = false;
  io.posting.cpu = io.completion.cpu = none;
  io.parts = {};
  index_[number % index_.size()] = slot;
  return ios_[slot];
}

void Blame::drop(Io& io) {
  const std::uint32_t slot = slot_of(io);
  if (io.posting.open) forget_mark(io.posting, slot * 2);
  if (io.completion.open) forget_mark(io.completion, slot * 2 + 1);
  index_[io.number % index_.size()] = none;
  io.number = 0;
  io.next_free = free_;
  free_ = slot;
}

Blame::Command& Blame::command(const CommandId& id) {
  if (id.device >= commands_.size()) commands_.resize(std::size_t{id.device} + 1);
  auto& queues = commands_[id.device];
  if (id.queue >= queues.size()) queues.resize(std::size_t{id.queue} + 1);
  auto& commands = queues[id.queue];
  if (id.command >= commands.size()) commands.resize(std::size_t{id.command} + 1);
  return commands[id.command];
}

/// The I/O is about to have another command's parts: those it has are its command's, if that one is still out. No
/// command is once the I/O has completed.
void Blame::set_parts_apart(const Io& io) {
  Command& owner = command(io.command);
  if (owner.io != io.number || owner.apart) return;
  if (io.stage == Stage::completed) owner.io = 0;
  owner.apart = true;
  if (!owner.parts) owner.parts = std::make_unique<Parts>();
  *owner.parts = io.parts;
}

void Blame::charge_own(Io& io, const WorkTimes& did, std::uint64_t length) {
  WorkTimes times = did;
  if (!fit(times, length, Work::guest)) ++misfits_;
  for (std::size_t w = 0; w < works; ++w) {
    io.parts.causes[static_cast<std::size_t>(own_cause[w])] += times[w];
    if (own_cause[w] == Cause::run_queue) io.parts.run_queue[w] += times[w];  // taken from it by an interrupt
  }
}

/// The CPU was doing this; what it did for the I/O's own interrupt, or slept until it came, is the interrupt's.
void Blame::charge_wait(Io& io, const WorkTimes& did, std::uint64_t length, bool for_interrupt) {
  WorkTimes times = did;
  if (!fit(times, length, Work::guest)) ++misfits_;
  if (for_interrupt) {
    for (const Work work : {Work::idle, Work::interrupt}) {
      const std::uint64_t own = std::exchange(times[static_cast<std::size_t>(work)], 0);
      io.parts.causes[static_cast<std::size_t>(Cause::interrupt)] += own;
      length -= own;
    }
  }
  io.parts.causes[static_cast<std::size_t>(Cause::run_queue)] += length;
  io.parts.run_queue += times;
}

void Blame::on(Time at, const trace::IoSubmitted& e) {
  const std::uint64_t now = at.ps();
  Cpu& c = cpu(e.cpu);
  settle(c, now, Work::guest);
  c.submitting = e.io;
  Io& io = make(e.io);
  io.cpu = e.cpu;
  io.submitted = io.dispatched = io.posted = now;
  io.submission_thread = c.account.sums().thread;
  io.submission_interrupt = c.account.sums().interrupt;
}

void Blame::on(Time at, const trace::IoDispatched& e) {
  const std::uint64_t now = at.ps();
  Cpu& c = cpu(e.cpu);
  settle(c, now, Work::guest);
  const CommandId id{e.device, e.queue, e.command};
  Command& given = command(id);
  given.io = 0;
  Io* io = find(e.io);
  if (io == nullptr) return;
  if (io->stage != Stage::submitted) {  // a further command of the I/O: from the I/O's start again
    set_parts_apart(*io);
    io->parts = {};
  }
  if (c.submitting == e.io && !c.account.in_interrupt && e.cpu == io->cpu) {
    const WorkTimes interrupted = c.account.sums().interrupt - io->submission_interrupt;
    const std::uint64_t taken = std::min(sum_of(interrupted), now - io->submitted);
    charge_own(*io, c.account.sums().thread - io->submission_thread, now - io->submitted - taken);
    if (taken > 0) charge_wait(*io, interrupted, taken, false);
  } else {  // it waited for a free command
    const std::uint64_t began = std::max(c.milestone_at, io->submitted);
    io->parts.causes[static_cast<std::size_t>(Cause::queueing)] += began - io->submitted;
    WorkTimes before = c.milestone;
    if (began != c.milestone_at) (before = io->submission_thread) += io->submission_interrupt;
    charge_own(*io, c.account.sums().both - before, now - began);
    milestone(c, now);
  }
  io->stage = Stage::dispatched;
  io->dispatched = io->posted = now;
  io->queued = io->translation = io->media = 0;
  io->command = id;
  given.io = e.io;
  given.dispatched = now;
  given.apart = false;
}

void Blame::on(Time at, const trace::CommandTimes& e) {
  const std::uint64_t now = at.ps();
  const CommandId id{e.device, e.queue, e.command};
  Command& done = command(id);
  const std::uint64_t number = std::exchange(done.io, 0);
  Io* io = number == 0 ? nullptr : find(number);
  if (io == nullptr || io->stage == Stage::submitted || io->stage == Stage::completed) return;
  if (!done.apart && io->command != id) return;  // of an I/O that had this number before
  io->stage = Stage::posted;
  io->dispatched = done.dispatched;  // the command the I/O had to wait for is the one that completes last
  if (std::exchange(done.apart, false)) {
    set_parts_apart(*io);
    io->parts = *done.parts;
    io->command = id;
  }
  io->posted = now;
  io->queued = e.queued_ps;
  io->translation = e.translation_ps;
  io->media = e.media_ps;
  set_mark(slot_of(*io) * 2, io->cpu, now);
}

void Blame::device_stretch(Io& io) {
  std::uint64_t left = io.posted - io.dispatched;
  const auto take = [&](Cause cause, std::uint64_t time) {
    if (time > left) ++misfits_;
    time = std::min(time, left);
    io.parts.causes[static_cast<std::size_t>(cause)] += time;
    left -= time;
  };
  take(Cause::media, io.media);
  take(Cause::iotlb, io.translation);
  take(Cause::queueing, io.queued);
  take(Cause::pcie, left);
}

void Blame::on(Time at, const trace::IoCompleted& e) {
  const std::uint64_t now = at.ps();
  Cpu& c = cpu(e.cpu);
  settle(c, now, Work::guest);
  if (Io* io = find(e.io); io != nullptr && io->stage != Stage::completed) {
    device_stretch(*io);
    const Mark& posted = io->posting;
    const bool same_cpu = posted.cpu == e.cpu && !posted.open && posted.at == io->posted;
    if (c.milestone_at >= io->posted) {
      WorkTimes waited{};
      if (same_cpu) {
        waited = c.milestone - posted.base;
      } else {  // another CPU's: what it did is not known
        waited[static_cast<std::size_t>(Work::guest)] = c.milestone_at - io->posted;
      }
      charge_wait(*io, waited, c.milestone_at - io->posted, true);
      charge_own(*io, c.account.sums().both - c.milestone, now - c.milestone_at);
    } else if (same_cpu) {
      charge_own(*io, c.account.sums().both - posted.base, now - io->posted);
    } else {
      io->parts.causes[static_cast<std::size_t>(Cause::guest_cpu)] += now - io->posted;
    }
    io->stage = Stage::completed;
    io->completed = now;
    set_mark(slot_of(*io) * 2 + 1, io->cpu, now);
  }
  milestone(c, now);
}

void Blame::on(Time at, const trace::IoReaped& e) {
  const std::uint64_t now = at.ps();
  Cpu& c = cpu(e.cpu);
  settle(c, now, Work::guest);
  c.submitting = 0;
  Io* io = find(e.io);
  if (io == nullptr) return;
  const Mark& mark = io->completion;
  const bool completed = io->stage == Stage::completed;
  if (!completed) {  // never seen to complete: from the last that was seen
    device_stretch(*io);
    io->completed = io->posted;
  }
  const bool known = completed && mark.cpu == e.cpu && !mark.open && mark.at == io->completed;
  WorkTimes waited{};
  if (known) {
    waited = c.account.sums().both - mark.base;
  } else {
    waited[static_cast<std::size_t>(Work::guest)] = now - io->completed;
  }
  charge_wait(*io, waited, now - io->completed, false);
  last_ = {io->number, e.latency_ps, io->parts.causes};
  if (open_ && e.status == 0) {
    ++count_;
    for (std::size_t i = 0; i < causes; ++i) sums_[i] += io->parts.causes[i];
    run_queue_sums_ += io->parts.run_queue;
  }
  drop(*io);
}

std::vector<std::pair<std::string, double>> Blame::values() const {
  std::vector<std::pair<std::string, double>> out;
  if (count_ == 0) return out;
  const auto mean_ns = [this](std::uint64_t ps) {
    return static_cast<double>(ps) * 1e-3 / static_cast<double>(count_);
  };
  for (std::size_t i = 0; i < causes; ++i) {
    if (static_cast<Cause>(i) == Cause::run_queue) continue;
    out.emplace_back(std::string("blame.") + cause_names[i] + "_ns", mean_ns(sums_[i]));
  }
  for (std::size_t w = 0; w < works; ++w)
    out.emplace_back(std::string("blame.run_queue_") + work_names[w] + "_ns", mean_ns(run_queue_sums_[w]));
  return out;
}

}  // namespace gnomon::observe
