// SPDX-License-Identifier: Apache-2.0
// Two vCPUs, a device that interrupts them, and a register each.
#pragma once

#include <memory>
#include <vector>

#include "models/cpu/vcpu.hpp"
#include "models/fabric/interrupt_fabric.hpp"
#include "tests/support/isolated.hpp"
#include "tests/support/recorder.hpp"
#include "tests/support/test_bench.hpp"
#include "tests/support/time_text.hpp"

namespace gnomon::test {

using Times = std::vector<Time>;

inline CpuConfig vcpu_config() {
  CpuConfig c;
  c.exits = {Time::ns(700), Time::ns(600), Time::ns(500), Time::ns(650), Time::ns(200)};
  c.halt_poll = Time::us(200);
  c.sleep_wake = Time::us(4);
  c.idle_wake = Time::ns(800);
  c.interprocessor = Time::ns(400);
  return c;
}

/// Two CPUs, a device that sends interrupts, and a register.
struct VcpuBench {
  explicit VcpuBench(const CpuConfig& c, bool virtualised) {
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
    VcpuBench bench(c, virtualised);
    bench[0].load([&] { program(bench, out); });
    around(bench, out);
    run_simulation();
    return out;
  });
}
template <class Program>
Times run_on_cpu(Program program) {
  return run_on_cpu(vcpu_config(), true, program, [](VcpuBench&, Times&) {});
}

}  // namespace gnomon::test
