// SPDX-License-Identifier: Apache-2.0
// The physical IOMMU between a device, memory and the host's driver: what a translation costs, and when an
// invalidation is done.
#include "models/iommu/iommu.hpp"
#include "models/iommu/vtd/unit.hpp"

#include "models/fabric/memory.hpp"
#include "models/hypervisor/core/vtd_host_iommu.hpp"
#include "tests/support/isolated.hpp"
#include "tests/support/recorder.hpp"
#include "tests/support/test_bench.hpp"
#include "tests/support/time_text.hpp"

namespace gnomon::test {
namespace {

using Times = std::vector<Time>;

constexpr SourceId drive{0x100};
constexpr DomainId domain{1};
constexpr Time dram = Time::ns(90);

iommu::IommuConfig config() {
  iommu::IommuConfig c;
  c.timing.iotlb_hit = Time::ns(2);
  c.timing.context_hit = Time::ns(1);
  c.timing.walk_cache_hit = Time::ns(5);
  c.timing.memory_read = Time::ns(100);
  c.timing.descriptor_fetch = Time::ns(200);
  c.timing.descriptor_execute = Time::ns(30);
  c.timing.status_write = Time::ns(50);
  return c;
}

/// A device, the IOMMU, memory, and a register port for the host's driver. IOVA pages 0x10 to 0x1f are mapped.
struct Bench final : hypervisor::RegisterPort {
  explicit Bench(std::function<void(Script&)> body) : script("script", std::move(body)) {
    tracer.add(recorder);
    device.out.bind(unit.dma);
    device.requester().source = drive;
    software.out.bind(unit.registers);
    unit.memory.bind(memory.access);
    unit.messages.bind(messages.in);
  }
  void boot() {
    driver.enable();
    driver.attach(drive, domain, table);
    map(0x10, 0x200, 16);
  }
  void map(std::uint64_t iova_page, std::uint64_t hpa_page, std::uint64_t count) {
    table.map(Iova::from_page(iova_page), Hpa::from_page(hpa_page), count * page_size, page_size,
              hypervisor::DmaAccess::read_write);
  }
  void write(std::uint32_t offset, std::uint64_t value, unsigned bytes) override {
    software.send(tlm::TLM_WRITE_COMMAND, offset, &value, bytes);
  }
  /// How long a read of 64 bytes of this I/O page takes; 0: it was refused.
  Time burst(std::uint64_t iova_page) {
    const auto reply = device.move(tlm::TLM_READ_COMMAND, iova_page << page_shift, 64);
    return reply.ok ? reply.delay : Time{};
  }
  /// Queues an invalidation of one page and a wait that writes `number`, without waiting. Returns when it is done.
  void invalidate(std::uint64_t iova_page, std::uint32_t number, Time delay = {}) {
    const Hpa queue{unit.unit().read(vtd::reg::iqa, 8) & ~std::uint64_t{0xfff}};
    vtd::IotlbInvalidate flush;
    flush.g = vtd::Granularity::device_or_page;
    flush.did = domain;
    flush.addr = Iova::from_page(iova_page);
    vtd::InvalidationWait wait;
    wait.sw = true;
    wait.status_address = status;
    wait.status_data = number;
    host.write(queue + tail, vtd::encode(vtd::InvalidationDescriptor{flush}));
    host.write(queue + (tail + 16), vtd::encode(vtd::InvalidationDescriptor{wait}));
    tail += 32;
    std::uint64_t value = tail;
    software.send(tlm::TLM_WRITE_COMMAND, vtd::reg::iqt, &value, 8, delay);
  }

  static constexpr Hpa status{0x9000};
  PhysicalMemory host{16 << 20};
  PageAllocator pages{host, Hpa{0x10000}, Hpa{0x100000}};
  trace::Tracer tracer;
  Recorder recorder;
  std::uint64_t activations = 0;
  std::uint64_t tail = 0;
  LineMonitor monitor;
  Initiator device{"device"}, software{"software"};
  Iommu unit{"iommu", std::make_unique<iommu::VtdUnit>(config(), host), config().timing, tracer, activations};
  Memory memory{"memory", MemoryConfig{dram}, host, monitor};
  Target messages{"messages", Time::ns(20)};
  hypervisor::VtdHostIommu driver{host, pages, monitor, *this, {}, {}, tracer};
  std::unique_ptr<hypervisor::HostTable> owned_table = driver.make_table(domain);
  hypervisor::HostTable& table = *owned_table;
  Script script;
};

template <class F>
Times times_of(F body) {
  return isolated_list<Time>([&body] {
    Times out;
    Bench* self = nullptr;
    Bench bench([&](Script& script) {
      self->boot();
      script.wait_until(Time::us(1));
      body(*self, script, out);
    });
    self = &bench;
    sc_core::sc_start();
    return out;
  });
}

constexpr Time hit = Time::ns(1 + 2);                    // context cache, IOTLB
constexpr Time leaf_walk = hit + Time::ns(5 + 100);      // the leaf table is known: one read
constexpr Time root_walk = hit + Time::ns(5 + 4 * 100);  // four levels
constexpr Time first = Time::ns(2 * 100) + root_walk;    // root and context entry before it

TEST_CASE("what a translation costs: caches cold, warm, and warm for the table only") {
  const Times t = times_of([](Bench& b, Script&, Times& out) {
    out = {b.burst(0x10), b.burst(0x10), b.burst(0x11), b.burst(0x11)};
    for (const auto& [at, burst] : of_kind<trace::DmaBurst>(b.recorder.events)) {
      out.push_back(Time::ps(burst.walk_reads * 10 + burst.iotlb_hit));
    }
  });
  CHECK(t == Times{first + dram, hit + dram, leaf_walk + dram, hit + dram, Time::ps(40), Time::ps(1), Time::ps(10),
                   Time::ps(1)});
}

TEST_CASE("before the host enables translation, DMA passes untranslated at the cost of a lookup") {
  const Times t = isolated_list<Time>([] {
    Times out;
    Bench* self = nullptr;
    Bench bench([&](Script&) {
      self->host.write(Hpa{0x5008}, std::uint64_t{77});
      std::uint64_t value = 0;
      out = {self->device.read(0x5008, &value, 8).delay, Time::ps(value)};
    });
    self = &bench;
    sc_core::sc_start();
    return out;
  });
  CHECK(t == Times{Time::ns(1) + dram, Time::ps(77)});
}

TEST_CASE("data lands where the table says, and the last beat when the link has sent it") {
  const Times t = times_of([](Bench& b, Script&, Times& out) {
    b.device.requester().streams = Time::ns(64);
    const auto reply = b.device.write(0x12'008, std::uint64_t{0xabcd}, Time::ns(7));
    out = {reply.delay, Time::ps(b.host.read<std::uint64_t>(Hpa{0x202'008}))};
    const auto burst = of_kind<trace::DmaBurst>(b.recorder.events).at(0).second;
    out.insert(out.end(),
               {Time::ps(burst.ends_ps), Time::ps(burst.hpa), Time::ps(burst.domain), Time::ps(burst.write)});
  });
  const Time delay = Time::ns(7) + first + dram;
  CHECK(t == Times{delay, Time::ps(0xabcd), Time::us(1) + delay + Time::ns(64), Time::ps(0x202'008), Time::ps(1),
                   Time::ps(1)});
}

TEST_CASE("an address without a mapping is refused and told, and nothing is kept of it") {
  const Times t = times_of([](Bench& b, Script&, Times& out) {
    out.push_back(b.burst(0x20));
    b.map(0x20, 0x300, 1);
    out.push_back(b.burst(0x20));
    const auto faults = of_kind<trace::DmaFault>(b.recorder.events);
    out.insert(out.end(), {Time::ps(faults.size()), faults.at(0).first, Time::ps(faults.at(0).second.iova)});
  });
  CHECK(t == Times{Time{}, leaf_walk + dram, Time::ps(1), Time::us(1),
                   Time::ps(0x20'000)});  // the failed walk left its tables
}

TEST_CASE("a write to the interrupt range is a message; a read of it is refused") {
  const Times t = times_of([](Bench& b, Script&, Times& out) {
    const auto message = b.device.write(0xfee01000, std::uint32_t{0x30});
    std::uint32_t value = 0;
    const auto read = b.device.read(0xfee01000, &value, 4);
    out = {message.delay, Time::ps(message.ok), Time::ps(read.ok), Time::ps(b.messages.seen.size()),
           Time::ps(b.messages.seen.at(0).address)};
  });
  CHECK(t == Times{Time::ns(1 + 20), Time::ps(1), Time{}, Time::ps(1), Time::ps(0xfee01000)});
}

constexpr Time descriptors = Time::ns(2 * (200 + 30));  // fetch and execution of the invalidation and its wait

TEST_CASE("an invalidated translation serves until the invalidation is done, and never after") {
  const Times t = times_of([](Bench& b, Script& script, Times& out) {
    b.burst(0x10);
    b.table.unmap(Iova::from_page(0x10), page_size);
    b.invalidate(0x10, 1);
    const Time done = Time::us(1) + descriptors;
    script.wait_until(done - Time::ps(1));
    out.push_back(b.burst(0x10));  // stale, and rightly so
    script.wait_until(done + Time::ps(1));
    out.push_back(b.burst(0x10));
    script.wait_until(done + Time::us(1));
    out.push_back(of_kind<trace::IotlbInvalidated>(b.recorder.events).at(0).first);
    // Reads and writes are drained: the first burst, behind a whole walk, lands last.
    const auto waited = of_kind<trace::InvalidationWaitDone>(b.recorder.events).at(0);
    out.push_back(waited.first - Time::ps(of_kind<trace::DmaBurst>(b.recorder.events).at(0).second.ends_ps));
    out.push_back(Time::ps(waited.second.submitted_ps));
  });
  const Time done = Time::us(1) + descriptors;
  CHECK(t == Times{hit + dram, Time{}, done, Time{}, Time::us(1)});
}

TEST_CASE("the tail may be rung from a processor that is ahead: the work starts then") {
  const Times t = times_of([](Bench& b, Script& script, Times& out) {
    b.burst(0x10);
    b.invalidate(0x10, 1, Time::ns(333));
    script.wait_until(Time::us(3));
    out.push_back(of_kind<trace::IotlbInvalidated>(b.recorder.events).at(0).first);
  });
  CHECK(t == Times{Time::us(1) + Time::ns(333) + descriptors});
}

TEST_CASE("descriptors that arrive while the unit is at work wait for their own time") {
  const Times t = times_of([](Bench& b, Script& script, Times& out) {
    b.invalidate(0x10, 1);
    script.wait_until(Time::ns(1300));
    b.invalidate(0x11, 2);
    script.wait_until(Time::us(9));
    b.invalidate(0x12, 3);
    script.wait_until(Time::us(20));
    for (const auto& [at, wait] : of_kind<trace::InvalidationWaitDone>(b.recorder.events)) out.push_back(at);
    out.push_back(Time::ps(b.host.read<std::uint32_t>(Bench::status)));
  });
  CHECK(t ==
        Times{Time::us(1) + descriptors, Time::us(1) + 2 * descriptors, Time::us(9) + descriptors, Time::ps(3)});
}

/// A processor in a Script: enough to run the host's driver.
struct ScriptProcessor final : Processor {
  explicit ScriptProcessor(Script& s) : script(s) {}
  unsigned id() const override { return 0; }
  Time now() const override { return global_time() + ahead; }
  void spend(Time work) override { ahead += work; }
  void sync() override {
    const Time at = now();
    ahead = Time{};
    script.wait_until(at);
  }
  void park() override {
    sync();
    script.wait_for(resumed);
  }
  void unpark(Time at) override { notify_at(resumed, at); }
  void write_mmio(Gpa, std::uint64_t, unsigned) override {}
  std::uint64_t read_mmio(Gpa, unsigned) override { return 0; }
  void halt() override {}
  bool interrupt_pending() const override { return false; }
  unsigned acknowledge_interrupt() override { return 0; }
  void set_timer(Time) override {}
  void send_interrupt(unsigned, unsigned) override {}

  Script& script;
  Time ahead;
  sc_core::sc_event resumed;
};

TEST_CASE("the host's driver returns when the status word is in memory") {
  const Time poll = GENERATE(Time{}, Time::us(1));
  const Times t = times_of([poll](Bench& b, Script& script, Times& out) {
    ScriptProcessor processor(script);
    hypervisor::VtdHostIommu driver(b.host, b.pages, b.monitor, b, {Time::ns(250), poll}, {}, b.tracer);
    driver.enable();
    driver.attach(drive, domain, b.table);
    b.burst(0x10);
    driver.invalidate(processor, domain, Iova{0x10'000}, Iova{0x10'fff}, true);
    out.push_back(processor.now() - Time::us(1));
    out.push_back(b.burst(0x10));
  });
  const Time written = descriptors + Time::ns(50) + dram;  // 600 ns after the tail was rung
  const Time seen = poll == Time{} ? written : poll;
  CHECK(t == Times{Time::ns(250) + seen, leaf_walk + dram});  // IH kept the path to the leaf table
}

}  // namespace
}  // namespace gnomon::test
