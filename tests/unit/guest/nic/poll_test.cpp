// SPDX-License-Identifier: Apache-2.0
// NAPI: its budget, and the moment between the last look at the ring and the arming of the interrupt.
#include <catch2/catch.hpp>

#include "guest/iperf/workload.hpp"
#include "tests/support/nic_bench.hpp"

namespace gnomon::guest {
namespace {

using test::NicBench;
using test::of_kind;

struct Idle final : SocketClient {
  void ready(Cpu&) override {}
};

SocketOptions options(std::uint16_t remote) {
  SocketOptions o;
  o.local_port = 5201;
  o.remote_port = remote;
  return o;
}

constexpr std::uint64_t arm_offset = nic::offset_of(0, nic::QueueRegister::completion_head);

TEST_CASE("a completion between the last look and the arming makes an interrupt: it is not lost") {
  NicBench b;
  b.probe();
  Idle client;
  TcpSocket socket(options(nic::chargen_port), b.queue(), b.driver, client);
  bool delayed = false;
  // The poll has found the ring empty and is about to arm: the CPU stops here until the SYN-ACK has come.
  b.before_store = [&](std::uint64_t offset, std::uint64_t value) {
    const bool arms =
        offset == arm_offset && nic::decode_completion_doorbell(static_cast<std::uint32_t>(value)).arm;
    if (!arms || delayed || socket.established()) return;
    delayed = true;
    b.spend(Time::us(60));
  };
  socket.connect(b.cpu);
  b.run();
  CHECK(delayed);
  CHECK(socket.established());
}

TEST_CASE(
    "no poll takes more packets than its budget and a buffer; a full one is polled again without an interrupt") {
  NicDriverOptions o;
  o.budget = 16;
  NicBench b({}, o);
  b.probe();
  iperf::IperfSpec spec;
  spec.time = Time::ms(2);
  IperfWorkload workload(spec, {&b.cpu}, b.driver);
  workload.start(b.cpu, [](Cpu&) { throw NicBench::Stop{}; });
  b.run();
  std::uint64_t full = 0;
  std::uint64_t rearmed = 0;
  for (const auto& [at, poll] : of_kind<trace::PollReturned>(b.recorder.events)) {
    CHECK(poll.packets <= 17);  // a buffer holds two
    full += poll.packets >= 16;
    rearmed += poll.rearmed;
    CHECK((poll.packets >= 16) != (poll.rearmed == 1));
  }
  CHECK(full > 0);
  CHECK(rearmed > 0);
  CHECK(b.core.counters().interrupts <= rearmed + 1);
}

TEST_CASE("a lost mapping of every page: the ring fills when there are mappings again") {
  NicBench b;
  b.probe();
  b.dma.refuse = true;
  Idle client;
  CHECK_FALSE(b.queue().transmit(b.cpu, {}, {}, 0, 0));
  CHECK(b.queue().counters().frames_refused == 1);
  b.dma.refuse = false;
  CHECK(b.queue().transmit(b.cpu, {}, {}, 0, 0));
}

}  // namespace
}  // namespace gnomon::guest
