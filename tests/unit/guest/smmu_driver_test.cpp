// SPDX-License-Identifier: Apache-2.0
// The SMMUv3 driver: which commands a sync is made of, and when one comes early or at once.
#include <catch2/catch.hpp>

#include "models/spec/smmuv3/virtual_queue.hpp"
#include "tests/support/smmu_bench.hpp"

using namespace gnomon;
using namespace gnomon::test;
using namespace gnomon::smmuv3;
using guest::Cpu;
using guest::Run;

namespace {

constexpr std::uint64_t kib4 = 4096;
constexpr std::uint64_t mib2 = 2 << 20;

/// The TLBI that the driver should have queued, without its CMD_SYNC.
using Sent = std::vector<Command>;

/// What was put on the queue while `work` ran on CPU 0.
template <class Work>
Sent sent(const SmmuBench::Options& options, Work work, std::uint64_t* kicks = nullptr) {
  SmmuBench b(options);
  Sent commands;
  REQUIRE(b.run([&](Cpu& cpu) {
    b.on_step = [&](const Command& c) { commands.push_back(c); };
    work(b, cpu);
    if (kicks != nullptr) *kicks = b.count(reg::cmdq_prod);
  }));
  return commands;
}
Sent without_syncs(Sent commands) {
  std::erase_if(commands, [](const Command& c) { return std::holds_alternative<CmdSync>(c); });
  return commands;
}
std::uint64_t syncs(const Sent& commands) {
  return commands.size() - without_syncs(commands).size();
}

SmmuBench::Options ranges(bool on, Stage stage = Stage::one) {
  SmmuBench::Options o;
  o.unit.range_invalidation = on;
  o.unit.command_log2 = 12;
  o.driver.stage = stage;
  return o;
}
void map(SmmuBench& b, Cpu& cpu, std::uint64_t iova, std::uint64_t gpa, std::uint64_t bytes) {
  const Run run{Gpa{gpa}, bytes};
  REQUIRE(b.domain->map_sg(cpu, Iova{iova}, {&run, 1}, {true, true}).error == 0);
}

}  // namespace

TEST_CASE("the reference buffer: one TLBI by range, or one a page, and one CMD_SYNC in one issue") {
  const auto work = [](SmmuBench& b, Cpu& cpu) {
    const Run runs[] = {{Gpa::from_page(0x1000), 10 * kib4}, {Gpa::from_page(0x2003), 6 * kib4}};
    CHECK(b.domain->map_sg(cpu, Iova::from_page(0xfffe0), runs, {true, true}).error == 0);
    CHECK(b.stores.empty());  // a map is nobody's business
    CHECK(b.domain->unmap(cpu, Iova::from_page(0xfffe0), 16 * kib4) == 16 * kib4);
  };
  std::uint64_t kicks = 0;
  const Sent by_range = sent(ranges(true), work, &kicks);
  REQUIRE(by_range.size() == 2);
  CHECK(by_range[0] == Command{TlbiNhVa{0, 1, {0xfffe'0000, true, 1, 0, 4, 3}}});
  CHECK(syncs(by_range) == 1);
  CHECK(kicks == 1);

  const Sent by_page = sent(ranges(false), work, &kicks);
  REQUIRE(by_page.size() == 17);
  for (unsigned i = 0; i != 16; ++i) {
    CHECK(by_page[i] == Command{TlbiNhVa{0, 1, {0xfffe'0000 + i * kib4, true, 0, 0, 0, 0}}});
  }
  CHECK(kicks == 1);
}

TEST_CASE("range decomposition: pages to commands") {
  const std::pair<unsigned, unsigned> table[] = {{1, 1},  {3, 1},   {5, 1},   {16, 1}, {17, 1},  {31, 1},  {32, 1},
                                                 {48, 1}, {100, 1}, {511, 2}, {33, 2}, {513, 2}, {1000, 2}};
  for (const auto& [pages, expected] : table) {
    const Sent commands = without_syncs(sent(ranges(true), [pages = pages](SmmuBench& b, Cpu& cpu) {
      map(b, cpu, kib4, 0x40'0000 - kib4 * 0x200, std::uint64_t{pages} * kib4);
      b.domain->unmap(cpu, Iova{kib4}, std::uint64_t{pages} * kib4);
    }));
    INFO(pages);
    CHECK(commands.size() == expected);
    std::uint64_t next = kib4;
    for (const Command& c : commands) {
      const auto& range = std::get<TlbiNhVa>(c).range;
      CHECK(range.address == next);
      CHECK(range.ttl == 3);
      next += range.bytes();
    }
    CHECK(next == kib4 + std::uint64_t{pages} * kib4);
  }
}

TEST_CASE("1000 pages are 29 << 3 and 3 << 8") {
  const Sent commands = without_syncs(sent(ranges(true), [](SmmuBench& b, Cpu& cpu) {
    map(b, cpu, kib4, 0x10'0000 + kib4 * 2, 1000 * kib4);
    b.domain->unmap(cpu, Iova{kib4}, 1000 * kib4);
  }));
  REQUIRE(commands.size() == 2);
  CHECK(commands[0] == Command{TlbiNhVa{0, 1, {kib4, true, 1, 28, 3, 3}}});
  CHECK(commands[1] == Command{TlbiNhVa{0, 1, {kib4 + 232 * kib4, true, 1, 2, 8, 3}}});
}

TEST_CASE("leaves of another size sync early; levels are told") {
  const Sent commands = sent(ranges(true), [](SmmuBench& b, Cpu& cpu) {
    map(b, cpu, mib2, 2 * mib2, mib2 + 16 * kib4);
    b.domain->unmap(cpu, Iova{mib2}, mib2 + 16 * kib4);
  });
  REQUIRE(commands.size() == 4);
  CHECK(commands[0] == Command{TlbiNhVa{0, 1, {mib2, true, 1, 0, 9, 2}}});
  CHECK(std::holds_alternative<CmdSync>(commands[1]));
  CHECK(commands[2] == Command{TlbiNhVa{0, 1, {2 * mib2, true, 1, 0, 4, 3}}});
}

TEST_CASE("a block unmapped over a table: walks through it go at once, before its pages do") {
  for (const bool by_range : {true, false}) {
    const Sent commands = sent(ranges(by_range), [](SmmuBench& b, Cpu& cpu) {
      for (std::uint64_t i = 0; i != 512; ++i) map(b, cpu, mib2 + i * kib4, 0x80'0000 + 2 * i * kib4, kib4);
      guest::IotlbGather gather;
      gather.queued = true;  // lazy: at once all the same
      CHECK(b.domain->unmap_fast(cpu, Iova{mib2}, mib2, gather) == mib2);
      CHECK(gather.empty());
      CHECK_FALSE(b.driver->iova_to_phys(Iova{mib2}));
    });
    REQUIRE(commands.size() == (by_range ? 2 : 513));
    const auto& first = std::get<TlbiNhVa>(commands[0]).range;
    CHECK_FALSE(first.leaf);
    CHECK(first.address == mib2);
    if (by_range) CHECK(first.bytes() == mib2);
  }
}

TEST_CASE("a block mapped over an empty table flushes it out first") {
  const Sent commands = without_syncs(sent(ranges(true), [](SmmuBench& b, Cpu& cpu) {
    map(b, cpu, mib2, 0x80'0000, kib4);
    b.domain->unmap(cpu, Iova{mib2}, kib4);
    map(b, cpu, mib2, 2 * mib2, mib2);
    CHECK(b.driver->iova_to_phys(Iova{mib2 + 0x1234}) == Gpa{2 * mib2 + 0x1234});
  }));
  REQUIRE(commands.size() == 2);
  CHECK(commands[1] == Command{TlbiNhVa{0, 1, {mib2, false, 1, 0, 9, 0}}});
}

TEST_CASE("part of a block: 6.1 splits and flushes the part, 7.2 unmaps nothing") {
  SmmuBench::Options options = ranges(true);
  const auto work = [](std::uint64_t expected) {
    return [expected](SmmuBench& b, Cpu& cpu) {
      map(b, cpu, mib2, 2 * mib2, mib2);
      CHECK(b.domain->unmap(cpu, Iova{mib2 + 3 * kib4}, 2 * kib4) == expected);
      CHECK(b.driver->iova_to_phys(Iova{mib2 + 5 * kib4}) == Gpa{2 * mib2 + 5 * kib4});
    };
  };
  CHECK(without_syncs(sent(options, work(2 * kib4))) == Sent{TlbiNhVa{0, 1, {mib2 + 3 * kib4, true, 1, 0, 1, 3}}});
  options.driver.kernel.split_blocks = false;
  CHECK(sent(options, work(0)).empty());
}

TEST_CASE("7.2 without ranges: 512 granules are the whole domain") {
  SmmuBench::Options options = ranges(false);
  options.driver.kernel.full_above_limit = true;
  const auto work = [](std::uint64_t pages) {
    return [pages](SmmuBench& b, Cpu& cpu) {
      map(b, cpu, kib4, 0x40'0000, pages * kib4);
      b.domain->unmap(cpu, Iova{kib4}, pages * kib4);
    };
  };
  CHECK(without_syncs(sent(options, work(511))).size() == 511);
  CHECK(without_syncs(sent(options, work(512))) == Sent{TlbiNhAsid{0, 1}});
}

TEST_CASE("2015: one page a call, one TLBI and one CMD_SYNC each") {
  SmmuBench::Options options = ranges(false);
  options.driver.kernel.sync_every_call = true;
  std::uint64_t kicks = 0;
  const Sent commands = sent(
      options,
      [](SmmuBench& b, Cpu& cpu) {
        b.core.calls = guest::DriverCalls::per_page;
        guest::IommuDomain old(*b.driver, b.core);
        map(b, cpu, kib4, 0x40'0000, 20 * kib4);
        CHECK(old.unmap(cpu, Iova{kib4}, 20 * kib4) == 20 * kib4);
      },
      &kicks);
  CHECK(commands.size() == 40);
  CHECK(syncs(commands) == 20);
  CHECK(kicks == 20);
}

TEST_CASE("lazy: nothing at the unmap, the whole domain at the flush") {
  const Sent commands = sent(ranges(true), [](SmmuBench& b, Cpu& cpu) {
    map(b, cpu, kib4, 0x40'0000, 4 * kib4);
    guest::IotlbGather gather;
    gather.queued = true;
    b.domain->unmap_fast(cpu, Iova{kib4}, 4 * kib4, gather);
    CHECK(b.stores.empty());
    b.domain->flush_all(cpu);
  });
  CHECK(without_syncs(commands) == Sent{TlbiNhAsid{0, 1}});
}

TEST_CASE("stage 2 has commands of its own") {
  const Sent commands = sent(ranges(true, Stage::two), [](SmmuBench& b, Cpu& cpu) {
    map(b, cpu, kib4, 0x40'0000, 4 * kib4);
    CHECK(b.unit.translate(SmmuBench::source, Iova{0x2123}, iommu::Access::read).hpa == Hpa{0x40'1123});
    b.domain->unmap(cpu, Iova{kib4}, 4 * kib4);
    CHECK(b.unit.translate(SmmuBench::source, Iova{0x2123}, iommu::Access::read).kind ==
          iommu::Translation::Kind::fault);
    b.domain->flush_all(cpu);
  });
  CHECK(without_syncs(commands) == Sent{TlbiS2Ipa{1, {kib4, true, 1, 0, 2, 3}}, TlbiS12Vmall{1}});
}

TEST_CASE("device TLBs are flushed after the SMMU's own, each with its wait") {
  SmmuBench::Options options = ranges(true);
  options.driver.device_tlbs = true;
  const Sent commands = sent(options, [](SmmuBench& b, Cpu& cpu) {
    map(b, cpu, 7 * kib4, 0x40'0000, 2 * kib4);
    b.domain->unmap(cpu, Iova{7 * kib4}, 2 * kib4);
  });
  REQUIRE(commands.size() == 4);
  CHECK(std::holds_alternative<CmdSync>(commands[1]));
  CHECK(commands[2] == Command{AtcInv{0x100, false, 0, false, 0, 4}});  // pages 7 and 8: 16 pages enclose them
}

TEST_CASE("an owned queue takes invalidations, and the unit's own the rest") {
  SmmuBench::Options options = ranges(true);
  options.driver.queue = guest::SmmuQueue::owned;
  SmmuBench b(options);
  namespace vq = virtual_queue;
  // The hypervisor's part: the interface belongs to the guest.
  b.unit.write(vq::interface_page + vq::config, vq::interface_config(0, true), 4);
  REQUIRE(b.run([&](Cpu& cpu) {
    map(b, cpu, kib4, 0x40'0000, kib4);
    b.domain->unmap(cpu, Iova{kib4}, kib4);
    CHECK(b.count(reg::cmdq_prod) == 0);
    CHECK(b.count(vq::page0 + vq::prod) == 1);
    CHECK(b.loads > 0);  // CONS is polled: it costs no exit
    const auto& queue = *b.instance.virtual_queues().at(0);
    CHECK(b.commands(queue, 1, 2)[0] == Command{CmdSync{SyncSignal::none, 3, 0xf, 0, 0}});
    CHECK(b.commands(queue, 0, 1)[0] == Command{TlbiNhVa{0, 1, {kib4, true, 1, 0, 0, 3}}});
  }));
}

TEST_CASE("one thread's strict 4 KiB unmap: what the queue takes beside the unit") {
  SmmuBench::Options options = ranges(true);
  options.per_command = Time{};
  SmmuBench b(options);
  REQUIRE(b.run([&](Cpu& cpu) {
    map(b, cpu, kib4, 0x40'0000, kib4);
    b.domain->unmap(cpu, Iova{kib4}, kib4);  // warms the lines
    map(b, cpu, kib4, 0x40'0000, kib4);
    cpu.processor().sync();
    guest::IotlbGather gather;
    b.domain->unmap_fast(cpu, Iova{kib4}, kib4, gather);
    cpu.processor().sync();
    const Time began = cpu.now();
    b.domain->iotlb_sync(cpu, gather);
    cpu.processor().sync();
    const Time took = cpu.now() - began;
    CHECK(took >= Time::ns(430));  // the published queue time without its wait is 445 ns
    CHECK(took <= Time::ns(560));
  }));
}
