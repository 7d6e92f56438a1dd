// SPDX-License-Identifier: Apache-2.0
// The command queue shared by several CPUs: owner windows, order, wrapping, a full queue, both ways to wait.
#include <catch2/catch.hpp>
#include <map>

#include "tests/support/smmu_bench.hpp"

using namespace gnomon;
using namespace gnomon::test;
using guest::Cpu;
using guest::SmmuBatch;
using guest::SmmuCommandQueue;
using smmuv3::CmdSync;
using smmuv3::TlbiNhVa;
namespace reg = smmuv3::reg;

namespace {

SmmuBench::Options with_cpus(unsigned cpus, bool msi = true) {
  SmmuBench::Options o;
  o.cpus = cpus;
  o.driver.msi_polling = msi;
  return o;
}
/// A batch of TLBIs whose addresses say who queued them.
int submit(SmmuCommandQueue& queue, Cpu& cpu, unsigned count, unsigned round = 0) {
  SmmuBatch batch;
  for (unsigned i = 0; i != count; ++i) {
    const std::uint64_t address = std::uint64_t{cpu.id() + 1} << 32 | std::uint64_t{round} << 20 | i << 12;
    queue.add(cpu, batch, TlbiNhVa{0, 1, {address, true, 0, 0, 0, 0}}, 1);
  }
  return queue.submit(cpu, batch);
}

}  // namespace

TEST_CASE("one CPU: commands, CMD_SYNC, one store to PROD; the message clears the CMD_SYNC") {
  SmmuBench b(with_cpus(1));
  REQUIRE(b.run([&](Cpu& cpu) {
    auto& queue = const_cast<SmmuCommandQueue&>(b.instance.commands());
    const auto before = queue.counts();
    const auto prod = static_cast<std::uint32_t>(b.unit.read(reg::cmdq_prod, 4));
    CHECK(submit(queue, cpu, 3) == 0);
    CHECK(queue.counts().prod_writes == before.prod_writes + 1);
    CHECK(b.stores == std::vector<SmmuBench::Store>{{reg::cmdq_prod, prod + 4}});
    CHECK(b.loads == 0);
    const auto words = b.ram.read<smmuv3::Bits128>(queue.base() + (prod + 3) * 16);
    CHECK(static_cast<std::uint32_t>(words.qw[0]) == 0);
    CHECK(words.qw[1] == (queue.base() + (prod + 3) * 16).value);
    CHECK(b.commands(queue, prod, prod + 1)[0] ==
          smmuv3::Command{TlbiNhVa{0, 1, {std::uint64_t{1} << 32, true, 0, 0, 0, 0}}});
    CHECK(count_of<trace::GuestRequest>(b.recorder.events) == 4);
    CHECK(count_of<trace::GuestKick>(b.recorder.events) == 1);
  }));
  CHECK(b.steps.size() == 4);
}

TEST_CASE("a batch of 64 is issued without CMD_SYNC, and the last with one") {
  SmmuBench b(with_cpus(1));
  REQUIRE(b.run([&](Cpu& cpu) {
    auto& queue = const_cast<SmmuCommandQueue&>(b.instance.commands());
    submit(queue, cpu, 130);
    CHECK(b.count(reg::cmdq_prod) == 3);
  }));
  unsigned waits = 0;
  for (const auto& step : b.steps) waits += std::holds_alternative<iommu::WaitReached>(step) ? 1 : 0;
  CHECK(waits == 1);
  CHECK(b.steps.size() == 131);

  SmmuBench::Options forced = with_cpus(1);
  forced.driver.force_sync = true;
  SmmuBench f(forced);
  REQUIRE(f.run([&](Cpu& cpu) { submit(const_cast<SmmuCommandQueue&>(f.instance.commands()), cpu, 130); }));
  waits = 0;
  for (const auto& step : f.steps) waits += std::holds_alternative<iommu::WaitReached>(step) ? 1 : 0;
  CHECK(waits == 3);  // 63, 63, 4
}

TEST_CASE("polling CONS: loads until it has passed, spins and growing delays") {
  SmmuBench::Options options = with_cpus(1, false);
  options.per_command = Time::us(4);
  SmmuBench b(options);
  REQUIRE(b.run([&](Cpu& cpu) {
    auto& queue = const_cast<SmmuCommandQueue&>(b.instance.commands());
    const Time began = cpu.now();
    const auto prod = static_cast<std::uint32_t>(b.unit.read(reg::cmdq_prod, 4));
    submit(queue, cpu, 1);
    CHECK(cpu.now() - began >= Time::us(8));
    CHECK(b.loads > 9);
    const auto sync = b.commands(queue, prod + 1, prod + 2)[0];
    CHECK(sync == smmuv3::Command{CmdSync{smmuv3::SyncSignal::sev, 3, 0xf, 0, 0}});
  }));
}

TEST_CASE("CPUs that come while a window is open are published by its owner, in one store") {
  SmmuBench b(with_cpus(2));
  SmmuCommandQueue::Counts before;
  REQUIRE(b.run([&](Cpu& cpu) {
    auto& queue = const_cast<SmmuCommandQueue&>(b.instance.commands());
    before = queue.counts();
    SmmuBatch batch;
    for (unsigned i = 0; i != (cpu.id() == 0 ? 1u : 5u); ++i) queue.add(cpu, batch, smmuv3::TlbiNsnhAll{}, 1);
    cpu.processor().spend(Time::ms(1) - cpu.now());  // both at once
    cpu.processor().sync();
    queue.submit(cpu, batch);
  }));
  const auto& queue = b.instance.commands();
  CHECK(queue.counts().prod_writes == before.prod_writes + 1);
  CHECK(queue.counts().slot_waits > before.slot_waits);  // who came second was not done writing
  REQUIRE(b.steps.size() == 2 + 6);
  const auto kicks = of_kind<trace::GuestKick>(b.recorder.events);
  REQUIRE(kicks.size() == 1);
  CHECK(kicks[0].second.requests == 8);
}

TEST_CASE("many CPUs: each CPU's commands stay together and in order, everybody returns after his own are done") {
  for (const bool msi : {true, false}) {
    SmmuBench b(with_cpus(8, msi));
    std::map<std::uint64_t, bool> returned;
    REQUIRE(b.run([&](Cpu& cpu) {
      auto& queue = const_cast<SmmuCommandQueue&>(b.instance.commands());
      for (unsigned round = 0; round != 40; ++round) {
        const unsigned count = 1 + (cpu.id() * 7 + round * 3) % 20;
        submit(queue, cpu, count, round);
        // The last of this submission has been executed by now.
        const std::uint64_t last =
            std::uint64_t{cpu.id() + 1} << 32 | std::uint64_t{round} << 20 | (count - 1) << 12;
        bool seen = false;
        for (auto step = b.steps.rbegin(); step != b.steps.rend() && !seen; ++step) {
          const auto* done = std::get_if<iommu::IotlbInvalidated>(&*step);
          seen = done != nullptr && done->iova.value == last;
        }
        CHECK(seen);
      }
    }));
    // 8 CPUs, 40 rounds: the ring of 256 went round many times.
    std::uint64_t previous = 0;
    std::map<std::uint64_t, std::uint64_t> next_round;
    for (const auto& step : b.steps) {
      if (std::holds_alternative<iommu::WaitReached>(step)) {
        previous = 0;
        continue;
      }
      const auto& done = std::get<iommu::IotlbInvalidated>(step);
      const std::uint64_t number = done.iova.value >> 12 & 0xff;
      if (number == 0) {
        CHECK(previous == 0);
        const std::uint64_t cpu = done.iova.value >> 32;
        CHECK((done.iova.value >> 20 & 0xfff) == next_round[cpu]++);
      } else {
        CHECK(done.iova.value == previous + 4096);
      }
      previous = done.iova.value;
    }
    CHECK(next_round.size() == 8);
    const auto& counts = b.instance.commands().counts();
    CHECK(counts.commands > 2000);
    CHECK(counts.prod_writes < 320 + 10);
    CHECK(counts.failed_exchanges > 0);
    CHECK(counts.timeouts == 0);
  }
}

TEST_CASE("a full queue: CPUs wait for room and nothing is overwritten") {
  SmmuBench::Options options = with_cpus(4);
  options.unit.command_log2 = 6;  // 64 commands
  options.per_command = Time::us(1);
  SmmuBench b(options);
  REQUIRE(b.run([&](Cpu& cpu) {
    auto& queue = const_cast<SmmuCommandQueue&>(b.instance.commands());
    for (unsigned round = 0; round != 10; ++round) submit(queue, cpu, 40, round);
  }));
  CHECK(b.instance.commands().counts().full_waits > 0);
  CHECK(b.steps.size() == 4 * 10 * 41);
  std::uint64_t each = 0;
  for (const auto& step : b.steps) each += std::holds_alternative<iommu::IotlbInvalidated>(step) ? 1 : 0;
  CHECK(each == 4 * 10 * 40);
}

TEST_CASE("contention: four times the CPUs make one submission longer, less than eight times") {
  Time previous;
  for (const unsigned cpus : {1u, 4u, 16u}) {
    SmmuBench::Options options = with_cpus(cpus);
    options.per_command = Time::ns(50);
    SmmuBench b(options);
    Time spent;
    REQUIRE(b.run([&](Cpu& cpu) {
      auto& queue = const_cast<SmmuCommandQueue&>(b.instance.commands());
      for (unsigned round = 0; round != 50; ++round) {
        const Time began = cpu.now();
        submit(queue, cpu, 1, round);
        cpu.processor().sync();
        spent += cpu.now() - began;
      }
    }));
    const Time mean = spent / (50 * cpus);
    INFO(cpus << " CPUs: " << mean.ns() << " ns");
    CHECK(mean > previous);
    if (previous != Time{}) CHECK(mean < previous * 8);
    previous = mean;
  }
}

TEST_CASE("an illegal command is skipped as a CMD_SYNC, and the queue goes on") {
  SmmuBench b(with_cpus(2));
  bool stopped = false;
  b.on_stop = [&] { stopped = true; };
  REQUIRE(b.run([&](Cpu& cpu) {
    auto& queue = const_cast<SmmuCommandQueue&>(b.instance.commands());
    if (cpu.id() == 0) {
      SmmuBatch batch;
      queue.add(cpu, batch, smmuv3::IllegalCommand{{{0x02, 0}}}, 1);
      CHECK(queue.submit(cpu, batch) == 0);
      return;
    }
    while (!stopped) {  // the interrupt
      cpu.processor().spend(Time::us(1));
      cpu.processor().sync();
    }
    CHECK(b.instance.handle_error(cpu));
    CHECK_FALSE(b.instance.handle_error(cpu));
  }));
  CHECK(b.unit.read(reg::gerror, 4) == b.unit.read(reg::gerrorn, 4));
  CHECK(std::holds_alternative<iommu::QueueError>(b.steps.at(0)));
  CHECK(b.steps.size() == 3);
}
