// SPDX-License-Identifier: Apache-2.0
// A CPU as the guest kernel runs it: interrupts, softirqs, timers, a run queue. Pure; time passes through Processor.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <exception>
#include <vector>

#include "guest/kernel/costs.hpp"
#include "models/cpu/core/processor.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon::guest {

class Cpu;

/// A guest thread as a loop: the kernel calls turn() again and again until it says that it has to wait.
class Thread {
 public:
  virtual ~Thread() = default;
  /// One turn of the loop. False: nothing to do until wake(); work that arrived meanwhile must have been seen.
  virtual bool turn(Cpu& cpu) = 0;

 private:
  friend class Cpu;
  enum class State { blocked, queued, running };
  State state_ = State::blocked;
  bool woken_ = false;  // while running: do not block after this turn
};

class InterruptHandler {
 public:
  virtual ~InterruptHandler() = default;
  virtual void interrupt(Cpu& cpu, unsigned vector) = 0;  ///< hard interrupt context: interrupts are off
};

/// A kernel timer (timer_list). Expires in softirq context of the CPU it was armed on, at a tick.
class Timer {
 public:
  virtual ~Timer() = default;
  virtual void expired(Cpu& cpu) = 0;
  bool armed() const { return expires_ != Time::max(); }

 private:
  friend class Cpu;
  Time expires_ = Time::max();
};

/// Work an interrupt handler leaves for later (NET_RX and the like): run with interrupts on, before any thread goes on.
class Softirq {
 public:
  virtual ~Softirq() = default;
  virtual void run(Cpu& cpu) = 0;

 private:
  friend class Cpu;
  bool raised_ = false;
};

struct CpuOptions {
  unsigned hz = 250;                   ///< ticks a second
  unsigned nested_paging_tax_ppm = 0;  ///< how much dearer CPU work is than on bare metal, parts per million
  Time time_slice = Time::ms(3);       ///< of a thread while others wait
};

class Cpu {
 public:
  Cpu(Processor& processor, const GuestCosts& costs, const CpuOptions& options, trace::Tracer& tracer);

  unsigned id() const { return processor_.id(); }
  Processor& processor() { return processor_; }
  const GuestCosts& costs() const { return costs_; }
  trace::Tracer& tracer() { return tracer_; }

  /// Executes for `cost` (bare-metal time). Only this CPU's clock moves.
  void work(Time cost);
  Time now() const { return processor_.now(); }
  /// Lets global time catch up and takes the interrupts that are due, unless they are off.
  void sync();
  /// Emits at this CPU's time; syncs first.
  void emit(const trace::Event& event);

  void interrupts_off() { ++interrupts_off_; }
  void interrupts_on();  ///< nests; the outermost takes what is pending
  void set_handler(unsigned vector, InterruptHandler& handler) { handlers_[vector] = &handler; }

  /// The kernel's loop of this CPU: runs threads, halts when there is none. The simulation ends around it.
  [[noreturn]] void run();
  /// Makes a thread of this CPU runnable. `from`: the CPU that calls.
  void wake(Thread& thread, Cpu& from);
  /// Arms a timer: it fires at the first tick at which the kernel's timer wheel would fire it, never early.
  void arm(Timer& timer, Time delay);
  /// Arms a high-resolution timer (hrtimer): it fires at `at`.
  void arm_at(Timer& timer, Time at);
  std::uint64_t jiffies() const { return now() / tick_; }
  /// Lets `softirq` run once on this CPU. From an interrupt handler or from a softirq, of this CPU.
  void raise(Softirq& softirq);
  Time idle_time() const { return idle_time_; }  ///< spent halted since power-on

 private:
  void service_interrupts();
  void take_interrupt(unsigned vector);
  void timer_interrupt();
  void run_softirqs();
  void program_timer();
  void run_thread(Thread& thread);
  void idle();
  void end_span(trace::Activity activity);

  Processor& processor_;
  const GuestCosts& costs_;
  CpuOptions options_;
  trace::Tracer& tracer_;
  Time tick_;
  std::array<InterruptHandler*, 256> handlers_{};
  std::deque<Thread*> run_queue_;
  Thread* last_ran_ = nullptr;
  std::vector<Timer*> timers_;
  std::vector<Softirq*> softirqs_;  // raised, in this order
  Time next_tick_ = Time::max();  // max: the tick is stopped (NO_HZ idle)
  Time timer_at_ = Time::max();   // what the local timer is programmed to
  Time span_began_;
  Time idle_time_;
  unsigned interrupts_off_ = 0;
  bool softirq_pending_ = false;
  bool in_softirq_ = false;
};

/// Interrupts off for a scope (local_irq_save, spin_lock_irqsave). On an exception's way out they stay off: LockGuard.
class InterruptsOff {
 public:
  explicit InterruptsOff(Cpu& cpu) : cpu_(cpu) { cpu_.interrupts_off(); }
  ~InterruptsOff() noexcept(false) {
    if (std::uncaught_exceptions() == 0) cpu_.interrupts_on();
  }
  InterruptsOff(const InterruptsOff&) = delete;
  InterruptsOff& operator=(const InterruptsOff&) = delete;

 private:
  Cpu& cpu_;
};

/// The tick, counted from `now`, at which a timer of `delay` fires: the wheel rounds up to its level's granularity
/// and never fires early (kernel/time/timer.c since 4.8). Jiffies since power-on.
std::uint64_t timer_wheel_expiry(std::uint64_t jiffies_now, std::uint64_t delay_jiffies);

}  // namespace gnomon::guest
