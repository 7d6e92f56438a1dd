// SPDX-License-Identifier: Apache-2.0
// The vCPU's interrupts and timer, and what they cost in a virtual machine.
#include "tests/module/vcpu_bench.hpp"

namespace gnomon::test {
namespace {

TEST_CASE("taking an interrupt costs what the machine has: an exit, an injection, or nothing") {
  struct Row {
    bool virtualised, posted, halted;
    Time cost;
  };
  const auto row = GENERATE(Row{true, false, false, Time::ns(700)}, Row{true, false, true, Time::ns(200)},
                            Row{true, true, false, Time{}}, Row{true, true, true, Time::ns(200)},
                            Row{false, false, false, Time{}}, Row{false, false, true, Time{}});
  CpuConfig c = vcpu_config();
  c.posted_interrupts = row.posted;
  const Times t = run_on_cpu(
      c, row.virtualised,
      [&row](VcpuBench& b, Times& out) {
        if (row.halted) {
          b[0].halt();
        } else {
          b[0].spend(Time::us(5));
          b[0].sync();
        }
        const Time before = b[0].now();
        const unsigned vector = b[0].acknowledge_interrupt();
        out = {Time::ps(vector), b[0].now() - before, Time::ps(b[0].interrupt_pending())};
        for (const auto& [at, taken] : of_kind<trace::InterruptTaken>(b.recorder.events))
          out.push_back(Time::ps(taken.raised_ps));
      },
      [](VcpuBench& b, Times&) {
        b.script([&b](Script& s) {
          s.wait_until(Time::us(1));
          b.interrupt(0x40, Time::ns(3));
        });
      });
  CHECK(t == Times{Time::ps(0x40), row.cost, Time{}, Time::ns(1003)});
}

TEST_CASE("only the interrupt that ends a halt is injected for free of an exit") {
  const Times t = run_on_cpu(
      vcpu_config(), true,
      [](VcpuBench& b, Times& out) {
        b[0].halt();
        b[0].spend(Time::us(20));
        b[0].sync();
        for (int i = 0; i < 2; ++i) {
          const Time before = b[0].now();
          out.push_back(Time::ps(b[0].acknowledge_interrupt()));
          out.push_back(b[0].now() - before);
        }
      },
      [](VcpuBench& b, Times&) {
        b.script([&b](Script& s) {
          s.wait_until(Time::us(1));
          b.interrupt(0x40);
          s.wait_until(Time::us(10));
          b.interrupt(0x33);
        });
      });
  CHECK(t == Times{Time::ps(0x40), Time::ns(200), Time::ps(0x33), Time::ns(700)});
}

TEST_CASE("the highest vector goes first, and a vector that is pending is pending once") {
  const Times t = run_on_cpu(
      vcpu_config(), false,
      [](VcpuBench& b, Times& out) {
        b[0].spend(Time::us(5));
        b[0].sync();
        while (b[0].interrupt_pending()) out.push_back(Time::ps(b[0].acknowledge_interrupt()));
      },
      [](VcpuBench& b, Times&) {
        b.script([&b](Script& s) {
          s.wait_until(Time::us(1));
          for (const unsigned vector : {0x31u, 0x80u, 0x31u, 0x40u}) b.interrupt(vector);
        });
      });
  CHECK(t == Times{Time::ps(0x80), Time::ps(0x40), Time::ps(0x31)});
}

TEST_CASE("the timer fires at its time, unless it was set again or off") {
  const Times t = run_on_cpu(
      vcpu_config(), false,
      [](VcpuBench& b, Times& out) {
        Vcpu& cpu = b[0];
        cpu.set_timer(Time::us(10));
        cpu.halt();
        out.push_back(cpu.now());
        out.push_back(Time::ps(cpu.acknowledge_interrupt()));
        cpu.set_timer(Time::us(20));
        cpu.set_timer(Time::us(30));
        cpu.halt();
        out.push_back(cpu.now());
        cpu.acknowledge_interrupt();
        cpu.set_timer(Time::us(40));
        cpu.set_timer(Time::max());
        cpu.spend(Time::us(50));
        cpu.sync();
        out.push_back(Time::ps(cpu.interrupt_pending()));
        cpu.set_timer(Time::us(1));  // long past
        cpu.halt();
        out.push_back(cpu.now());
      },
      [](VcpuBench&, Times&) {});
  const Time wake = Time::ns(800);
  CHECK(t == Times{Time::us(10) + wake, Time::ps(timer_vector), Time::us(30) + wake, Time{},
                   Time::us(80) + wake + wake});
}

TEST_CASE("in a virtual machine, setting the timer and its expiry are exits") {
  const Times t = run_on_cpu([](VcpuBench& b, Times& out) {
    b[0].set_timer(Time::us(10));
    out.push_back(b[0].now());
    b[0].spend(Time::us(20));
    b[0].sync();
    b[0].acknowledge_interrupt();
    for (const auto& [at, exit] : of_kind<trace::VmExit>(b.recorder.events)) {
      out.insert(out.end(), {Time::ps(static_cast<std::uint64_t>(exit.reason)), at - Time::ps(exit.began_ps)});
    }
  });
  const auto reason = [](trace::ExitReason r) { return Time::ps(static_cast<std::uint64_t>(r)); };
  CHECK(t == Times{Time::ns(500), reason(trace::ExitReason::msr_write), Time::ns(500),
                   reason(trace::ExitReason::preemption_timer), Time::ns(650)});
}

TEST_CASE("an inter-processor interrupt takes its exit, then its way") {
  const Times t = run_on_cpu(
      vcpu_config(), true,
      [](VcpuBench& b, Times& out) {
        b[0].spend(Time::us(1));
        b[0].send_interrupt(1, reschedule_vector);
        out.push_back(b[0].now());
      },
      [](VcpuBench& b, Times& out) {
        b[1].load([&] {
          b[1].halt();
          out.push_back(global_time());
          out.push_back(Time::ps(b[1].acknowledge_interrupt()));
        });
      });
  CHECK(t == Times{Time::ns(1500), Time::ns(1500 + 400 + 600), Time::ps(reschedule_vector)});
}

}  // namespace
}  // namespace gnomon::test
