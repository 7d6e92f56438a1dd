// SPDX-License-Identifier: Apache-2.0
#include "models/cpu/vcpu.hpp"

#include <algorithm>

namespace gnomon {

Vcpu::Vcpu(const sc_core::sc_module_name& name, unsigned id, const CpuConfig& config, bool virtualised,
           trace::Tracer& tracer, std::uint64_t& activations)
    : sc_module(name), id_(id), config_(config), virtualised_(virtualised), tracer_(tracer), activations_(activations) {
  interrupts.register_b_transport(this, &Vcpu::on_interrupt);
  access_.requester().processor = this;
  pending_.reserve(16);
}

void Vcpu::execute() {
  program_();
  sync();
}

void Vcpu::sync() {
  if (ahead_ == Time{}) return;
  const Time target = now();  // throws where the sum would leave the range of simulated time
  ahead_ = Time{};
  thread_.wait_until(target);
}

void Vcpu::meet_kernel() {
  sync();
  thread_.meet_kernel();
}

void Vcpu::park() {
  sync();
  if (unpark_at_ == Time::max()) {
    parked_ = true;
    thread_.wait();
    parked_ = false;
  } else if (unpark_at_ > global_time()) {
    thread_.wait_until(unpark_at_);
  }
  unpark_at_ = Time::max();
}

void Vcpu::unpark(Time at) {
  unpark_at_ = at;
  if (parked_) thread_.wake_at(at);
}

void Vcpu::write_mmio(Gpa address, std::uint64_t value, unsigned bytes) {
  auto& payload = access_.prepare(tlm::TLM_WRITE_COMMAND, address.value, &value, bytes);
  sc_core::sc_time delay = to_sc(ahead_);
  mmio->b_transport(payload, delay);
  ahead_ = from_sc(delay);
  if (!payload.is_response_ok()) SC_REPORT_ERROR("mmio", "store to an address where no device answers");
}

std::uint64_t Vcpu::read_mmio(Gpa address, unsigned bytes) {
  std::uint64_t value = 0;
  sync();
  auto& payload = access_.prepare(tlm::TLM_READ_COMMAND, address.value, &value, bytes);
  sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
  mmio->b_transport(payload, delay);
  ahead_ += from_sc(delay);
  sync();
  if (!payload.is_response_ok()) SC_REPORT_ERROR("mmio", "load from an address where no device answers");
  return value;
}

void Vcpu::halt() {
  sync();
  const Time began = global_time();
  while (!interrupt_pending()) {
    thread_.wake_at(earliest_interrupt());  // one under way; an earlier message may still arrive
    halted_ = true;
    thread_.wait();
    halted_ = false;
  }
  if (!virtualised_) {
    spend(config_.idle_wake);
  } else {
    spend(config_.exits.hlt);
    if (global_time() - began > config_.halt_poll) spend(config_.sleep_wake);
    left_guest_ = true;
  }
  sync();
  if (virtualised_) tracer_.emit(global_time(), trace::VmExit{began.ps(), id_, trace::ExitReason::hlt});
}

bool Vcpu::interrupt_pending() const {
  const Time now = global_time();
  return std::any_of(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.at <= now; });
}

Time Vcpu::earliest_interrupt() const {
  Time at = Time::max();
  for (const Pending& p : pending_) at = std::min(at, p.at);
  return at;
}

unsigned Vcpu::acknowledge_interrupt() {
  const Time now = global_time();
  auto best = pending_.end();
  for (auto p = pending_.begin(); p != pending_.end(); ++p) {
    if (p->at <= now && (best == pending_.end() || p->vector > best->vector)) best = p;
  }
  const Pending taken = *best;
  pending_.erase(best);
  if (virtualised_) {
    const bool timer = taken.vector == timer_vector;
    if (left_guest_) {
      spend(config_.exits.injection);
    } else if (timer) {
      exit(trace::ExitReason::preemption_timer, config_.exits.preemption_timer);
    } else if (!config_.posted_interrupts) {
      exit(trace::ExitReason::external_interrupt, config_.exits.external_interrupt);
    }
  }
  left_guest_ = false;
  tracer_.emit(global_time(), trace::InterruptTaken{taken.at.ps(), id_, taken.vector});
  return taken.vector;
}

void Vcpu::exit(trace::ExitReason reason, Time cost) {
  const Time began = now();
  spend(cost);
  sync();
  tracer_.emit(global_time(), trace::VmExit{began.ps(), id_, reason});
}

void Vcpu::set_timer(Time at) {
  timer_.cancel();
  if (virtualised_) exit(trace::ExitReason::msr_write, config_.exits.msr_write);
  timer_.at(at);
}

void Vcpu::timer_expired() {
  ++activations_;
  raise(timer_vector, global_time());
}

void Vcpu::send_interrupt(unsigned processor, unsigned vector) {
  if (virtualised_) exit(trace::ExitReason::msr_write, config_.exits.msr_write);
  sync();
  std::uint32_t data = vector;
  auto& payload = message_.prepare(tlm::TLM_WRITE_COMMAND, 0xfee00000u | (processor << 12), &data, sizeof data);
  sc_core::sc_time delay = to_sc(config_.interprocessor);
  interprocessor->b_transport(payload, delay);
  if (!payload.is_response_ok()) SC_REPORT_ERROR("interrupt", "message to a processor that is not there");
}

void Vcpu::on_interrupt(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  std::uint32_t vector = 0;
  std::memcpy(&vector, payload.get_data_ptr(), sizeof vector);
  raise(vector & 0xff, global_time() + from_sc(delay));
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

void Vcpu::raise(unsigned vector, Time at) {
  // One bit a vector, as in the APIC's request register: a second interrupt before the first is taken is the same one.
  const auto same = std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.vector == vector; });
  if (same != pending_.end()) {
    same->at = std::min(same->at, at);
  } else {
    pending_.push_back({at, vector});
  }
  if (halted_) thread_.wake_at(at);
}

}  // namespace gnomon
