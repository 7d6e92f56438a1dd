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
    if (step.due_ != Time::max()) remove(step);
    step.due_ = std::max(due, global_time());
    step.number_ = ++numbers_ | (step.thread_ == nullptr ? 0 : threads_last);
    const Entry entry = entry_of(step);
    // Nearly all are due soon.
    auto place = entries_.end();
    for (int near = 16; near > 0 && place != entries_.begin() && later(entry, place[-1]); --near) --place;
    if (place != entries_.begin() && later(entry, place[-1]))
      place = std::upper_bound(entries_.begin(), place, entry, later);
    entries_.insert(place, entry);
  }
  void remove(TimedStep& step) {
    entries_.erase(std::lower_bound(entries_.begin(), entries_.end(), entry_of(step), later));
    step.due_ = Time::max();
  }

  /// Takes devices' steps until a thread's turn comes: whose. None where a process of the kernel's is due before.
  SoftwareThread* next_turn() {
    while (!entries_.empty() && may_be_at(entries_.back().at)) {
      if (SoftwareThread* thread = take()) return thread;
    }
    return nullptr;
  }

  /// The same, for a thread whose turn is at `target` if nobody else's is.
  bool advance(Time target) {
    while (!entries_.empty() && entries_.back().at <= target) {
      if (entries_.back().step->thread_ != nullptr || !may_be_at(entries_.back().at)) return false;
      take();
    }
    if (!may_be_at(target)) return false;
    detail::run_ahead = target - kernel_time();
    return true;
  }

  void meet_kernel() { meeting_ = true; }

  void tell_kernel() {
    if (alarm_ == nullptr) return;
    const Time next = entries_.empty() ? Time::max() : entries_.back().at;
    if (next == alarm_for_) return;
    if (next > alarm_for_) alarm_->event.cancel();
    if (next != Time::max()) alarm_->event.notify(to_sc(next - kernel_time()));
    alarm_for_ = next;
  }

 private:
  struct Entry {
    Time at;
    std::uint64_t number;  // in the order they were asked for
    TimedStep* step;
  };
  static constexpr std::uint64_t threads_last = std::uint64_t{1} << 63;
  static Entry entry_of(TimedStep& step) { return {step.due_, step.number_, &step}; }
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
    meeting_ = false;
    try {
      while (!entries_.empty() && entries_.back().at <= kernel_time() && !detail::pausing) go_on(take());
      while (SoftwareThread* thread = next_turn()) go_on(thread);
    } catch (...) {
      fail_simulation(std::current_exception());
    }
    meet_kernel_again();
  }

  static void go_on(SoftwareThread* thread) {
    if (thread != nullptr) thread->context_.switch_to();
  }

  /// The first step, or tells whose turn it is.
  SoftwareThread* take() {
    TimedStep& step = *entries_.back().step;
    entries_.pop_back();
    detail::run_ahead = step.due_ - kernel_time();
    step.due_ = Time::max();
    activated();
    if (step.thread_ != nullptr) return step.thread_;
    step.take_();
    return nullptr;
  }

  /// Nobody but this calendar is due at or before `at`.
  bool may_be_at(Time at) {
    if (detail::pausing || meeting_ || at - kernel_time() >= longest_run_ahead) return false;
    if (at < detail::quiet_until) return true;
    if (alarm_for_ <= at) {  // what the kernel would answer is this calendar's own
      alarm_->event.cancel();
      alarm_for_ = Time::max();
    }
    detail::quiet_until = kernel_time() + from_sc(sc_core::sc_time_to_pending_activity());
    return at < detail::quiet_until;
  }

  std::vector<Entry> entries_;  // the next one last
  std::uint64_t numbers_ = 0;
  bool meeting_ = false;
  Alarm* alarm_ = nullptr;
  Time alarm_for_ = Time::max();  // when the kernel will wake it
};

namespace {
constinit Calendar calendar;  // one a process, as the kernel's queue is
}

TimedStep::TimedStep(std::function<void()> take) : take_(std::move(take)) {
  calendar.open();
}
TimedStep::TimedStep(SoftwareThread& thread) : thread_(&thread) {
  calendar.open();
}
TimedStep::~TimedStep() {
  cancel();
}

void TimedStep::at(Time due) {
  if (due < due_) calendar.add(*this, due);
}

void TimedStep::cancel() {
  if (due_ != Time::max()) calendar.remove(*this);
}

SoftwareThread::SoftwareThread(std::function<void()> run, std::uint64_t& switches)
    : run_(std::move(run)), switches_(switches) {
  turn_.at(Time{});
}

Context& SoftwareThread::execute() {
  ++switches_;
  try {
    run_();
    meet_kernel();  // nobody else may find this thread's lead
  } catch (...) {
    fail_simulation(std::current_exception());
  }
  return Context::process();
}

void SoftwareThread::leave_to(Context& next) {
  next.switch_to();
  ++switches_;
}

void SoftwareThread::wait() {
  SoftwareThread* const next = calendar.next_turn();
  if (next != this) leave_to(next != nullptr ? next->context_ : Context::process());
}

void SoftwareThread::wait_until(Time at) {
  if (calendar.advance(at)) return;
  wake_at(at);
  wait();
}

void SoftwareThread::meet_kernel() {
  if (global_time() == kernel_time()) return;
  wake_at(global_time());
  calendar.meet_kernel();
  leave_to(Context::process());
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
