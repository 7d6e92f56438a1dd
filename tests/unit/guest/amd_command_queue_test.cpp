// SPDX-License-Identifier: Apache-2.0
// The AMD IOMMU's command queue: space, completion, and several CPUs at it.
#include <catch2/catch.hpp>
#include <cerrno>
#include <deque>

#include "tests/support/amd_bench.hpp"
#include "tests/support/fake_processors.hpp"

namespace gnomon::guest {
namespace {

using amdvi::Bits128;
using test::count_of;
using test::of_kind;

constexpr amdvi::InvalidateIommuPages page_flush{DomainId{1}, {Iova{0x1000}, false}, true, false, 0};

bool is_wait(const Bits128& command) {
  return command.lo >> 60 == 1;
}

/// CPUs with a queue of a unit that serves when it is told to.
struct QueueBench : test::AmdMachine {
  explicit QueueBench(unsigned processors, AmdCompletion completion = AmdCompletion::last_sequence)
      : fakes(processors), queue({kernel, monitor, lock, window}, completion) {
    using namespace amdvi;
    device.write_register(reg::command_buffer,
                          ring_register(Hpa{queue.base().value}, AmdCommandQueue::log2_entries), 8);
    device.write_register(reg::control, control::iommu_en | control::cmd_buf_en, 8);
    hold = true;
  }
  /// A CPU's program.
  void load(unsigned number, std::function<void(Cpu&)> program) {
    fakes.load(number, [this, program = std::move(program)](Processor& below) {
      test::MmioProcessor processor = with_registers(below);
      Cpu cpu(processor, costs, {}, tracer);
      program(cpu);
    });
  }
  /// The unit: serves everything there is at each of these instants.
  void serve_at(unsigned number, std::vector<Time> instants) {
    fakes.load(number, [this, instants](Processor& processor) {
      for (const Time at : instants) {
        if (at > processor.now()) processor.spend(at - processor.now());
        processor.sync();
        serve(processor.now());
      }
    });
  }
  std::size_t waits() const {
    std::size_t n = 0;
    for (const Bits128& c : commands) n += is_wait(c) ? 1 : 0;
    return n;
  }

  const GuestCosts costs;
  test::FakeProcessors fakes;
  Lock lock = make_lock();
  AmdCommandQueue queue;
};

TEST_CASE("space: the head is read once in 509 commands, and the ring wraps") {
  test::AmdBench b;
  b.boot();
  const std::uint64_t before = 5;  // probe 2, attach 3
  for (unsigned i = 0; i < 2000; ++i) {
    REQUIRE(b.map(0xfffff, {{Gpa::from_page(i + 1), page_size}}) == 0);
    REQUIRE(b.shadow.pages.at(0xfffff) == i + 1);
    REQUIRE(b.unmap(0xfffff) == 1);
    REQUIRE(b.shadow.pages.empty());
  }
  CHECK(b.count(amdvi::reg::command_tail, true) == 8000);  // 2,000 I/Os: four stores each
  CHECK(b.count(amdvi::reg::command_head, false) == (8000 + before - 1) / 509);
  CHECK(b.accesses.size() == 8000 + (8000 + before - 1) / 509);
  CHECK(count_of<trace::GuestKick>(b.recorder.events) == 8000);
}

TEST_CASE("a full ring is polled every microsecond, and goes on when the unit does") {
  QueueBench b(2);
  Time began, ended;
  b.load(0, [&](Cpu& cpu) {
    for (unsigned i = 0; i < 509; ++i) REQUIRE(b.queue.submit(cpu, page_flush, 1) == 0);
    began = cpu.now();
    CHECK(b.queue.submit(cpu, page_flush, 1) == 0);
    ended = cpu.now();
  });
  b.serve_at(1, {Time::us(200)});
  REQUIRE(b.fakes.run());
  CHECK(b.commands.size() == 510);
  const std::uint64_t looks = b.count(amdvi::reg::command_head, false);
  CHECK(looks > 2);
  CHECK(ended - began == Time::us(1) * (looks - 1) + b.costs.amd_command + Time::ns(20));  // the lock's acquisition
  CHECK(ended >= Time::us(200));
  CHECK(ended < Time::us(202));
}

TEST_CASE("a ring that stays full loses the command after 100,000 looks") {
  QueueBench b(1);
  Time took;
  b.load(0, [&](Cpu& cpu) {
    for (unsigned i = 0; i < 509; ++i) REQUIRE(b.queue.submit(cpu, page_flush, 1) == 0);
    const Time began = cpu.now();
    CHECK(b.queue.submit(cpu, page_flush, 1) == EIO);
    took = cpu.now() - began;
    CHECK(b.queue.wait(cpu) == EIO);
  });
  REQUIRE(b.fakes.run());
  CHECK(b.commands.size() == 509);
  CHECK(took >= Time::us(AmdCommandQueue::most_polls - 1));
  CHECK(took < Time::us(AmdCommandQueue::most_polls + 1));
}

TEST_CASE("completion: a number in memory, one more each time, seen at the next microsecond") {
  QueueBench b(2);
  Time queued, seen;
  b.load(0, [&](Cpu& cpu) {
    REQUIRE(b.queue.submit(cpu, page_flush, 1) == 0);
    REQUIRE(b.queue.wait(cpu) == 0);
    seen = cpu.now();
    CHECK(b.ram.read<std::uint64_t>(b.queue.semaphore()) == 1);
  });
  b.serve_at(1, {Time::ns(3'300)});
  REQUIRE(b.fakes.run());
  queued = of_kind<trace::GuestKick>(b.recorder.events).at(1).first;
  CHECK(b.commands.at(1) == Bits128{(std::uint64_t{1} << 60) | b.queue.semaphore().value | 1, 1});
  CHECK((seen - queued - b.costs.amd_poll) % Time::us(1) == Time{});
  CHECK(seen > Time::ns(3'300));
  CHECK(seen <= Time::ns(4'300));
  CHECK(b.queue.sequence() == 1);
}

TEST_CASE("a wait with nothing queued since the last one sends nothing") {
  const auto completion =
      GENERATE(AmdCompletion::under_lock, AmdCompletion::after_unlock, AmdCompletion::last_sequence);
  QueueBench b(1, completion);
  b.hold = false;
  b.load(0, [&](Cpu& cpu) {
    CHECK(b.queue.wait(cpu) == 0);
    CHECK(b.commands.empty());
    b.queue.submit(cpu, page_flush, 1);
    b.queue.wait(cpu);
    CHECK(b.commands.size() == 2);
    b.queue.wait(cpu);
    CHECK(b.commands.size() == 2);
  });
  REQUIRE(b.fakes.run());
}

// CPU 0 has queued; CPU 1's wait takes need_sync with it; then CPU 0 waits for what the unit has not yet executed.
TEST_CASE("a wait that finds need_sync taken by another's: older kernels return at once, before the unit is done") {
  const auto completion =
      GENERATE(AmdCompletion::under_lock, AmdCompletion::after_unlock, AmdCompletion::last_sequence);
  QueueBench b(3, completion);
  bool executed = false;
  b.load(0, [&](Cpu& cpu) {
    b.queue.submit(cpu, page_flush, 1);
    cpu.processor().spend(Time::us(1));
    b.queue.wait(cpu);
    executed = b.served.size() == 3;
  });
  b.load(1, [&](Cpu& cpu) {
    cpu.processor().spend(Time::ns(300));
    b.queue.submit(cpu, page_flush, 1);
    b.queue.wait(cpu);
    CHECK(b.served.size() == 3);
  });
  b.serve_at(2, {Time::us(5)});
  REQUIRE(b.fakes.run());
  CHECK(b.waits() == 1);
  CHECK(executed == (completion == AmdCompletion::last_sequence));
}

TEST_CASE("polling under the unit's lock keeps other CPUs from queueing") {
  const auto completion = GENERATE(AmdCompletion::under_lock, AmdCompletion::last_sequence);
  QueueBench b(3, completion);
  Time other_queued;
  b.load(0, [&](Cpu& cpu) {
    b.queue.submit(cpu, page_flush, 1);
    b.queue.wait(cpu);
  });
  b.load(1, [&](Cpu& cpu) {
    cpu.processor().spend(Time::us(2));
    b.queue.submit(cpu, page_flush, 1);
    other_queued = cpu.now();
  });
  b.serve_at(2, {Time::us(10), Time::us(20)});
  REQUIRE(b.fakes.run());
  CHECK((other_queued > Time::us(10)) == (completion == AmdCompletion::under_lock));
}

TEST_CASE("two CPUs, one domain each: the ring holds every flush, the numbers rise, both shadows are right") {
  const bool one_domain = GENERATE(true, false);
  test::AmdMachine m;
  test::RecordingShadow second;
  m.device.add_endpoint(SourceId{0x200}, second);
  test::FakeProcessors fakes(2);
  const GuestCosts costs;
  std::deque<test::MmioProcessor> processors;
  std::deque<Cpu> cpus;
  Lock lock = m.make_lock();
  AmdIommuOptions options;
  options.registers = test::AmdMachine::window;
  options.capability = encode(hypervisor::AmdviDevice::capability());
  options.last_device = SourceId{0x3ff};
  AmdIommuInstance instance({m.kernel, m.monitor, lock, [&] { return m.make_lock(); }}, options);
  std::unique_ptr<IommuDriver> drivers[2];
  const auto start = [&](Processor& below) {
    processors.push_back(m.with_registers(below));
    cpus.emplace_back(processors.back(), costs, CpuOptions{}, m.tracer);
  };
  fakes.load(0, start);
  fakes.load(1, start);
  REQUIRE(fakes.run());
  fakes.load(0, [&](Processor&) {
    instance.probe(cpus[0]);
    for (unsigned i = 0; i < 2; ++i) {
      drivers[i] = instance.make_domain(cpus[0], i + 1);
      instance.attach(cpus[0], *drivers[i], SourceId{static_cast<std::uint16_t>(0x100 * (i + 1))});
    }
  });
  REQUIRE(fakes.run());
  m.commands.clear();
  const auto work = [&](unsigned i) {
    return [&, i](Processor&) {
      IommuDomain domain(*drivers[one_domain ? 0 : i], {});
      for (std::uint64_t n = 0; n < 200; ++n) {
        const std::uint64_t page = 0x1000 * (i + 1) + n % 16;
        REQUIRE(domain.map(cpus[i], Iova::from_page(page), Gpa::from_page(1 + n), page_size, {}).error == 0);
        auto& shadow = one_domain || i == 0 ? m.shadow : second;
        REQUIRE(shadow.pages.at(page) == 1 + n);
        REQUIRE(domain.unmap(cpus[i], Iova::from_page(page), page_size) == page_size);
        REQUIRE(shadow.pages.count(page) == 0);
      }
    };
  };
  fakes.load(0, work(0));
  fakes.load(1, work(1));
  REQUIRE(fakes.run());
  std::uint64_t last = 4;  // probe, attach, attach gave out three
  std::size_t flushes = 0;
  for (std::size_t i = 0; i < m.commands.size(); ++i) {
    if (!is_wait(m.commands[i])) {
      ++flushes;
      continue;
    }
    CHECK(m.commands[i].hi == last++);
    if (one_domain) CHECK_FALSE(is_wait(m.commands[i - 1]));  // the domain's lock is held until its wait is over
  }
  CHECK(flushes == 800);
  CHECK(m.commands.size() - flushes == last - 4);
  if (one_domain) {
    CHECK(last - 4 == 800);
  } else {
    CHECK(last - 4 <= 800);
  }
  CHECK(m.device.conflicts() == 0);
}

}  // namespace
}  // namespace gnomon::guest
