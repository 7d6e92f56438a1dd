// SPDX-License-Identifier: Apache-2.0
// PCIe link, memory, interrupt and MMIO routing.
#include "models/fabric/interrupt_fabric.hpp"
#include "models/fabric/memory.hpp"
#include "models/fabric/mmio_router.hpp"
#include "models/fabric/pcie_link.hpp"
#include "tests/support/isolated.hpp"
#include "tests/support/test_bench.hpp"
#include "tests/support/time_text.hpp"

namespace gnomon::test {
namespace {

using Times = std::vector<Time>;

/// 1 ns a byte: 64 bytes with their 24 bytes of header take 88 ns.
constexpr PcieConfig link_config{Time::ns(450), 1'000'000'000, 256, 24};

struct LinkBench {
  explicit LinkBench(std::function<void(Script&)> body) : script("script", std::move(body)) {
    device.out.bind(link.device);
    link.root.bind(root.in);
    cpu.out.bind(link.cpu);
    link.bar.bind(bar.in);
  }
  Initiator device{"device"}, cpu{"cpu"};
  PcieLink link{"link", link_config};
  Target root{"root", Time::ns(100)}, bar{"bar", Time::ns(7)};
  Script script;
};

/// Runs `body(bench, script, out)` at 1 us and returns what it put into `out`.
template <class Bench, class F>
Times times_of(F body) {
  return isolated_list<Time>([&body] {
    Times out;
    Bench* self = nullptr;
    Bench bench([&](Script& script) {
      script.wait_until(Time::us(1));
      body(*self, script, out);
    });
    self = &bench;
    sc_core::sc_start();
    return out;
  });
}

TEST_CASE("PCIe: a write arrives after the latency, its last byte after the time on the wire") {
  const Times t = times_of<LinkBench>([](LinkBench& b, Script&, Times& out) {
    const auto reply = b.device.move(tlm::TLM_WRITE_COMMAND, 0x1000, 64);
    out = {b.root.seen.at(0).at, b.root.seen.at(0).streams, reply.delay};
  });
  CHECK(t == Times{Time::ns(1450), Time::ns(88), Time::ns(450 + 100 + 88)});
}

TEST_CASE("PCIe: a page is sixteen packets, a posted word is one") {
  const std::uint64_t bytes = GENERATE(4, 256, 257, 4096);
  const std::uint64_t packets = bytes == 4096 ? 16 : bytes == 257 ? 2 : 1;
  const Times t = times_of<LinkBench>([bytes](LinkBench& b, Script&, Times& out) {
    b.device.move(tlm::TLM_WRITE_COMMAND, 0x1000, bytes);
    out = {b.root.seen.at(0).streams};
  });
  CHECK(t == Times{Time::ns(bytes + packets * 24)});
}

TEST_CASE("PCIe: writes queue one behind the other, and an idle link keeps no credit") {
  const Times t = times_of<LinkBench>([](LinkBench& b, Script& script, Times& out) {
    b.device.move(tlm::TLM_WRITE_COMMAND, 0x1000, 64);
    b.device.move(tlm::TLM_WRITE_COMMAND, 0x2000, 64);
    b.device.move(tlm::TLM_WRITE_COMMAND, 0x3000, 64, Time::ns(100));  // sent later, but still behind the others
    script.wait_until(Time::us(5));
    b.device.move(tlm::TLM_WRITE_COMMAND, 0x4000, 64);
    for (const auto& access : b.root.seen) out.push_back(access.at);
  });
  CHECK(t == Times{Time::ns(1450), Time::ns(1450 + 88), Time::ns(1450 + 2 * 88), Time::ns(5450)});
}

TEST_CASE("PCIe: a read is a round trip, and completions share the way down") {
  const Times t = times_of<LinkBench>([](LinkBench& b, Script&, Times& out) {
    const auto first = b.device.move(tlm::TLM_READ_COMMAND, 0x1000, 64);
    const auto second = b.device.move(tlm::TLM_READ_COMMAND, 0x2000, 64);
    out = {b.root.seen.at(0).at, b.root.seen.at(1).at, first.delay, second.delay};
  });
  // Requests are small and do not queue; both answers are ready 550 ns from now.
  CHECK(t == Times{Time::ns(1450), Time::ns(1450), Time::ns(550 + 88 + 450), Time::ns(550 + 2 * 88 + 450)});
}

TEST_CASE("PCIe: the two directions do not wait for each other") {
  const Times t = times_of<LinkBench>([](LinkBench& b, Script&, Times& out) {
    b.device.move(tlm::TLM_WRITE_COMMAND, 0x1000, 4096);
    out = {b.device.move(tlm::TLM_READ_COMMAND, 0x2000, 64).delay};
  });
  CHECK(t == Times{Time::ns(550 + 88 + 450)});
}

TEST_CASE("PCIe: a store is posted, a load waits for the round trip") {
  const Times t = times_of<LinkBench>([](LinkBench& b, Script&, Times& out) {
    const auto store = b.cpu.write(0x1000, std::uint32_t{5}, Time::ns(3));
    std::uint32_t value = 0;
    const auto load = b.cpu.read(0x1c, &value, 4, Time::ns(3));
    out = {b.bar.seen.at(0).at, store.delay, b.bar.seen.at(1).at, load.delay};
  });
  CHECK(t == Times{Time::ns(1453), Time::ns(3), Time::ns(1453), Time::ns(3 + 450 + 7 + 450)});
}

/// A processor that only remembers when it is let go.
struct Sleeper final : Processor {
  unsigned id() const override { return 0; }
  Time now() const override { return {}; }
  void spend(Time) override {}
  void sync() override {}
  void park() override {}
  void unpark(Time at) override { woken.push_back(at); }
  void write_mmio(Gpa, std::uint64_t, unsigned) override {}
  std::uint64_t read_mmio(Gpa, unsigned) override { return 0; }
  void halt() override {}
  bool interrupt_pending() const override { return false; }
  unsigned acknowledge_interrupt() override { return 0; }
  void set_timer(Time) override {}
  void send_interrupt(unsigned, unsigned) override {}
  Times woken;
};

struct MemoryBench {
  explicit MemoryBench(std::function<void(Script&)> body) : script("script", std::move(body)) {
    device.out.bind(memory.access);
  }
  PhysicalMemory bytes{1 << 20};
  LineMonitor monitor;
  Sleeper sleeper;
  Initiator device{"device"};
  Memory memory{"memory", MemoryConfig{Time::ns(90)}, bytes, monitor};
  Script script;
};

TEST_CASE("memory: a write wakes who polls the word, when it is there and once") {
  const Times t = times_of<MemoryBench>([](MemoryBench& b, Script&, Times& out) {
    b.monitor.watch(Hpa{0x2000}, b.sleeper);
    b.device.write(0x2004, std::uint32_t{1}, Time::ns(10));
    out.push_back(Time::ps(b.sleeper.woken.size()));  // another word
    const auto reply = b.device.write(0x2000, std::uint32_t{7}, Time::ns(10));
    out.push_back(reply.delay);
    b.device.write(0x2000, std::uint32_t{8}, Time::ns(20));
    out.push_back(Time::ps(b.bytes.read<std::uint32_t>(Hpa{0x2000})));
    out.insert(out.end(), b.sleeper.woken.begin(), b.sleeper.woken.end());
  });
  CHECK(t == Times{Time{}, Time::ns(100), Time::ps(8), Time::ns(1100)});
}

TEST_CASE("memory: reads see what is there, payload that does not move leaves it alone") {
  const Times t = times_of<MemoryBench>([](MemoryBench& b, Script&, Times& out) {
    b.bytes.write(Hpa{0x3000}, std::uint64_t{42});
    std::uint64_t value = 0;
    out.push_back(b.device.read(0x3000, &value, 8).delay);
    out.push_back(Time::ps(value));
    b.monitor.watch(Hpa{0x3000}, b.sleeper);
    out.push_back(b.device.move(tlm::TLM_WRITE_COMMAND, 0x3000, 4096).delay);
    out.push_back(Time::ps(b.bytes.read<std::uint64_t>(Hpa{0x3000})));
    out.push_back(Time::ps(b.sleeper.woken.size()));
  });
  CHECK(t == Times{Time::ns(90), Time::ps(42), Time::ns(90), Time::ps(42), Time{}});
}

TEST_CASE("memory: beyond its end nothing answers") {
  const Times t = times_of<MemoryBench>([](MemoryBench& b, Script&, Times& out) {
    for (const std::uint64_t address : {(1u << 20) - 8ul, (1u << 20) - 7ul, ~std::uint64_t{0} - 3}) {
      out.push_back(Time::ps(b.device.write(address, std::uint64_t{1}).ok));
    }
  });
  CHECK(t == Times{Time::ps(1), Time{}, Time{}});
}

struct InterruptBench {
  explicit InterruptBench(std::function<void(Script&)> body) : script("script", std::move(body)) {
    device.out.bind(fabric.messages);
    for (Target* cpu : {&cpu0, &cpu1}) fabric.cpus.bind(cpu->in);
  }
  Initiator device{"device"};
  InterruptFabric fabric{"fabric"};
  Target cpu0{"cpu0"}, cpu1{"cpu1"};
  Script script;
};

TEST_CASE("interrupts go to the CPU their address names") {
  const Times t = times_of<InterruptBench>([](InterruptBench& b, Script&, Times& out) {
    out.push_back(Time::ps(b.device.write(0xfee00000, std::uint32_t{0x31}).ok));
    out.push_back(Time::ps(b.device.write(0xfee01000, std::uint32_t{0x32}, Time::ns(5)).ok));
    out.push_back(Time::ps(b.device.write(0xfee02000, std::uint32_t{0x33}).ok));  // nobody's
    out.insert(out.end(), {Time::ps(b.cpu0.seen.size()), Time::ps(b.cpu0.seen.at(0).data)});
    out.insert(out.end(), {Time::ps(b.cpu1.seen.size()), Time::ps(b.cpu1.seen.at(0).data), b.cpu1.seen.at(0).at});
  });
  CHECK(t == Times{Time::ps(1), Time::ps(1), Time{}, Time::ps(1), Time::ps(0x31), Time::ps(1), Time::ps(0x32),
                   Time::ns(1005)});
}

struct RouterBench {
  explicit RouterBench(std::function<void(Script&)> body) : script("script", std::move(body)) {
    cpu.out.bind(router.cpus);
    router.map_next(Gpa{0x1'0000}, 0x1000);
    router.targets.bind(first.in);
    router.map_next(Gpa{0x1'1000}, 0x10);
    router.targets.bind(second.in);
  }
  Initiator cpu{"cpu"};
  MmioRouter router{"router"};
  Target first{"first"}, second{"second"};
  Script script;
};

TEST_CASE("MMIO goes to the window it falls into, relative to its start") {
  struct Row {
    std::uint64_t address;
    int target;  // 0: nobody's
    std::uint64_t relative;
  };
  const auto row = GENERATE(Row{0x1'0000, 1, 0}, Row{0x1'0ffc, 1, 0xffc}, Row{0x1'1000, 2, 0},
                            Row{0x1'100c, 2, 0xc}, Row{0x0'fffc, 0, 0}, Row{0x1'1010, 0, 0}, Row{0, 0, 0});
  const Times t = times_of<RouterBench>([row](RouterBench& b, Script&, Times& out) {
    out.push_back(Time::ps(b.cpu.write(row.address, std::uint32_t{1}).ok));
    for (const Target* target : {&b.first, &b.second}) {
      for (const auto& access : target->seen)
        out.push_back(Time::ps((target == &b.first ? 1 : 2) * 0x10000 + access.address));
    }
  });
  if (row.target == 0) {
    CHECK(t == Times{Time{}});
  } else {
    CHECK(t == Times{Time::ps(1), Time::ps(static_cast<std::uint64_t>(row.target) * 0x10000 + row.relative)});
  }
}

}  // namespace
}  // namespace gnomon::test
