// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/blame.hpp"

#include <algorithm>

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

Blame::Blame() : index_(first_index, none), invalidating_(most_waiting) {}

trace::KindSet Blame::wants() const {
  using namespace trace;
  return kinds<WindowOpened, WindowClosed, IoSubmitted, IoDispatched, CommandTimes, IoCompleted, IoReaped, VmExit,
               CpuSpan, LockAcquired, LockReleased, InterruptTaken, GuestKick, SyncDone, IoThreadWoken,
               InvalidationSubmitted, InvalidationWaitDone>();
}

void Blame::on_event(Time at, const trace::Event& event) {
  std::visit([&](const auto& e) { on(at.ps(), e); }, event);
}

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
  mark = {c.account.sums().both(), now, on, none, c.account.settled() < now};
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
void Blame::settle_marks(Cpu& c, const WorkSums& before, std::uint64_t from) {
  const bool interrupt = c.account.in_interrupt;
  const WorkSums did = c.account.sums() - before;
  const WorkTimes& times = interrupt ? did.interrupt : did.thread;
  const std::uint64_t length = c.account.settled() - from;
  std::uint32_t* link = &c.first_mark;
  while (*link != none) {
    Mark& mark = mark_of(*link);
    mark.base = c.account.sums().both();
    if (mark.at > c.account.settled()) {
      link = &mark.next;
      continue;
    }
    // What of the stretch came after the mark, each work in proportion, the largest taking the rounding.
    std::uint64_t after = c.account.settled() - mark.at;
    std::size_t largest = 0;
    const std::uint64_t all_after = after;
    for (std::size_t w = 0; w < works; ++w) {
      if (times[w] == 0) continue;
      if (times[w] > times[largest]) largest = w;
      const std::uint64_t share =
          times[w] == length ? all_after
                             : static_cast<std::uint64_t>(static_cast<Wide>(times[w]) * all_after / length);
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
  const WorkSums before = c.account.sums();
  c.account.settle(now, outer);
  settle_marks(c, before, from);
}

void Blame::milestone(Cpu& c, std::uint64_t now) {
  c.milestone = c.account.sums().both();
  c.milestone_at = now;
}

void Blame::on(std::uint64_t now, const trace::VmExit& e) {
  Cpu& c = cpu(e.cpu);
  settle(c, std::min(e.began_ps, now), Work::guest);
  auto outer = Work::exit;
  if (e.reason == trace::ExitReason::hlt) outer = Work::idle;
  if (e.reason == trace::ExitReason::external_interrupt) outer = Work::interrupt;
  settle(c, now, outer);
}

void Blame::on(std::uint64_t now, const trace::CpuSpan& e) {
  Cpu& c = cpu(e.cpu);
  settle(c, now, e.activity == trace::Activity::idle ? Work::idle : Work::guest);
  if (e.activity == trace::Activity::softirq) c.account.thread_was_softirq();
  if (e.activity == trace::Activity::idle) c.submitting = 0;
  if (e.activity != trace::Activity::task) milestone(c, now);
  c.account.in_interrupt = false;
  c.account.note_thread();
}

void Blame::on(std::uint64_t now, const trace::InterruptTaken& e) {
  Cpu& c = cpu(e.cpu);
  settle(c, now, Work::guest);
  c.account.in_interrupt = true;
  milestone(c, now);
}

void Blame::on(std::uint64_t now, const trace::LockAcquired& e) {
  if (e.waited_ps == 0) return;
  cpu(e.cpu).account.waited(now - std::min(now, e.waited_ps), now);
  if (e.cpu == thread_) thread_lock_ += e.waited_ps;
}

void Blame::on(std::uint64_t now, const trace::LockReleased& e) {
  cpu(e.cpu).account.held(now - std::min(now, e.held_ps), now);
}

void Blame::on(std::uint64_t, const trace::IoThreadWoken& e) {
  thread_ = e.thread;
}

void Blame::on(std::uint64_t now, const trace::InvalidationSubmitted& e) {
  if (invalidating_count_ == most_waiting) return;
  invalidating_[(invalidating_first_ + invalidating_count_++) % most_waiting] = {e.cpu, now};
}

/// The queue is served in order: the wait that is done is the first's.
void Blame::on(std::uint64_t now, const trace::InvalidationWaitDone&) {
  if (invalidating_count_ == 0) return;
  const auto [who, began] = invalidating_[invalidating_first_];
  invalidating_first_ = (invalidating_first_ + 1) % most_waiting;
  --invalidating_count_;
  cpu(who).account.invalidated(began, now);
  if (who == thread_) thread_invalidation_ += now - began;
}

void Blame::on(std::uint64_t, const trace::GuestKick& e) {
  if (thread_ == none) return;
  Cpu& c = cpu(e.cpu);
  c.kicked_lock = thread_lock_;
  c.kicked_invalidation = thread_invalidation_;
}

/// With a thread of the hypervisor serving the ring, the guest's CPU spins until it has.
void Blame::on(std::uint64_t now, const trace::SyncDone& e) {
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
  io.run_queue = {};
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

Blame::Command& Blame::command(std::uint32_t device, std::uint32_t queue, std::uint32_t command) {
  if (device >= commands_.size()) commands_.resize(std::size_t{device} + 1);
  auto& queues = commands_[device];
  if (queue >= queues.size()) queues.resize(std::size_t{queue} + 1);
  auto& commands = queues[queue];
  if (command >= commands.size()) commands.resize(std::size_t{command} + 1);
  return commands[command];
}

void Blame::charge_own(Io& io, const WorkTimes& did, std::uint64_t length) {
  WorkTimes times = did;
  if (!fit(times, length, Work::guest)) ++misfits_;
  for (std::size_t w = 0; w < works; ++w) {
    if (times[w] == 0) continue;
    io.parts[static_cast<std::size_t>(own_cause[w])] += times[w];
    if (own_cause[w] == Cause::run_queue) io.run_queue[w] += times[w];  // taken from it by an interrupt
  }
}

/// The CPU was doing this; what it did for the I/O's own interrupt, or slept until it came, is the interrupt's.
void Blame::charge_wait(Io& io, const WorkTimes& did, std::uint64_t length, bool for_interrupt) {
  WorkTimes times = did;
  if (!fit(times, length, Work::guest)) ++misfits_;
  for (std::size_t w = 0; w < works; ++w) {
    if (times[w] == 0) continue;
    const auto work = static_cast<Work>(w);
    const bool interrupt = for_interrupt && (work == Work::idle || work == Work::interrupt);
    io.parts[static_cast<std::size_t>(interrupt ? Cause::interrupt : Cause::run_queue)] += times[w];
    if (!interrupt) io.run_queue[w] += times[w];
  }
}

void Blame::on(std::uint64_t now, const trace::IoSubmitted& e) {
  Cpu& c = cpu(e.cpu);
  settle(c, now, Work::guest);
  c.submitting = e.io;
  Io& io = make(e.io);
  io.cpu = e.cpu;
  io.submitted = io.dispatched = io.posted = now;
  io.submission = c.account.sums();
}

void Blame::on(std::uint64_t now, const trace::IoDispatched& e) {
  Cpu& c = cpu(e.cpu);
  settle(c, now, Work::guest);
  Command& given = command(e.device, e.queue, e.command);
  given.io = 0;
  Io* io = find(e.io);
  if (io == nullptr) return;
  io->parts = {};  // a further command of the I/O: from the I/O's start again
  io->run_queue = {};
  if (c.submitting == e.io && !c.account.in_interrupt && e.cpu == io->cpu) {
    const WorkSums did = c.account.sums() - io->submission;
    charge_own(*io, did.thread, now - io->submitted - std::min(sum_of(did.interrupt), now - io->submitted));
    charge_wait(*io, did.interrupt, std::min(sum_of(did.interrupt), now - io->submitted), false);
  } else {  // it waited for a free command
    const std::uint64_t began = std::max(c.milestone_at, io->submitted);
    io->parts[static_cast<std::size_t>(Cause::queueing)] += began - io->submitted;
    charge_own(*io, c.account.sums().both() - (began == c.milestone_at ? c.milestone : io->submission.both()),
               now - began);
    milestone(c, now);
  }
  io->stage = Stage::dispatched;
  io->dispatched = io->posted = now;
  io->queued = io->translation = io->media = 0;
  given = {e.io, now, io->parts, io->run_queue};
}

void Blame::on(std::uint64_t now, const trace::CommandTimes& e) {
  Command& done = command(e.device, e.queue, e.command);
  const std::uint64_t number = std::exchange(done.io, 0);
  Io* io = number == 0 ? nullptr : find(number);
  if (io == nullptr || io->stage == Stage::submitted || io->stage == Stage::completed) return;
  io->stage = Stage::posted;
  io->dispatched = done.dispatched;  // the command the I/O had to wait for is the one that completes last
  io->parts = done.parts;
  io->run_queue = done.run_queue;
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
    io.parts[static_cast<std::size_t>(cause)] += time;
    left -= time;
  };
  take(Cause::media, io.media);
  take(Cause::iotlb, io.translation);
  take(Cause::queueing, io.queued);
  take(Cause::pcie, left);
}

void Blame::on(std::uint64_t now, const trace::IoCompleted& e) {
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
      charge_own(*io, c.account.sums().both() - c.milestone, now - c.milestone_at);
    } else if (same_cpu) {
      charge_own(*io, c.account.sums().both() - posted.base, now - io->posted);
    } else {
      io->parts[static_cast<std::size_t>(Cause::guest_cpu)] += now - io->posted;
    }
    io->stage = Stage::completed;
    io->completed = now;
    set_mark(slot_of(*io) * 2 + 1, io->cpu, now);
  }
  milestone(c, now);
}

void Blame::on(std::uint64_t now, const trace::IoReaped& e) {
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
    waited = c.account.sums().both() - mark.base;
  } else {
    waited[static_cast<std::size_t>(Work::guest)] = now - io->completed;
  }
  charge_wait(*io, waited, now - io->completed, false);
  last_ = {io->number, e.latency_ps, io->parts};
  if (open_ && e.status == 0) {
    ++count_;
    for (std::size_t i = 0; i < causes; ++i) sums_[i] += io->parts[i];
    for (std::size_t w = 0; w < works; ++w) run_queue_sums_[w] += io->run_queue[w];
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
