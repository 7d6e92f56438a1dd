// SPDX-License-Identifier: Apache-2.0
// Locks between processors, as far as they cost time or decide who goes next.
#pragma once

#include <cstdint>
#include <exception>
#include <vector>

#include "models/base/random.hpp"
#include "models/base/time.hpp"
#include "models/cpu/core/processor.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon {

enum class LockKind {
  test_and_set,  ///< x86 guest without paravirtual locks (virt_spin_lock): whoever sees it free first; the releaser is nearest
  queued,        ///< qspinlock or ticket: strictly first come, first served
};

struct LockCosts {
  Time acquire;    ///< an uncontended atomic operation
  Time hand_over;  ///< from a release until a waiting processor has the cache line
};

/// A spinning lock. Not recursive. Time waited and held goes to the tracer under `id`.
class Lock {
 public:
  Lock(std::uint32_t id, LockKind kind, LockCosts costs, RandomStream random, trace::Tracer& tracer)
      : id_(id), kind_(kind), costs_(costs), random_(random), tracer_(tracer) {}

  /// Syncs the processor; on return it holds the lock, at its own time of acquisition.
  void acquire(Processor& processor);
  /// Syncs the processor first: everything done under the lock happens before the release.
  void release(Processor& processor);

  bool held() const { return owner_ != nullptr; }
  const Processor* owner() const { return owner_; }  ///< for deadlock reports
  std::size_t waiting() const { return waiters_.size(); }
  const std::vector<Processor*>& waiters() const { return waiters_; }  ///< likewise
  std::uint32_t id() const { return id_; }

 private:
  void wait_queued(Processor& processor);
  void wait_test_and_set(Processor& processor);
  void wake_next(Time now);

  std::uint32_t id_;
  LockKind kind_;
  LockCosts costs_;
  RandomStream random_;
  trace::Tracer& tracer_;
  Processor* owner_ = nullptr;
  Processor* candidate_ = nullptr;  // test-and-set: has seen the lock free and is on its way
  std::vector<Processor*> waiters_;
  Time acquired_at_;
};

/// Holds a lock for a scope. An exception that leaves the scope ends the simulation: on its way no time may pass any
/// more and no second one be thrown, so the lock stays as it is.
class LockGuard {
 public:
  LockGuard(Lock& lock, Processor& processor) : lock_(lock), processor_(processor) { lock_.acquire(processor_); }
  ~LockGuard() noexcept(false) {
    if (std::uncaught_exceptions() == 0) lock_.release(processor_);  // throws where simulated time runs out
  }
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;

 private:
  Lock& lock_;
  Processor& processor_;
};

}  // namespace gnomon
