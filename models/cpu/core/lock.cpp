// SPDX-License-Identifier: Apache-2.0
#include "models/cpu/core/lock.hpp"

#include <algorithm>

namespace gnomon {

void Lock::acquire(Processor& processor) {
  processor.spend(costs_.acquire);
  processor.sync();
  const Time asked = processor.now();
  if (owner_ == nullptr) {
    owner_ = &processor;
  } else if (kind_ == LockKind::queued) {
    wait_queued(processor);
  } else {
    wait_test_and_set(processor);
  }
  acquired_at_ = processor.now();
  tracer_.emit(acquired_at_, trace::LockAcquired{(acquired_at_ - asked).ps(), id_, processor.id()});
}

void Lock::release(Processor& processor) {
  processor.sync();
  const Time now = processor.now();
  owner_ = nullptr;
  tracer_.emit(now, trace::LockReleased{(now - acquired_at_).ps(), id_, processor.id()});
  if (!waiters_.empty()) wake_next(now);
}

void Lock::wait_queued(Processor& processor) {
  waiters_.push_back(&processor);
  processor.park();  // the releaser has made us the owner
}

void Lock::wait_test_and_set(Processor& processor) {
  waiters_.push_back(&processor);
  do {
    processor.park();
    candidate_ = nullptr;
  } while (owner_ != nullptr);  // somebody nearer to the cache line, the releaser itself as a rule, was faster
  waiters_.erase(std::find(waiters_.begin(), waiters_.end(), &processor));
  owner_ = &processor;
}

void Lock::wake_next(Time now) {
  if (kind_ == LockKind::queued) {
    owner_ = waiters_.front();
    waiters_.erase(waiters_.begin());
    owner_->unpark(now + costs_.hand_over);
  } else if (candidate_ == nullptr) {
    candidate_ = waiters_[random_.below(waiters_.size())];
    candidate_->unpark(now + costs_.hand_over);
  }
}

}  // namespace gnomon
