// SPDX-License-Identifier: Apache-2.0
// The vCPU: its own clock against global time, waiting, interrupts, timers, and what leaving the guest costs.
#include "models/cpu/vcpu.hpp"

#include <optional>

#include "models/fabric/interrupt_fabric.hpp"
#include "tests/support/isolated.hpp"
#include "tests/support/recorder.hpp"
#include "tests/support/test_bench.hpp"
#include "tests/support/time_text.hpp"

namespace gnomon::test {
namespace {

using Times = std::vector<Time>;

CpuConfig config() {
  CpuConfig c;
  c.exits = {Time::ns(700), Time::ns(600), Time::ns(500), Time::ns(650), Time::ns(200)};
  c.halt_poll = Time::us(200);
  c.sleep_wake = Time::us(4);
  c.idle_wake = Time::ns(800);
  c.interprocessor = Time::ns(400);
  return c;
}

/// Two CPUs, a device that sends interrupts, and a register.
struct Bench {
  explicit Bench(const CpuConfig& c = config(), bool virtualised = true) {
    tracer.add(recorder);
    for (unsigned i = 0; i < 2; ++i) {
      cpus.push_back(std::make_unique<Vcpu>(i == 0 ? "cpu0" : "cpu1", i, c, virtualised, tracer, activations));
      cpus[i]->interprocessor.bind(fabric.messages);
      fabric.cpus.bind(cpus[i]->interrupts);
      registers.push_back(std::make_unique<Target>(i == 0 ? "registers0" : "registers1", Time::ns(30)));
      cpus[i]->mmio.bind(registers[i]->in);
      cpus[i]->load([] {});
    }
    device.out.bind(fabric.messages);
  }
  Vcpu& operator[](unsigned i) { return *cpus[i]; }
  void script(std::function<void(Script&)> body) {
    scripts.push_back(std::make_unique<Script>(sc_core::sc_gen_unique_name("script"), std::move(body)));
  }
  void interrupt(unsigned vector, Time delay = {}, unsigned cpu = 0) {
    device.write(0xfee00000u | (cpu << 12), std::uint32_t{vector}, delay);
  }

  trace::Tracer tracer;
  Recorder recorder;
  std::uint64_t activations = 0;
  InterruptFabric fabric{"fabric"};
  std::vector<std::unique_ptr<Vcpu>> cpus;
  std::vector<std::unique_ptr<Target>> registers;
  Initiator device{"device"};
  std::vector<std::unique_ptr<Script>> scripts;
};

/// What `program(bench, out)` on CPU 0 puts into `out`. `around(bench)` sets up the rest of the world.
template <class Program, class Around>
Times run_on_cpu(const CpuConfig& c, bool virtualised, Program program, Around around) {
  return isolated_list<Time>([&] {
    Times out;
    Bench bench(c, virtualised);
    bench[0].load([&] { program(bench, out); });
    around(bench, out);
    sc_core::sc_start();
    return out;
  });
}
template <class Program>
Times run_on_cpu(Program program) {
  return run_on_cpu(config(), true, program, [](Bench&, Times&) {});
}

TEST_CASE("a processor's clock runs ahead, and sync brings global time up to it") {
  const Times t = run_on_cpu([](Bench& b, Times& out) {
    b[0].spend(Time::ns(30));
    out = {b[0].now(), global_time()};
    b[0].sync();
    out.insert(out.end(), {b[0].now(), global_time()});
    b[0].sync();
    out.push_back(global_time());
  });
  CHECK(t == Times{Time::ns(30), Time{}, Time::ns(30), Time::ns(30), Time::ns(30)});
}

/// Work of odd lengths, syncs, a register, a timer, interrupts from outside: every time the program can see.
void mixed_program(Bench& b, Times& out) {
  Vcpu& cpu = b[0];
  cpu.set_timer(Time::us(40));
  for (std::uint64_t i = 1; i <= 200; ++i) {
    cpu.spend(Time::ps(i * 7919 % 100'003));
    if (i % 3 == 0) cpu.sync();
    if (i % 7 == 0) cpu.write_mmio(Gpa{i}, i, 4);
    if (i % 31 == 0) out.push_back(Time::ps(cpu.read_mmio(Gpa{8}, 4)));
    if (i % 50 == 0) cpu.halt();
    if (cpu.interrupt_pending()) out.push_back(Time::ps(cpu.acknowledge_interrupt()));
    out.push_back(cpu.now());
  }
  for (const auto& access : b.registers[0]->seen) out.push_back(access.at);
}

TEST_CASE("a vCPU sees the same times alone and beside somebody who is due at every turn") {
  const auto world = [](bool ticker) {
    return run_on_cpu(config(), true, mixed_program, [ticker](Bench& b, Times&) {
      b.script([&b](Script& s) {
        for (std::uint64_t at = 3; at < 60; at += 13) {
          s.wait_until(Time::us(at));
          b.interrupt(0x30 + static_cast<unsigned>(at), Time::ns(1));
        }
        s.wait_until(Time::us(500));
        b.interrupt(0x31);
      });
      if (!ticker) return;
      b.script([](Script& s) {
        for (std::uint64_t i = 1; i < 20'000; ++i) s.wait_until(Time::ps(i * 6'007));
      });
      b[1].load([&b] {
        for (int i = 0; i < 10'000; ++i) {
          b[1].spend(Time::ns(11));
          b[1].sync();
        }
      });
    });
  };
  const Times alone = world(false);
  CHECK(alone.size() > 230);
  CHECK(alone == world(true));
}

TEST_CASE("beside nobody, a processor runs ahead without a context switch; beside somebody it stops at his time") {
  const auto activations = [](bool somebody) {
    return run_on_cpu(
        config(), true,
        [](Bench& b, Times& out) {
          for (int i = 0; i < 50; ++i) {
            b[0].spend(Time::us(1));
            b[0].sync();
          }
          out.push_back(Time::ps(b.activations));
        },
        [somebody](Bench& b, Times&) {
          if (somebody) b.script([](Script& s) { s.wait_until(Time::us(20)); });
        })[0];
  };
  CHECK(activations(false).ps() == 3);  // both programs' start, and the first sync, which the second start was due at
  CHECK(activations(true).ps() == 4);
}

TEST_CASE("what comes from outside at an instant has happened for a sync that reaches it") {
  const Times t = run_on_cpu(
      config(), true,
      [](Bench& b, Times& out) {
        b[0].spend(Time::ns(999));
        b[0].sync();
        out.push_back(Time::ps(b[0].interrupt_pending()));
        b[0].spend(Time::ns(2));
        b[0].sync();
        out.push_back(Time::ps(b[0].interrupt_pending()));
      },
      [](Bench& b, Times&) {
        b.script([&b](Script& s) {
          s.wait_until(Time::us(1));
          b.interrupt(0x40);
        });
      });
  CHECK(t == Times{Time{}, Time::ps(1)});
}

TEST_CASE("park waits for unpark, to the picosecond") {
  const Times t = run_on_cpu(
      config(), true,
      [](Bench& b, Times& out) {
        b[0].spend(Time::ns(100));
        b[0].park();
        out.push_back(global_time());
      },
      [](Bench& b, Times& out) {
        b.script([&](Script& s) {
          s.wait_until(Time::us(3));
          out.push_back(Time::ps(b[0].parked()));
          b[0].unpark(Time::us(3) + Time::ps(17));
        });
      });
  CHECK(t == Times{Time::ps(1), Time::us(3) + Time::ps(17)});
}

TEST_CASE("an unpark that came before the park counts, at its time") {
  const Time at = GENERATE(Time::ns(50), Time::ns(100), Time::ns(250));
  const Times t = run_on_cpu([at](Bench& b, Times& out) {
    b[0].unpark(at);
    b[0].spend(Time::ns(100));
    b[0].park();
    out.push_back(global_time());
    b[0].unpark(global_time());  // counts once
    b[0].park();
    out.push_back(global_time());
  });
  const Time expected = std::max(at, Time::ns(100));
  CHECK(t == Times{expected, expected});
}

TEST_CASE("halt ends at an interrupt's arrival, plus the way back into the guest") {
  struct Row {
    Time arrives;
    bool virtualised;
    Time over;
  };
  const auto row = GENERATE(Row{Time::us(150), true, Time::us(150) + Time::ns(600)},
                            Row{Time::us(201), true, Time::us(201) + Time::ns(600)},  // polled for exactly 200 us
                            Row{Time::us(201) + Time::ps(1), true, Time::us(205) + Time::ns(600) + Time::ps(1)},
                            Row{Time::us(500), false, Time::us(500) + Time::ns(800)});
  const Times t = run_on_cpu(
      config(), row.virtualised,
      [&row](Bench& b, Times& out) {
        b[0].spend(Time::us(1));
        b[0].halt();
        out.push_back(global_time());
        for (const auto& [at, exit] : of_kind<trace::VmExit>(b.recorder.events)) {
          out.insert(out.end(), {Time::ps(exit.began_ps), at});
        }
      },
      [&row](Bench& b, Times&) {
        b.script([&b, &row](Script& s) {
          s.wait_until(row.arrives - Time::ns(40));
          b.interrupt(0x40, Time::ns(40));
        });
      });
  if (row.virtualised) {
    CHECK(t == Times{row.over, Time::us(1), row.over});
  } else {
    CHECK(t == Times{row.over});
  }
}

TEST_CASE("halt returns at once for an interrupt that is there, and waits for the earlier of two under way") {
  const Times t = run_on_cpu(
      config(), false,
      [](Bench& b, Times& out) {
        b[0].spend(Time::us(2));
        b[0].halt();
        out.push_back(global_time());
        while (b[0].interrupt_pending()) b[0].acknowledge_interrupt();
        b[0].halt();
        out.push_back(global_time());
        out.push_back(Time::ps(b[0].acknowledge_interrupt()));
      },
      [](Bench& b, Times&) {
        b.script([&b](Script& s) {
          s.wait_until(Time::us(1));
          b.interrupt(0x40);
          s.wait_until(Time::us(10));
          b.interrupt(0x41, Time::us(5));
          b.interrupt(0x42, Time::us(1));
        });
      });
  CHECK(t == Times{Time::us(2) + Time::ns(800), Time::us(11) + Time::ns(800), Time::ps(0x42)});
}

TEST_CASE("taking an interrupt costs what the machine has: an exit, an injection, or nothing") {
  struct Row {
    bool virtualised, posted, halted;
    Time cost;
  };
  const auto row = GENERATE(Row{true, false, false, Time::ns(700)}, Row{true, false, true, Time::ns(200)},
                            Row{true, true, false, Time{}}, Row{true, true, true, Time::ns(200)},
                            Row{false, false, false, Time{}}, Row{false, false, true, Time{}});
  CpuConfig c = config();
  c.posted_interrupts = row.posted;
  const Times t = run_on_cpu(
      c, row.virtualised,
      [&row](Bench& b, Times& out) {
        if (row.halted) {
          b[0].halt();
        } else {
          b[0].spend(Time::us(5));
          b[0].sync();
        }
        const Time before = b[0].now();
        const unsigned vector = b[0].acknowledge_interrupt();
        out = {Time::ps(vector), b[0].now() - before, Time::ps(b[0].interrupt_pending())};
        for (const auto& [at, taken] : of_kind<trace::InterruptTaken>(b.recorder.events)) out.push_back(Time::ps(taken.raised_ps));
      },
      [](Bench& b, Times&) {
        b.script([&b](Script& s) {
          s.wait_until(Time::us(1));
          b.interrupt(0x40, Time::ns(3));
        });
      });
  CHECK(t == Times{Time::ps(0x40), row.cost, Time{}, Time::ns(1003)});
}

TEST_CASE("only the interrupt that ends a halt is injected for free of an exit") {
  const Times t = run_on_cpu(
      config(), true,
      [](Bench& b, Times& out) {
        b[0].halt();
        b[0].spend(Time::us(20));
        b[0].sync();
        for (int i = 0; i < 2; ++i) {
          const Time before = b[0].now();
          out.push_back(Time::ps(b[0].acknowledge_interrupt()));
          out.push_back(b[0].now() - before);
        }
      },
      [](Bench& b, Times&) {
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
      config(), false,
      [](Bench& b, Times& out) {
        b[0].spend(Time::us(5));
        b[0].sync();
        while (b[0].interrupt_pending()) out.push_back(Time::ps(b[0].acknowledge_interrupt()));
      },
      [](Bench& b, Times&) {
        b.script([&b](Script& s) {
          s.wait_until(Time::us(1));
          for (const unsigned vector : {0x31u, 0x80u, 0x31u, 0x40u}) b.interrupt(vector);
        });
      });
  CHECK(t == Times{Time::ps(0x80), Time::ps(0x40), Time::ps(0x31)});
}

TEST_CASE("the timer fires at its time, unless it was set again or off") {
  const Times t = run_on_cpu(config(), false,
                             [](Bench& b, Times& out) {
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
                             [](Bench&, Times&) {});
  const Time wake = Time::ns(800);
  CHECK(t == Times{Time::us(10) + wake, Time::ps(timer_vector), Time::us(30) + wake, Time{},
                   Time::us(80) + wake + wake});
}

TEST_CASE("in a virtual machine, setting the timer and its expiry are exits") {
  const Times t = run_on_cpu([](Bench& b, Times& out) {
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
      config(), true,
      [](Bench& b, Times& out) {
        b[0].spend(Time::us(1));
        b[0].send_interrupt(1, reschedule_vector);
        out.push_back(b[0].now());
      },
      [](Bench& b, Times& out) {
        b[1].load([&] {
          b[1].halt();
          out.push_back(global_time());
          out.push_back(Time::ps(b[1].acknowledge_interrupt()));
        });
      });
  CHECK(t == Times{Time::ns(1500), Time::ns(1500 + 400 + 600), Time::ps(reschedule_vector)});
}

TEST_CASE("a store is posted at the processor's own time, a load waits") {
  const Times t = run_on_cpu([](Bench& b, Times& out) {
    b.registers[0]->answer = [](Target::Access& access, void* data) {
      if (!access.write) std::memset(data, 0x5a, access.bytes);
    };
    b[0].spend(Time::ns(70));
    b[0].write_mmio(Gpa{0x10}, 0x1122334455667788, 4);
    out.push_back(global_time());  // not synced by a store
    out.push_back(b.registers[0]->seen.at(0).at);
    out.push_back(Time::ps(b.registers[0]->seen.at(0).data));
    out.push_back(Time::ps(b[0].read_mmio(Gpa{0x20}, 4)));
    out.push_back(b.registers[0]->seen.at(1).at);
    out.push_back(global_time());
  });
  const Time after_store = Time::ns(70 + 30);
  CHECK(t == Times{Time{}, Time::ns(70), Time::ps(0x55667788), Time::ps(0x5a5a5a5a), after_store,
                   after_store + Time::ns(30)});
}

TEST_CASE("an access that nobody answers ends the simulation with words") {
  const bool load = GENERATE(false, true);
  CHECK_THROWS_WITH(run_on_cpu([load](Bench& b, Times&) {
                      b.registers[0]->refuses = true;
                      if (load) {
                        b[0].read_mmio(Gpa{0}, 4);
                      } else {
                        b[0].write_mmio(Gpa{0}, 0, 4);
                      }
                    }),
                    Catch::Contains("no device answers"));
}

}  // namespace
}  // namespace gnomon::test
