// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/call_blame.hpp"

#include <algorithm>

namespace gnomon::observe {

namespace {

constexpr std::array call_names = {"map", "unmap", "flush"};
constexpr std::array cause_names = {"guest_cpu",  "lock_wait",         "exit",
                                    "hypervisor", "host_invalidation", "interrupt"};
static_assert(call_names.size() == CallBlame::calls && cause_names.size() == CallBlame::causes);

using Cause = CallBlame::Cause;
/// Of work in thread context. A call does not sleep: an idle span within one is the interrupt's that ended it.
constexpr std::array<Cause, works> cause_of = {Cause::guest_cpu,  Cause::lock_wait,         Cause::exit,
                                               Cause::hypervisor, Cause::host_invalidation, Cause::interrupt,
                                               Cause::interrupt};

constexpr std::size_t kept_pieces = 64;  // at first; a call of many requests takes more

}  // namespace

const char* CallBlame::name_of(Call call) {
  return call_names[static_cast<std::size_t>(call)];
}
const char* CallBlame::name_of(Cause cause) {
  return cause_names[static_cast<std::size_t>(cause)];
}

CallBlame::CallBlame(bool flushes_follow) : flushes_follow_(flushes_follow) {
  invalidating_.reserve(kept_pieces);
}

trace::KindSet CallBlame::wants() const {
  using namespace trace;
  return kinds<WindowOpened, WindowClosed, MapReturned, UnmapReturned, FlushQueueFlushed, VmExit, CpuSpan,
               LockAcquired, LockReleased, InterruptTaken, GuestKick, SyncDone, IoThreadWoken,
               InvalidationSubmitted, InvalidationWaitDone>();
}

void CallBlame::on_event(Time at, const trace::Event& event) {
  std::visit([&](const auto& e) { on(at.ps(), e); }, event);
}

void CallBlame::on(std::uint64_t now, const trace::VmExit& e) {
  cpu(e.cpu).pieces.push_back({Piece::Kind::exit, e.reason, {}, std::min(e.began_ps, now), now, 0, 0});
}

void CallBlame::on(std::uint64_t now, const trace::CpuSpan& e) {
  Cpu& c = cpu(e.cpu);
  if (e.activity == trace::Activity::idle) c.pieces.clear();  // no call is under way
  c.pieces.push_back({Piece::Kind::span, {}, e.activity, e.began_ps, now, 0, 0});
}

void CallBlame::on(std::uint64_t now, const trace::InterruptTaken& e) {
  cpu(e.cpu).pieces.push_back({Piece::Kind::interrupt, {}, {}, now, now, 0, 0});
}

void CallBlame::on(std::uint64_t now, const trace::LockAcquired& e) {
  if (e.waited_ps == 0) return;
  cpu(e.cpu).pieces.push_back({Piece::Kind::waited, {}, {}, now - std::min(now, e.waited_ps), now, 0, 0});
  if (e.cpu == thread_) thread_lock_ += e.waited_ps;
}

void CallBlame::on(std::uint64_t now, const trace::LockReleased& e) {
  cpu(e.cpu).pieces.push_back({Piece::Kind::held, {}, {}, now - std::min(now, e.held_ps), now, 0, 0});
}

void CallBlame::on(std::uint64_t now, const trace::InvalidationSubmitted& e) {
  invalidating_.emplace_back(e.cpu, now);
}

/// The queue is served in order: the wait that is done is the first's.
void CallBlame::on(std::uint64_t now, const trace::InvalidationWaitDone&) {
  if (invalidating_first_ == invalidating_.size()) return;
  const auto [who, began] = invalidating_[invalidating_first_++];
  if (invalidating_first_ == invalidating_.size() || invalidating_first_ == kept_pieces) {
    invalidating_.erase(invalidating_.begin(),
                        invalidating_.begin() + static_cast<std::ptrdiff_t>(invalidating_first_));
    invalidating_first_ = 0;
  }
  cpu(who).pieces.push_back({Piece::Kind::invalidated, {}, {}, began, now, 0, 0});
  if (who == thread_) thread_invalidation_ += now - began;
}

void CallBlame::on(std::uint64_t, const trace::GuestKick& e) {
  Cpu& c = cpu(e.cpu);
  c.kicked_lock = thread_lock_;
  c.kicked_invalidation = thread_invalidation_;
}

/// With a thread of the hypervisor serving the ring, the guest's CPU spins until it has.
void CallBlame::on(std::uint64_t now, const trace::SyncDone& e) {
  if (thread_ == none) return;
  cpu(thread_).pieces.clear();  // it makes no calls
  Cpu& c = cpu(e.cpu);
  c.pieces.push_back({Piece::Kind::polled,
                      {},
                      {},
                      std::min(e.began_ps, now),
                      now,
                      thread_lock_ - c.kicked_lock,
                      thread_invalidation_ - c.kicked_invalidation});
}

void CallBlame::on(std::uint64_t now, const trace::MapReturned& e) {
  Cpu& c = cpu(e.cpu);
  charge(c, Call::map, now - std::min(now, e.took_ps), now);
  counts_[static_cast<std::size_t>(Call::map)] += open_;
  c.pieces.clear();
}

void CallBlame::on(std::uint64_t now, const trace::UnmapReturned& e) {
  Cpu& c = cpu(e.cpu);
  charge(c, Call::unmap, now - std::min(now, e.took_ps), now);
  counts_[static_cast<std::size_t>(Call::unmap)] += open_;
  c.pieces.clear();
  c.unmapped_at = now;
}

void CallBlame::on(std::uint64_t now, const trace::FlushQueueFlushed& e) {
  Cpu& c = cpu(e.cpu);
  if (e.cause == trace::FlushCause::timer) {
    counts_[static_cast<std::size_t>(Call::flush)] += open_;
    return charge(c, Call::flush, std::min(e.began_ps, now), now);
  }
  if (!flushes_follow_) return;
  charge(c, Call::unmap, c.unmapped_at != 0 ? c.unmapped_at : std::min(e.began_ps, now),
         now);  // the lock's wait and the queue's look through lie between
  c.pieces.clear();
  c.unmapped_at = now;
}

void CallBlame::replay(CpuAccount& account, const Piece& p) {
  switch (p.kind) {
    case Piece::Kind::exit: {
      account.settle(p.began, Work::guest);
      auto outer = Work::exit;
      if (p.reason == trace::ExitReason::hlt) outer = Work::idle;
      if (p.reason == trace::ExitReason::external_interrupt) outer = Work::interrupt;
      return account.settle(p.at, outer);
    }
    case Piece::Kind::span:
      account.settle(p.at, p.activity == trace::Activity::idle ? Work::idle : Work::guest);
      if (p.activity == trace::Activity::softirq) account.thread_was_softirq();
      account.in_interrupt = false;
      return account.note_thread();
    case Piece::Kind::interrupt:
      account.settle(p.at, Work::guest);
      account.in_interrupt = true;
      return;
    case Piece::Kind::waited: return account.waited(p.began, p.at);
    case Piece::Kind::held: return account.held(p.began, p.at);
    case Piece::Kind::invalidated: return account.invalidated(p.began, p.at);
    case Piece::Kind::polled:
      account.settle(p.began, Work::guest);
      account.polled(account.settled(), p.at, p.lock, p.invalidation);
      return account.settle(p.at, Work::hypervisor);
  }
}

void CallBlame::charge(const Cpu& c, Call call, std::uint64_t began, std::uint64_t now) {
  CpuAccount account;
  account.settle(began, Work::guest);
  const WorkSums before = account.sums();
  for (const Piece& piece : c.pieces)
    if (piece.at > began) replay(account, piece);
  account.settle(now, Work::guest);
  const WorkTimes own = account.sums().thread - before.thread;
  last_ = {now - began, {}};
  for (std::size_t w = 0; w < works; ++w) last_.parts[static_cast<std::size_t>(cause_of[w])] += own[w];
  last_.parts[static_cast<std::size_t>(Cause::interrupt)] += sum_of(account.sums().interrupt - before.interrupt);
  if (!open_) return;
  const auto row = static_cast<std::size_t>(call);
  for (std::size_t i = 0; i < causes; ++i) sums_[row][i] += last_.parts[i];
}

std::vector<std::pair<std::string, double>> CallBlame::values() const {
  std::vector<std::pair<std::string, double>> out;
  for (std::size_t call = 0; call < calls; ++call) {
    if (counts_[call] == 0) continue;
    for (std::size_t i = 0; i < causes; ++i)
      out.emplace_back(std::string("blame.") + call_names[call] + "." + cause_names[i] + "_ns",
                       static_cast<double>(sums_[call][i]) * 1e-3 / static_cast<double>(counts_[call]));
  }
  return out;
}

}  // namespace gnomon::observe
