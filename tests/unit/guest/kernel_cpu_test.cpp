// SPDX-License-Identifier: Apache-2.0
// The guest's CPU: interrupts, softirqs, the timer wheel, ticks, threads.
#include "guest/kernel/cpu.hpp"

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/recorder.hpp"
#include "tests/support/solo_processor.hpp"
#include "tests/support/time_text.hpp"

namespace gnomon::guest {
namespace {

using test::SoloProcessor;
using Times = std::vector<Time>;

TEST_CASE("the timer wheel: one tick more than asked for, in the level's granularity") {
  struct Row {
    std::uint64_t now, delay, expiry;
  };
  // kernel/time/timer.c: level n holds delays from 63 << 3(n-1) ticks, in steps of 1 << 3n.
  const auto row = GENERATE(Row{0, 0, 1}, Row{0, 3, 4}, Row{1000, 3, 1004}, Row{0, 62, 63},      // level 0
                            Row{0, 63, 64}, Row{1, 63, 72}, Row{0, 250, 256}, Row{5, 250, 256},  // level 1: 8 ticks
                            Row{6, 250, 264}, Row{0, 503, 504}, Row{2, 503, 512}, Row{0, 504, 512},
                            Row{8, 504, 576}, Row{0, 4031, 4032}, Row{0, 4032, 4096});  // 64, 512
  CHECK(timer_wheel_expiry(row.now, row.delay) == row.expiry);
}

TEST_CASE("the timer wheel never fires early, nor later than its granularity") {
  for (std::uint64_t now = 0; now < 600; now += 7) {
    for (std::uint64_t delay = 0; delay < 5000; delay += delay < 70 ? 1 : 13) {
      const std::uint64_t late = timer_wheel_expiry(now, delay) - (now + delay);
      const std::uint64_t step = delay < 63 ? 1 : delay < 504 ? 8 : delay < 4032 ? 64 : 512;
      REQUIRE(late <= step);
    }
  }
}

struct NoteTimer final : Timer {
  explicit NoteTimer(std::function<void(Cpu&)> f = [](Cpu&) {}) : then(std::move(f)) {}
  void expired(Cpu& cpu) override {
    fired.push_back(cpu.now());
    then(cpu);
  }
  Times fired;
  std::function<void(Cpu&)> then;
};

struct NoteHandler final : InterruptHandler {
  explicit NoteHandler(std::function<void(Cpu&, unsigned)> f) : then(std::move(f)) {}
  void interrupt(Cpu& cpu, unsigned vector) override { then(cpu, vector); }
  std::function<void(Cpu&, unsigned)> then;
};

struct LoopThread final : Thread {
  explicit LoopThread(std::function<bool(Cpu&)> f) : body(std::move(f)) {}
  bool turn(Cpu& cpu) override { return body(cpu); }
  std::function<bool(Cpu&)> body;
};

GuestCosts costs() {
  GuestCosts c;
  c.interrupt = Time::ns(250);
  c.softirq = Time::ns(100);
  c.tick = Time::ns(800);
  c.context_switch = Time::us(1);
  c.wake_up = Time::ns(300);
  return c;
}

struct Bench {
  explicit Bench(const CpuOptions& options = {}) : cpu(processor, guest_costs, options, tracer) {
    tracer.add(recorder);
  }
  /// The kernel's loop until nothing is left to come.
  void run() {
    try {
      cpu.run();
    } catch (const SoloProcessor::Idle&) {
    }
  }
  SoloProcessor processor;
  const GuestCosts guest_costs = costs();
  trace::Tracer tracer;
  test::Recorder recorder;
  Cpu cpu;
};

TEST_CASE("10 ms at 250 Hz are 12 to 16 ms, by when they are asked for") {
  struct Row {
    Time asked, fires;
  };
  const auto row = GENERATE(Row{Time{}, Time::ms(16)}, Row{Time::ps(1), Time::ms(16)},
                            Row{Time::ms(3), Time::ms(16)}, Row{Time::ms(4) - Time::ps(1), Time::ms(16)},
                            Row{Time::ms(4), Time::ms(20)}, Row{Time::us(1'000'001), Time::ms(1016)});
  Bench b;
  NoteTimer timer;
  b.processor.spend(row.asked);
  b.cpu.arm(timer, Time::ms(10));
  CHECK(timer.armed());
  b.run();
  CHECK(timer.fired == Times{row.fires + Time::ns(250 + 100)});  // interrupt, softirq
  CHECK_FALSE(timer.armed());
}

TEST_CASE("a whole second is rounded to eight ticks, an hrtimer to nothing") {
  Bench b;
  NoteTimer second, precise;
  b.processor.spend(Time::ms(24));
  b.cpu.arm(second, Time::s(1));  // 250 ticks from tick 6
  b.cpu.arm_at(precise, Time::ms(30) + Time::ps(12'345));
  b.run();
  CHECK(second.fired == Times{Time::ms(264 * 4) + Time::ns(350)});
  CHECK(precise.fired == Times{Time::ms(30) + Time::ps(12'345) + Time::ns(350)});
}

TEST_CASE("a timer may arm itself again, and others of the same tick still fire") {
  Bench b;
  int left = 3;
  NoteTimer again, other;
  again.then = [&](Cpu& cpu) {
    if (--left > 0) cpu.arm(again, Time::ms(4));
  };
  b.cpu.arm(again, Time::ms(4));
  b.cpu.arm(other, Time::ms(4));
  b.run();
  const Time first = Time::ms(8) + Time::ns(350);
  CHECK(again.fired == Times{first, Time::ms(16) + Time::ns(350), Time::ms(24) + Time::ns(350)});
  CHECK(other.fired == Times{first});
}

TEST_CASE("interrupts off nests: what came meanwhile is taken by the outermost on") {
  Bench b;
  std::string order;
  NoteHandler handler([&](Cpu&, unsigned vector) { order += std::to_string(vector) + " "; });
  b.cpu.set_handler(0x30, handler);
  b.processor.raise(0x30, Time::ns(10));
  {
    const InterruptsOff outer(b.cpu);
    {
      const InterruptsOff inner(b.cpu);
      b.cpu.work(Time::ns(50));
      b.cpu.sync();
      order += "inner ";
    }
    b.cpu.sync();
    order += "outer ";
  }
  CHECK(order == "inner outer 48 ");
  CHECK(b.processor.now() == Time::ns(50 + 250));
}

TEST_CASE("a handler runs with interrupts off: the next one waits for its end") {
  Bench b;
  std::string order;
  NoteHandler handler([&](Cpu& cpu, unsigned vector) {
    order += '[';
    order += std::to_string(vector);
    cpu.work(Time::us(1));
    cpu.sync();
    order += "]";
  });
  b.cpu.set_handler(0x30, handler);
  b.cpu.set_handler(0x31, handler);
  b.processor.raise(0x30, Time{});
  b.processor.raise(0x31, Time::ns(500));
  b.cpu.sync();
  CHECK(order == "[48][49]");
}

TEST_CASE("timers expire after the interrupt, with interrupts on, and softirqs do not nest") {
  Bench b;
  std::string order;
  NoteHandler handler([&](Cpu&, unsigned) { order += "irq "; });
  NoteTimer second([&](Cpu&) { order += "second "; });
  NoteTimer first([&](Cpu& cpu) {
    order += "first( ";
    cpu.arm_at(second, cpu.now() + Time::ns(100));
    cpu.work(Time::us(10));  // its interrupt and the device's come in here
    cpu.sync();
    order += ") ";
  });
  b.cpu.set_handler(0x30, handler);
  b.processor.raise(0x30, Time::us(5));
  b.cpu.arm_at(first, Time::us(1));
  b.run();
  CHECK(order == "first( irq ) second ");
}

TEST_CASE("a timer due while interrupts are off fires when they are on again") {
  Bench b;
  NoteTimer timer;
  b.cpu.arm_at(timer, Time::us(1));
  {
    const InterruptsOff off(b.cpu);
    b.cpu.work(Time::us(7));
    b.cpu.sync();
    CHECK(timer.fired.empty());
  }
  CHECK(timer.fired == Times{Time::us(7) + Time::ns(350)});
}

TEST_CASE("work is dearer under nested paging") {
  Bench b(CpuOptions{250, 30'000, Time::ms(3)});
  b.cpu.work(Time::us(1));
  CHECK(b.cpu.now() == Time::ns(1030));
}

TEST_CASE("the tick runs while a thread does, and stops in idleness") {
  Bench b;
  LoopThread thread([&](Cpu& cpu) {
    cpu.work(Time::ms(1));
    return cpu.now() < Time::ms(41);
  });
  b.cpu.wake(thread, b.cpu);
  b.run();
  // Ticks at 4, 8, ... 40 ms, and one more that finds the CPU idle.
  Times ticks;
  for (const Time at : b.processor.timers) {
    if (at != Time::max()) ticks.push_back(at);
  }
  REQUIRE(ticks.size() == 11);
  for (std::size_t i = 0; i < ticks.size(); ++i) CHECK(ticks[i] == Time::ms(4) * (i + 1));
  CHECK(b.processor.now() == Time::ms(44) + Time::ns(250 + 800));
}

TEST_CASE("two threads share the CPU in slices, one alone keeps it") {
  Bench b(CpuOptions{250, 0, Time::ms(3)});
  std::vector<char> turns;
  const auto worker = [&](char name, int& left) {
    return [&turns, name, &left](Cpu& cpu) {
      if (turns.empty() || turns.back() != name) turns.push_back(name);
      cpu.work(Time::ms(1));
      return --left > 0;
    };
  };
  int a_left = 7, b_left = 4;
  LoopThread first(worker('a', a_left)), second(worker('b', b_left));
  b.cpu.wake(first, b.cpu);
  b.cpu.wake(second, b.cpu);
  b.run();
  CHECK(a_left == 0);
  CHECK(b_left == 0);
  CHECK(turns == std::vector<char>{'a', 'b', 'a', 'b', 'a'});  // 3, 3, 3, 1, 1
}

TEST_CASE("a thread that is woken while it decides to sleep does not sleep") {
  Bench b;
  int turns = 0;
  LoopThread thread([&](Cpu& cpu) {
    if (++turns == 1) cpu.wake(thread, cpu);
    return false;
  });
  b.cpu.wake(thread, b.cpu);
  b.run();
  CHECK(turns == 2);
}

TEST_CASE("waking a thread of another CPU sends it an interrupt; of one's own, or one awake, nothing") {
  Bench here;
  Bench there;
  int turns = 0;
  LoopThread thread([&](Cpu&) { return ++turns < 2; });
  there.cpu.wake(thread, here.cpu);
  CHECK(here.processor.sent == std::vector<std::pair<unsigned, unsigned>>{{there.cpu.id(), reschedule_vector}});
  CHECK(here.processor.now() == Time::ns(300));  // the waker pays
  there.cpu.wake(thread, here.cpu);
  CHECK(here.processor.sent.size() == 1);
  CHECK(here.processor.now() == Time::ns(300));
  there.run();
  CHECK(turns == 2);
}

TEST_CASE("a CPU's spans are its whole time, one after the other") {
  Bench b;
  NoteHandler handler([&](Cpu& cpu, unsigned) { cpu.work(Time::us(2)); });
  NoteTimer timer([](Cpu& cpu) { cpu.work(Time::us(3)); });
  b.cpu.set_handler(0x30, handler);
  for (std::uint64_t i = 1; i < 20; ++i) b.processor.raise(0x30, Time::us(777) * i);
  b.cpu.arm(timer, Time::ms(1));
  LoopThread thread([&](Cpu& cpu) {
    cpu.work(Time::us(100));
    return cpu.now() < Time::ms(5);
  });
  b.cpu.wake(thread, b.cpu);
  b.run();
  Time until = Time::ns(300);  // the wake-up, before the kernel's loop began
  std::array<Time, 5> spent{};
  for (const auto& [at, span] : test::of_kind<trace::CpuSpan>(b.recorder.events)) {
    CHECK(Time::ps(span.began_ps) == until);
    spent[static_cast<std::size_t>(span.activity)] += at - until;
    until = at;
  }
  CHECK(spent[static_cast<std::size_t>(trace::Activity::softirq)] == Time::us(3) + Time::ns(100));
  CHECK(spent[static_cast<std::size_t>(trace::Activity::interrupt)] >= 19 * Time::ns(2250));
  CHECK(spent[static_cast<std::size_t>(trace::Activity::idle)] > Time::ms(5));
}

}  // namespace
}  // namespace gnomon::guest
