// SPDX-License-Identifier: Apache-2.0
// Simulated time that stands still, runs out, or ends with a process of ours.
#include "guest/kernel/cpu.hpp"
#include "models/cpu/core/lock.hpp"
#include "tests/module/vcpu_bench.hpp"

namespace gnomon::test {
namespace {

/// Two processes that wake each other and wait for `pause` before they do.
Times ping_pong(Time pause) {
  return isolated_list<Time>([pause] {
    sc_core::sc_event ping{"ping"}, pong{"pong"};
    std::uint64_t turns = 0;
    const auto play = [&turns, pause](sc_core::sc_event& mine, sc_core::sc_event& other) {
      return [&turns, &mine, &other, pause](Script& s) {
        while (turns++ < 3 * std::uint64_t{most_activations_at_an_instant}) {
          notify_at(other, kernel_time() + pause);
          s.wait_for(mine);
        }
      };
    };
    Script one("one", play(ping, pong)), two("two", play(pong, ping));
    sc_core::sc_start();
    return Times{Time::ps(time_stands_still()), Time::ps(turns), from_sc(sc_core::sc_time_stamp())};
  });
}

TEST_CASE("processes that resume each other at one instant pause the simulation") {
  const Times t = ping_pong(Time{});
  CHECK(t.at(0) == Time::ps(1));
  CHECK(t.at(1).ps() >= most_activations_at_an_instant);
  CHECK(t.at(1).ps() < most_activations_at_an_instant + 10);
  CHECK(t.at(2) == Time{});
}

TEST_CASE("however small the step, time that moves does not stand still") {
  const Times t = ping_pong(Time::ps(1));
  CHECK(t.at(0) == Time{});
  CHECK(t.at(1).ps() > 3 * std::uint64_t{most_activations_at_an_instant});
  CHECK(t.at(2) > Time{});
}

TEST_CASE("a delay beyond the end of simulated time is an error, where sc_time would wrap") {
  const Time last = Time::max();
  sc_core::sc_time delay = to_sc(last - Time::ns(5));
  add_delay(delay, Time::ns(5));
  CHECK(from_sc(delay) == last);
  CHECK_THROWS_AS(add_delay(delay, Time::ps(1)), TimeOverflow);
  CHECK(from_sc(delay) == last);
}

/// What ends the program of CPU 0, as the one who runs the kernel finds it.
std::string failure_of(const std::function<void(Vcpu&)>& program) {
  return isolated_bytes([&program]() -> std::string {
    VcpuBench bench(vcpu_config(), true);
    bench[0].load([&] { program(bench[0]); });
    try {
      run_simulation();
      return "";
    } catch (const std::exception& error) {
      return error.what();
    }
  });
}

TEST_CASE("what the software throws comes out as it was") {
  CHECK(failure_of([](Vcpu&) { throw std::bad_alloc(); }) == std::bad_alloc().what());
  CHECK(failure_of([](Vcpu& cpu) {
          cpu.spend(Time::max() - Time::ns(1));
          cpu.sync();
          cpu.spend(Time::ns(2));
          cpu.sync();
        }) == TimeOverflow().what());
  CHECK(failure_of([](Vcpu& cpu) { cpu.spend(Time::us(1)); }).empty());
}

/// A lock, and interrupts off, around `body` on CPU 0.
std::string failure_under_a_lock(const std::function<void(guest::Cpu&)>& body) {
  return failure_of([&body](Vcpu& vcpu) {
    trace::Tracer tracer;
    const guest::GuestCosts costs;
    guest::Cpu cpu(vcpu, costs, guest::CpuOptions{}, tracer);
    Lock lock(0, LockKind::queued, LockCosts{}, RandomStream(1, "lock"), tracer);
    vcpu.spend(Time::ns(5));
    vcpu.sync();
    const guest::InterruptsOff off(cpu);
    const LockGuard guard(lock, vcpu);
    body(cpu);
  });
}

TEST_CASE("time that runs out under a lock is an error like any other, wherever it does") {
  const Time nearly_all = Time::max() - Time::ns(10);
  CHECK(failure_under_a_lock([](guest::Cpu&) {}).empty());
  CHECK(failure_under_a_lock([&](guest::Cpu& cpu) {  // by the work itself, with much of it not synced
          cpu.processor().spend(nearly_all);
          cpu.processor().spend(nearly_all);
        }) == TimeOverflow().what());
  CHECK(failure_under_a_lock([&](guest::Cpu& cpu) {  // by the release: it syncs
          cpu.processor().spend(nearly_all);
          cpu.processor().spend(Time::ns(8));
        }) == TimeOverflow().what());
  CHECK(failure_under_a_lock([](guest::Cpu&) { throw std::bad_alloc(); }) == std::bad_alloc().what());
}

TEST_CASE("an interrupt to a processor that is not there is an error") {
  CHECK(failure_of([](Vcpu& cpu) { cpu.send_interrupt(1, 0x40); }).empty());
  CHECK(failure_of([](Vcpu& cpu) { cpu.send_interrupt(2, 0x40); }).find("a processor that is not there") !=
        std::string::npos);
}

}  // namespace
}  // namespace gnomon::test
