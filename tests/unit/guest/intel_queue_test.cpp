// SPDX-License-Identifier: Apache-2.0
// The invalidation queue of the Intel IOMMU driver over registers the test holds: polling, a full queue, errors.
#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>

#include "tests/support/fake_processors.hpp"
#include "tests/support/intel_bench.hpp"

using namespace gnomon;
using guest::IntelInvalidationQueue;

namespace {

const vtd::InvalidationDescriptor flush_1 =
    vtd::IotlbInvalidate{vtd::Granularity::domain, false, false, DomainId{1}, 0, false, {}};

/// A unit that executes nothing by itself.
struct Registers {
  PhysicalMemory memory{16 << 20};
  GuestRam ram{memory, Hpa{0}, 16 << 20, Backing::pages_4k, 1};
  trace::Tracer tracer;
  test::Recorder recorder;
  LineMonitor monitor;
  guest::GuestPages pages{Gpa{0x10'0000}, Gpa{16 << 20}};
  guest::KernelMemory kernel{ram, pages};
  Lock lock{0, LockKind::queued, {Time::ns(20), Time::ns(100)}, RandomStream(1, "lock"), tracer};
  std::uint64_t head = 0;  // slots
  std::uint64_t tail = 0;
  std::uint32_t faults = 0;
  unsigned fault_reads = 0;
  std::vector<std::uint64_t> tails;
  std::function<void(Processor&)> on_tail = [](Processor&) {};
  std::function<void(Processor&)> on_clear = [](Processor&) {};

  Registers() { tracer.add(recorder); }

  std::uint64_t access(Processor& p, bool store, std::uint32_t offset, std::uint64_t value) {
    if (store && offset == vtd::reg::iqt) {
      tail = value / 16;
      tails.push_back(tail);
      on_tail(p);
    } else if (store && offset == vtd::reg::fsts) {
      faults &= ~static_cast<std::uint32_t>(value);
      on_clear(p);
    } else if (offset == vtd::reg::fsts) {
      ++fault_reads;
      p.spend(Time::ns(400));
      return faults;
    } else if (offset == vtd::reg::iqh) {
      return head * 16;
    }
    return 0;
  }
  test::MmioProcessor over(Processor& below) {
    return {below, test::IntelBench::window,
            [this](Processor& p, bool store, std::uint32_t offset, std::uint64_t value, unsigned) {
              return access(p, store, offset, value);
            }};
  }
  IntelInvalidationQueue::Parts parts(bool trap) { return {kernel, monitor, lock, test::IntelBench::window, trap}; }

  vtd::InvalidationDescriptor at(const IntelInvalidationQueue& queue, std::uint64_t slot) {
    return vtd::decode_invalidation_descriptor(ram.read<vtd::Bits128>(queue.slot(static_cast<unsigned>(slot))));
  }
  /// Executes up to `most` descriptors; waits write their status.
  void execute(const IntelInvalidationQueue& queue, Time now, unsigned most = 256) {
    for (; most != 0 && head != tail; --most) {
      const auto d = at(queue, head);
      if (std::holds_alternative<vtd::IllegalDescriptor>(d)) {
        faults |= vtd::fsts::iqe;
        return;
      }
      head = (head + 1) % 256;
      if (const auto* wait = std::get_if<vtd::InvalidationWait>(&d)) {
        const Gpa word{wait->status_address.value};
        ram.write(word, wait->status_data);
        monitor.written(ram.to_hpa(word), now);
      }
    }
  }
};

}  // namespace

TEST_CASE("a submission is its descriptors and one wait, with one write of the tail; the ring wraps") {
  Registers r;
  test::SoloProcessor solo;
  auto processor = r.over(solo);
  const guest::GuestCosts costs;
  guest::Cpu cpu(processor, costs, {}, r.tracer);
  IntelInvalidationQueue queue(r.parts(true), false);
  r.on_tail = [&](Processor& p) { r.execute(queue, p.now()); };
  const std::vector<vtd::InvalidationDescriptor> three(3, flush_1);
  for (unsigned i = 0; i < 200; ++i) {
    const std::uint64_t first = r.tail;
    REQUIRE(queue.submit(cpu, three, 1) == 0);
    REQUIRE(r.tails.size() == i + 1);
    REQUIRE(r.tail == (first + 4) % 256);
    REQUIRE(std::get<vtd::InvalidationWait>(r.at(queue, (first + 3) % 256)).status_address.value ==
            queue.status_word((first + 3) % 256).value);
    REQUIRE(r.at(queue, first) == flush_1);
  }
  CHECK(queue.free_slots() == 256);
  CHECK(r.fault_reads == 0);
  const auto kicks = test::of_kind<trace::GuestKick>(r.recorder.events);
  CHECK(kicks.size() == 200);
  CHECK(kicks[0].second.requests == 4);
}

TEST_CASE("bare metal: one real look at the fault status, then the poll's rhythm") {
  Registers r;
  test::SoloProcessor solo;
  auto processor = r.over(solo);
  const guest::GuestCosts costs;
  guest::Cpu cpu(processor, costs, {}, r.tracer);
  IntelInvalidationQueue queue(r.parts(false), false);
  Time answered;
  r.on_tail = [&](Processor& p) {  // alone in its world, the processor is told beforehand when it will be woken
    answered = p.now() + Time::us(3);
    solo.unpark(answered);
    solo.plan(answered, [&] { r.execute(queue, answered); });
  };
  REQUIRE(queue.submit(cpu, {&flush_1, 1}, 1) == 0);
  CHECK(r.fault_reads == 1);
  CHECK(cpu.now() >= answered);
  CHECK(cpu.now() < answered + Time::us(1));
  CHECK(queue.free_slots() == 256);
}

TEST_CASE("in a guest every look at the fault status is an exit") {
  Registers r;
  test::SoloProcessor solo;
  auto processor = r.over(solo);
  const guest::GuestCosts costs;
  guest::Cpu cpu(processor, costs, {}, r.tracer);
  IntelInvalidationQueue queue(r.parts(true), false);
  r.on_tail = [&](Processor& p) { solo.plan(p.now() + Time::us(3), [&] { r.execute(queue, solo.now()); }); };
  REQUIRE(queue.submit(cpu, {&flush_1, 1}, 1) == 0);
  CHECK(r.fault_reads >= 4);
  CHECK(r.fault_reads <= 7);
}

TEST_CASE("a refused descriptor: the wait takes its place, the error is cleared, the rest is executed") {
  Registers r;
  test::SoloProcessor solo;
  auto processor = r.over(solo);
  const guest::GuestCosts costs;
  guest::Cpu cpu(processor, costs, {}, r.tracer);
  IntelInvalidationQueue queue(r.parts(true), false);
  r.on_tail = r.on_clear = [&](Processor& p) { r.execute(queue, p.now()); };
  const vtd::InvalidationDescriptor bad =
      vtd::IllegalDescriptor{vtd::QueueErrorInfo::invalid_descriptor_type, {0xf, 0}, {}};
  const std::vector<vtd::InvalidationDescriptor> batch{flush_1, bad, flush_1};
  CHECK(queue.submit(cpu, {&bad, 1}, 1) == EINVAL);
  CHECK(r.faults == 0);
  CHECK(r.head == r.tail);
  CHECK(queue.submit(cpu, batch, 1) == EINVAL);
  CHECK(r.head == r.tail);
  CHECK(queue.submit(cpu, {&flush_1, 1}, 1) == 0);
  CHECK(queue.free_slots() == 256);
}

TEST_CASE("a time-out aborts the waits that were fetched, and what they belong to is submitted again") {
  Registers r;
  test::SoloProcessor solo;
  auto processor = r.over(solo);
  const guest::GuestCosts costs;
  guest::Cpu cpu(processor, costs, {}, r.tracer);
  IntelInvalidationQueue queue(r.parts(true), false);
  unsigned timeouts = 2;
  r.on_tail = [&](Processor& p) {
    if (timeouts != 0) {
      --timeouts;
      r.head = r.tail;
      r.faults |= vtd::fsts::ite;
    } else {
      r.execute(queue, p.now());
    }
  };
  CHECK(queue.submit(cpu, {&flush_1, 1}, 1) == 0);
  CHECK(r.tails == std::vector<std::uint64_t>{2, 4, 6});
  CHECK(r.faults == 0);
  CHECK(queue.free_slots() == 256);
}

TEST_CASE("a full queue: submitters wait for slots, none is lost, and the lock is free meanwhile") {
  Registers r;
  constexpr unsigned cpus = 20;
  const std::vector<vtd::InvalidationDescriptor> batch(16, flush_1);
  test::FakeProcessors fakes(cpus + 1);
  const guest::GuestCosts costs;
  IntelInvalidationQueue queue(r.parts(false), false);
  unsigned returned = 0;
  unsigned least_free = 256;
  for (unsigned i = 0; i < cpus; ++i) {
    fakes.load(i, [&](Processor& below) {
      auto processor = r.over(below);
      guest::Cpu cpu(processor, costs, {}, r.tracer);
      for (unsigned n = 0; n < 3; ++n) {
        REQUIRE(queue.submit(cpu, batch, 1) == 0);
        ++returned;
      }
    });
  }
  fakes.load(cpus, [&](Processor& unit) {  // one descriptor every microsecond
    for (unsigned n = 0; n < cpus * 3 * 17; ++n) {
      do {
        unit.spend(Time::us(1));
        unit.sync();
      } while (r.head == r.tail);
      least_free = std::min(least_free, queue.free_slots());
      r.execute(queue, unit.now(), 1);
    }
  });
  CHECK(fakes.run());
  CHECK(returned == cpus * 3);
  CHECK(least_free == 1);  // 15 submissions of 17
  CHECK(queue.free_slots() == 256);
}

TEST_CASE("more than the ring can hold is refused") {
  Registers r;
  test::SoloProcessor solo;
  auto processor = r.over(solo);
  const guest::GuestCosts costs;
  guest::Cpu cpu(processor, costs, {}, r.tracer);
  IntelInvalidationQueue queue(r.parts(true), false);
  const std::vector<vtd::InvalidationDescriptor> many(255, flush_1);
  CHECK_THROWS_AS(queue.submit(cpu, many, 1), std::invalid_argument);
}
