// SPDX-License-Identifier: Apache-2.0
#include "guest/kernel/cpu.hpp"

#include <algorithm>
#include <utility>

namespace gnomon::guest {

std::uint64_t timer_wheel_expiry(std::uint64_t jiffies_now, std::uint64_t delay_jiffies) {
  constexpr std::uint64_t level_size = 64;  // LVL_SIZE; each level is eight times coarser than the one before
  unsigned shift = 0;
  while (delay_jiffies >= ((level_size - 1) << shift)) shift += 3;
  return ((jiffies_now + delay_jiffies + (std::uint64_t{1} << shift)) >> shift) << shift;
}

Cpu::Cpu(Processor& processor, const GuestCosts& costs, const CpuOptions& options, trace::Tracer& tracer)
    : processor_(processor), costs_(costs), options_(options), tracer_(tracer), tick_(Time::s(1) / options.hz) {}

void Cpu::work(Time cost) {
  processor_.spend(cost + cost * options_.nested_paging_tax_ppm / 1'000'000);
}

void Cpu::sync() {
  processor_.sync();
  if (interrupts_off_ == 0 && processor_.interrupt_pending()) service_interrupts();
}

void Cpu::emit(const trace::Event& event) {
  processor_.sync();
  tracer_.emit(processor_.now(), event);
}

void Cpu::interrupts_on() {
  if (--interrupts_off_ == 0) sync();
}

void Cpu::run() {
  processor_.sync();
  span_began_ = now();
  for (;;) {
    sync();
    if (run_queue_.empty()) {
      idle();
    } else {
      Thread& thread = *run_queue_.front();
      run_queue_.pop_front();
      run_thread(thread);
    }
  }
}

void Cpu::run_thread(Thread& thread) {
  if (&thread != last_ran_) work(costs_.context_switch);
  last_ran_ = &thread;
  thread.state_ = Thread::State::running;
  if (next_tick_ == Time::max()) {
    next_tick_ = tick_ * (jiffies() + 1);
    program_timer();
  }
  const Time slice_ends = now() + options_.time_slice;
  bool more = true;
  while (more && (run_queue_.empty() || now() < slice_ends)) {
    thread.woken_ = false;
    more = thread.turn(*this);
    sync();
    more = more || thread.woken_;
  }
  thread.state_ = more ? Thread::State::queued : Thread::State::blocked;
  if (more) run_queue_.push_back(&thread);
  end_span(trace::Activity::task);
}

void Cpu::idle() {
  last_ran_ = nullptr;
  processor_.halt();
  idle_time_ += now() - span_began_;
  end_span(trace::Activity::idle);
}

void Cpu::wake(Thread& thread, Cpu& from) {
  if (thread.state_ == Thread::State::running) thread.woken_ = true;
  if (thread.state_ != Thread::State::blocked) return;
  from.work(costs_.wake_up);
  thread.state_ = Thread::State::queued;
  run_queue_.push_back(&thread);
  if (&from != this) from.processor_.send_interrupt(id(), reschedule_vector);
}

void Cpu::service_interrupts() {
  if (!in_softirq_ && now() > span_began_) end_span(trace::Activity::task);
  while (processor_.interrupt_pending()) take_interrupt(processor_.acknowledge_interrupt());
  if (softirq_pending_ && !in_softirq_) run_softirqs();
}

void Cpu::take_interrupt(unsigned vector) {
  ++interrupts_off_;
  work(costs_.interrupt);
  if (vector == timer_vector) {
    timer_interrupt();
  } else if (InterruptHandler* handler = handlers_[vector]) {
    handler->interrupt(*this, vector);
  }
  processor_.sync();
  --interrupts_off_;
  end_span(trace::Activity::interrupt);
}

void Cpu::timer_interrupt() {
  timer_at_ = Time::max();
  if (next_tick_ != Time::max() && now() >= next_tick_) {
    work(costs_.tick);
    const bool stop = run_queue_.empty() && last_ran_ == nullptr;
    next_tick_ = stop ? Time::max() : tick_ * (jiffies() + 1);
  }
  const bool due = std::any_of(timers_.begin(), timers_.end(), [&](Timer* t) { return t->expires_ <= now(); });
  if (due) softirq_pending_ = true;
  program_timer();
}

void Cpu::run_softirqs() {
  in_softirq_ = true;
  while (std::exchange(softirq_pending_, false)) {  // an interrupt in between may raise it again
    work(costs_.softirq);
    for (std::size_t i = 0; i < timers_.size();) {
      Timer* timer = timers_[i];
      if (timer->expires_ > now()) {
        ++i;
        continue;
      }
      timers_.erase(timers_.begin() + static_cast<std::ptrdiff_t>(i));
      timer->expires_ = Time::max();
      timer->expired(*this);
    }
    const std::size_t raised = softirqs_.size();  // what is raised meanwhile waits for the next round
    for (std::size_t i = 0; i < raised; ++i) {
      Softirq* softirq = softirqs_[i];
      softirq->raised_ = false;
      softirq->run(*this);
    }
    softirqs_.erase(softirqs_.begin(), softirqs_.begin() + static_cast<std::ptrdiff_t>(raised));
  }
  program_timer();
  processor_.sync();
  in_softirq_ = false;
  end_span(trace::Activity::softirq);
}

void Cpu::arm(Timer& timer, Time delay) {
  const std::uint64_t delay_jiffies = (delay + (tick_ - Time::ps(1))) / tick_;
  arm_at(timer, tick_ * timer_wheel_expiry(jiffies(), delay_jiffies));
}

void Cpu::arm_at(Timer& timer, Time at) {
  timer.expires_ = at;
  timers_.push_back(&timer);
  program_timer();
}

void Cpu::raise(Softirq& softirq) {
  softirq_pending_ = true;
  if (std::exchange(softirq.raised_, true)) return;
  softirqs_.push_back(&softirq);
}

void Cpu::program_timer() {
  Time at = next_tick_;
  for (const Timer* timer : timers_) {
    const bool due = timer->expires_ <= now();
    if (!due || !softirq_pending_) at = std::min(at, std::max(timer->expires_, now()));  // else the softirq sees to it
  }
  if (at == timer_at_) return;
  timer_at_ = at;
  processor_.set_timer(at);
}

void Cpu::end_span(trace::Activity activity) {
  tracer_.emit(now(), trace::CpuSpan{span_began_.ps(), id(), activity});
  span_began_ = now();
}

}  // namespace gnomon::guest
