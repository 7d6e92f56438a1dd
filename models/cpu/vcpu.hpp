// SPDX-License-Identifier: Apache-2.0
// A host core that runs one CPU's software: a vCPU in a virtual machine, the CPU itself on bare metal.
#pragma once

#include <tlm_utils/simple_initiator_socket.h>
#include <tlm_utils/simple_target_socket.h>

#include <functional>
#include <vector>

#include "models/cpu/config.hpp"
#include "models/cpu/core/processor.hpp"
#include "models/fabric/calendar.hpp"
#include "models/fabric/payload.hpp"
#include "models/trace/tracer.hpp"

namespace gnomon {

/// Executes a program as a software thread, on a clock of its own that meets global time at sync() only.
class Vcpu final : public sc_core::sc_module, public Processor {
 public:
  tlm_utils::simple_initiator_socket<Vcpu> mmio{"mmio"};              ///< loads and stores to devices
  tlm_utils::simple_initiator_socket<Vcpu> interprocessor{"ipi"};     ///< interrupts to other CPUs
  tlm_utils::simple_target_socket<Vcpu> interrupts{"interrupts"};     ///< message-signalled interrupts for this CPU

  /// `virtualised`: interrupts, halts and timers exit to KVM. `activations` counts switches to this CPU's thread
  /// and its timer's steps.
  Vcpu(const sc_core::sc_module_name& name, unsigned id, const CpuConfig& config, bool virtualised,
       trace::Tracer& tracer, std::uint64_t& activations);

  /// What the CPU executes from power-on. Set before the simulation starts.
  void load(std::function<void()> program) { program_ = std::move(program); }

  unsigned id() const override { return id_; }
  Time now() const override { return global_time() + ahead_; }
  void spend(Time work) override { ahead_ += work; }
  void sync() override;
  void park() override;
  void unpark(Time at) override;
  void write_mmio(Gpa address, std::uint64_t value, unsigned bytes) override;
  std::uint64_t read_mmio(Gpa address, unsigned bytes) override;
  void halt() override;
  bool interrupt_pending() const override;
  unsigned acknowledge_interrupt() override;
  void set_timer(Time at) override;
  void send_interrupt(unsigned processor, unsigned vector) override;

  /// sync(), and the kernel's own time has come too: before the simulation is paused.
  void meet_kernel();
  bool parked() const { return parked_; }
  bool halted() const { return halted_; }

 private:
  struct Pending {
    Time at;
    unsigned vector;
  };

  void execute();
  void timer_expired();
  void on_interrupt(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay);
  void raise(unsigned vector, Time at);
  void exit(trace::ExitReason reason, Time cost);
  Time earliest_interrupt() const;

  const unsigned id_;
  const CpuConfig config_;
  const bool virtualised_;
  trace::Tracer& tracer_;
  std::uint64_t& activations_;
  std::function<void()> program_;
  Transaction access_;
  Transaction message_;
  Time ahead_;
  std::vector<Pending> pending_;
  SoftwareThread thread_{[this] { execute(); }, activations_};
  TimedStep timer_{[this] { timer_expired(); }};
  Time unpark_at_ = Time::max();
  bool parked_ = false;
  bool halted_ = false;
  bool left_guest_ = false;  // a halt has exited: the interrupt that ends it needs no exit of its own
};

}  // namespace gnomon
