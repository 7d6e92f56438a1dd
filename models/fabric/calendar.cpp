// SPDX-License-Identifier: Apache-2.0
#include "models/fabric/calendar.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace gnomon {

namespace {

/// A loop that waits for nothing still lets the kernel look around.
constexpr Time longest_run_ahead = Time::us(100);

}  // namespace

class Calendar {
 public:
  /// The kernel's way in: a process that is woken for the next step.
  void open() {
    if (alarm_ == nullptr) alarm_ = new Alarm("calendar", *this);  // the kernel's until the end, as any module
  }

  void add(TimedStep& step, Time due) {
    step.due_ = std::max(due, global_time());
    step.entry_ = ++entries_;
    heap_.push_back({step.due_, step.entry_, &step});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  void forget(const TimedStep& step) {
    std::erase_if(heap_, [&](const Entry& entry) { return entry.step == &step; });
    std::make_heap(heap_.begin(), heap_.end(), later);
  }

  bool take_next(Time limit) {
    const Time due = next_due();
    if (due > limit || !may_be_at(due)) return false;
    take();
    return true;
  }

  bool advance(Time target) {
    while (next_due() <= target) {
      if (!take_next(target)) return false;
    }
    if (!may_be_at(target)) return false;
    detail::run_ahead = target - kernel_time();
    return true;
  }

  void tell_kernel() {
    if (alarm_ == nullptr) return;
    const Time next = next_due();
    if (next == alarm_for_) return;
    if (next > alarm_for_) alarm_->event.cancel();
    if (next != Time::max()) alarm_->event.notify(to_sc(next - kernel_time()));
    alarm_for_ = next;
  }

 private:
  struct Entry {
    Time at;
    std::uint64_t number;
    TimedStep* step;
  };
  static bool later(const Entry& x, const Entry& y) { return x.at != y.at ? x.at > y.at : x.number > y.number; }

  struct Alarm : sc_core::sc_module {
    Alarm(const sc_core::sc_module_name& name, Calendar& calendar) : sc_module(name), calendar_(calendar) {
      using SC_CURRENT_USER_MODULE = Alarm;
      SC_METHOD(ring);
      sensitive << event;
      dont_initialize();
    }
    void start_of_simulation() override { calendar_.tell_kernel(); }
    void ring() { calendar_.woken(); }

    sc_core::sc_event event{"next_step"};
    Calendar& calendar_;
  };

  void woken() {
    process_resumed();
    alarm_for_ = Time::max();
    try {
      while (next_due() <= kernel_time() && !detail::pausing) take();
      while (take_next(Time::max())) {
      }
    } catch (...) {
      fail_simulation(std::current_exception());
    }
    meet_kernel_again();
  }

  /// Of the first entry that counts; a step that was cancelled, or asked for earlier, has left one that does not.
  Time next_due() {
    while (!heap_.empty() && heap_.front().step->entry_ != heap_.front().number) drop_first();
    return heap_.empty() ? Time::max() : heap_.front().at;
  }
  void drop_first() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
  }
  /// next_due() has been asked.
  void take() {
    const Entry next = heap_.front();
    drop_first();
    next.step->due_ = Time::max();
    next.step->entry_ = 0;
    detail::run_ahead = next.at - kernel_time();
    activated();
    next.step->take_();
  }

  /// Nobody but this calendar is due at or before `at`.
  bool may_be_at(Time at) {
    if (detail::pausing || at - kernel_time() >= longest_run_ahead) return false;
    if (at < detail::quiet_until) return true;
    if (alarm_for_ <= at) {  // what the kernel would answer is this calendar's own
      alarm_->event.cancel();
      alarm_for_ = Time::max();
    }
    detail::quiet_until = kernel_time() + from_sc(sc_core::sc_time_to_pending_activity());
    return at < detail::quiet_until;
  }

  std::vector<Entry> heap_;
  std::uint64_t entries_ = 0;
  Alarm* alarm_ = nullptr;
  Time alarm_for_ = Time::max();  // when the kernel will wake it
};

namespace {
constinit Calendar calendar;  // one a process, as the kernel's queue is
}

TimedStep::TimedStep(std::function<void()> take) : take_(std::move(take)) {
  calendar.open();
}
TimedStep::~TimedStep() {
  calendar.forget(*this);
}

void TimedStep::at(Time due) {
  if (due < due_) calendar.add(*this, due);
}

void TimedStep::cancel() {
  due_ = Time::max();
  entry_ = 0;
}

bool take_next_step(Time limit) {
  return calendar.take_next(limit);
}

bool advance_to(Time target) {
  return calendar.advance(target);
}

void meet_kernel_again() {
  detail::run_ahead = Time{};
  calendar.tell_kernel();
}

void wait_until_kernel(Time at) {
  const Time gap = at - kernel_time();
  detail::quiet_until = std::min(detail::quiet_until, at);
  meet_kernel_again();
  sc_core::wait(to_sc(gap));
}

}  // namespace gnomon
