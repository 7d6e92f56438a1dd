// SPDX-License-Identifier: Apache-2.0
// The vCPU's own clock against global time: running ahead, waiting, halting, reaching devices.
#include "tests/module/vcpu_bench.hpp"

namespace gnomon::test {
namespace {

TEST_CASE("a processor's clock runs ahead, and sync brings global time up to it") {
  const Times t = run_on_cpu([](VcpuBench& b, Times& out) {
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
void mixed_program(VcpuBench& b, Times& out) {
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
    return run_on_cpu(vcpu_config(), true, mixed_program, [ticker](VcpuBench& b, Times&) {
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
        vcpu_config(), true,
        [](VcpuBench& b, Times& out) {
          for (int i = 0; i < 50; ++i) {
            b[0].spend(Time::us(1));
            b[0].sync();
          }
          out.push_back(Time::ps(b.activations));
        },
        [somebody](VcpuBench& b, Times&) {
          if (somebody) b.script([](Script& s) { s.wait_until(Time::us(20)); });
        })[0];
  };
  CHECK(activations(false).ps() == 3);  // both programs' start; the first sync, before which the second start was due
  CHECK(activations(true).ps() == 5);   // the kernel's turn, and the script's at the same instant
}

TEST_CASE("what comes from outside at an instant has happened for a sync that reaches it") {
  const Times t = run_on_cpu(
      vcpu_config(), true,
      [](VcpuBench& b, Times& out) {
        b[0].spend(Time::ns(999));
        b[0].sync();
        out.push_back(Time::ps(b[0].interrupt_pending()));
        b[0].spend(Time::ns(2));
        b[0].sync();
        out.push_back(Time::ps(b[0].interrupt_pending()));
      },
      [](VcpuBench& b, Times&) {
        b.script([&b](Script& s) {
          s.wait_until(Time::us(1));
          b.interrupt(0x40);
        });
      });
  CHECK(t == Times{Time{}, Time::ps(1)});
}

TEST_CASE("park waits for unpark, to the picosecond") {
  const Times t = run_on_cpu(
      vcpu_config(), true,
      [](VcpuBench& b, Times& out) {
        b[0].spend(Time::ns(100));
        b[0].park();
        out.push_back(global_time());
      },
      [](VcpuBench& b, Times& out) {
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
  const Times t = run_on_cpu([at](VcpuBench& b, Times& out) {
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
      vcpu_config(), row.virtualised,
      [&row](VcpuBench& b, Times& out) {
        b[0].spend(Time::us(1));
        b[0].halt();
        out.push_back(global_time());
        for (const auto& [at, exit] : of_kind<trace::VmExit>(b.recorder.events)) {
          out.insert(out.end(), {Time::ps(exit.began_ps), at});
        }
      },
      [&row](VcpuBench& b, Times&) {
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
      vcpu_config(), false,
      [](VcpuBench& b, Times& out) {
        b[0].spend(Time::us(2));
        b[0].halt();
        out.push_back(global_time());
        while (b[0].interrupt_pending()) b[0].acknowledge_interrupt();
        b[0].halt();
        out.push_back(global_time());
        out.push_back(Time::ps(b[0].acknowledge_interrupt()));
      },
      [](VcpuBench& b, Times&) {
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

TEST_CASE("a store is posted at the processor's own time, a load waits") {
  const Times t = run_on_cpu([](VcpuBench& b, Times& out) {
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
  CHECK_THROWS_WITH(run_on_cpu([load](VcpuBench& b, Times&) {
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
