// SPDX-License-Identifier: Apache-2.0
// The AMD IOMMU driver, command by command as they lie in the ring.
#include <catch2/catch.hpp>
#include <map>

#include "tests/support/amd_bench.hpp"

namespace gnomon::guest {
namespace {

using amdvi::Bits128;
using test::count_of;
using test::of_kind;
using Bench = test::AmdBench;
using Call = test::RecordingShadow::Call;

constexpr std::uint64_t S = 1, PDE = 2;

Bits128 invalidate(std::uint64_t address_and_flags, std::uint64_t domain = 1) {
  return {(std::uint64_t{3} << 60) | (domain << 32), address_and_flags};
}
Bits128 wait_for(const Bench& b, std::uint64_t number) {
  return {(std::uint64_t{1} << 60) | b.instance.commands().semaphore().value | 1, number};
}
std::vector<Run> reference_buffer() {  // 64 KiB in two runs
  return {{Gpa::from_page(0x1000), 10 * page_size}, {Gpa::from_page(0x2003), 6 * page_size}};
}
Bench::Options with_policy(const char* name, bool np_cache = true) {
  Bench::Options options;
  options.np_cache = np_cache;
  options.driver.kernel.flush_policy = find_flush_policy(name);
  REQUIRE(options.driver.kernel.flush_policy != nullptr);
  return options;
}
/// The INVALIDATE_IOMMU_PAGES among the commands: their second words.
std::vector<std::uint64_t> invalidations(const std::vector<Bits128>& commands) {
  std::vector<std::uint64_t> words;
  for (const Bits128& c : commands) {
    if (c.lo >> 60 == 3) words.push_back(c.hi);
  }
  return words;
}

TEST_CASE("probe: tables and rings, translation on, everything invalidated and waited for") {
  Bench b;
  b.instance.probe(b.cpu);
  using namespace amdvi;
  CHECK(b.device.read_register(reg::device_table, 8) == (b.instance.device_table().base().value | 7));  // 32 KiB
  CHECK(b.device.read_register(reg::command_buffer, 8) ==
        (b.instance.commands().base().value | (std::uint64_t{9} << 56)));
  CHECK(b.device.read_register(reg::event_log, 8) == (b.instance.event_log().value | (std::uint64_t{9} << 56)));
  CHECK(b.device.read_register(reg::control, 8) ==
        (control::iommu_en | control::event_log_en | control::cmd_buf_en));
  CHECK(b.device.read_register(reg::status, 8) == (status::cmd_buf_run | status::event_log_run));
  CHECK(b.commands == std::vector<Bits128>{{std::uint64_t{8} << 60, 0}, wait_for(b, 1)});
  CHECK(b.ram.read<std::uint64_t>(b.instance.commands().semaphore()) == 1);
  CHECK(b.ram.read<std::uint64_t>(b.instance.device_table().base() + 0x3ff * 32) == 3);  // valid, nothing permitted
  const auto all = of_kind<trace::GuestRequest>(b.recorder.events).at(0).second;
  CHECK(all.type == trace::RequestType::invalidate);
  CHECK(all.domain == trace::all_domains);
  CHECK(all.bytes == trace::whole_domain);
}

TEST_CASE("attach writes the device's entry and flushes it, then the domain") {
  Bench b;
  b.instance.probe(b.cpu);
  b.forget();
  REQUIRE(b.instance.attach(b.cpu, *b.driver, Bench::source) == 0);
  CHECK(b.commands == std::vector<Bits128>{{(std::uint64_t{2} << 60) | 0x100, 0},
                                           invalidate(0x7fff'ffff'ffff'f000 | S | PDE),
                                           wait_for(b, 2)});
  const Gpa entry = b.instance.device_table().base() + 0x100 * 32;
  CHECK(b.ram.read<std::uint64_t>(entry) ==
        (b.amd().table().root().value | (3 << 9) | 3 | (std::uint64_t{3} << 61)));
  CHECK(b.ram.read<std::uint64_t>(entry + 8) == 1);
  CHECK_FALSE(b.shadow.bypass);
  CHECK(b.instance.attach(b.cpu, *b.driver, Bench::source) == 0);  // there already
  CHECK(b.commands.size() == 3);
  CHECK(b.instance.attach(b.cpu, *b.driver, SourceId{0x400}) == ENODEV);
}

TEST_CASE("a device that changes domains is blocked in between") {
  Bench b;
  b.boot();
  REQUIRE(b.map(0x100, {{Gpa::from_page(1), page_size}}) == 0);
  auto other = b.instance.make_domain(b.cpu, 2);
  b.forget();
  REQUIRE(b.instance.attach(b.cpu, *other, Bench::source) == 0);
  const Bits128 entry{(std::uint64_t{2} << 60) | 0x100, 0};
  const std::uint64_t all = 0x7fff'ffff'ffff'f000 | S | PDE;
  REQUIRE(b.commands.size() == 6);
  CHECK(b.commands[0] == entry);
  CHECK(b.commands[1] == invalidate(all, 1));
  CHECK(b.commands[3] == entry);
  CHECK(b.commands[4] == invalidate(all, 2));
  CHECK(b.shadow.pages.empty());
}

TEST_CASE("the reference buffer with NpCache: two doorbells a map and an unmap, eight walks, eight notifications") {
  Bench b;
  b.boot();
  REQUIRE(b.map(0xfffe0, reference_buffer()) == 0);
  CHECK(b.commands == std::vector<Bits128>{invalidate(0xfffe'7000 | S | PDE), wait_for(b, 3)});
  CHECK(b.count(amdvi::reg::command_tail, true) == 2);
  CHECK(b.accesses.size() == 2);
  CHECK(b.port.reads == 2 + 8 * 3);  // the device's entry; three levels for each leaf
  CHECK(b.port.look_ups == 8);
  std::vector<Call> expected{{true, 0xfffe0000, 0x1000000, 8 * page_size},
                             {true, 0xfffe8000, 0x1008000, 2 * page_size}};
  for (std::uint64_t i = 0; i < 6; ++i) {
    expected.push_back({true, 0xfffea000 + i * page_size, 0x2003000 + i * page_size, page_size});
  }
  CHECK(b.shadow.calls == expected);
  CHECK(b.driver->iova_to_phys(Iova{0xfffe'9abc}) == Gpa{0x100'9abc});
  CHECK(b.driver->iova_to_phys(Iova{0xffff'0000}) == std::nullopt);
  CHECK(count_of<trace::MappingAdded>(b.recorder.events) == 3);  // driver calls: 32 KiB, 8 KiB, six pages

  b.forget();
  REQUIRE(b.unmap(0xfffe0, 16) == 16);
  CHECK(b.commands == std::vector<Bits128>{invalidate(0xfffe'7000 | S | PDE), wait_for(b, 4)});
  CHECK(b.port.look_ups == 8);
  for (Call& call : expected) call = {false, call.iova, 0, call.bytes};
  CHECK(b.shadow.calls == expected);
  CHECK(b.shadow.pages.empty());
  const auto removed = of_kind<trace::MappingRemoved>(b.recorder.events);
  REQUIRE(removed.size() == 1);
  CHECK(removed[0].second.iova == 0xfffe'0000);
  CHECK(removed[0].second.bytes == 16 * page_size);
}

TEST_CASE("events of a map: the mapping, each command with what it covers, each doorbell, the sync, the return") {
  Bench b;
  b.boot();
  REQUIRE(b.map(0xfffe0, {{Gpa::from_page(0x100), 5 * page_size}}) == 0);
  std::string order;
  for (const auto& e : b.recorder.events) {
    if (std::holds_alternative<trace::MappingAdded>(e.event)) order += "added ";
    if (std::holds_alternative<trace::GuestKick>(e.event)) order += "kick ";
    if (const auto* s = std::get_if<trace::SyncDone>(&e.event))
      order += s->kind == trace::Sync::map ? "map-sync " : "sync ";
    if (std::holds_alternative<trace::MapReturned>(e.event)) order += "returned ";
    if (const auto* r = std::get_if<trace::GuestRequest>(&e.event)) {
      order += r->type == trace::RequestType::wait ? "wait " : std::to_string(r->bytes / page_size) + "-pages ";
    }
  }
  CHECK(order == "added added 4-pages kick 1-pages kick wait kick map-sync returned ");
}

TEST_CASE("without NpCache a map says nothing, and an unmap is one command however it lies") {
  Bench::Options options;
  options.np_cache = false;
  Bench b(options);
  b.boot();
  const auto [page, count, field] =
      GENERATE(table<std::uint64_t, std::uint64_t, std::uint64_t>({{0xfffff, 1, 0xffff'f000},
                                                                   {0xfffe0, 2, 0xfffe'0000 | S},
                                                                   {0xfffe0, 5, 0xfffe'3000 | S},
                                                                   {0xfffe0, 16, 0xfffe'7000 | S},
                                                                   {0x3, 2, 0x3000 | S},
                                                                   {0xff, 2, 0xf'f000 | S}}));
  REQUIRE(b.map_scattered(page, count) == 0);
  CHECK(b.commands.empty());
  REQUIRE(b.unmap(page, count) == count);
  CHECK(b.commands == std::vector<Bits128>{invalidate(field | PDE), wait_for(b, 3)});
}

TEST_CASE("with NpCache an unmap is split into natural blocks") {
  Bench b;
  b.boot();
  using Words = std::vector<std::uint64_t>;
  const auto [page, count, fields] =
      GENERATE(table<std::uint64_t, std::uint64_t, Words>({{0xfffe0, 5, {0xfffe'1000 | S, 0xfffe'4000}},
                                                           {0x3, 2, {0x3000, 0x4000}},
                                                           {0xff, 2, {0xf'f000, 0x10'0000}},
                                                           {0x1, 7, {0x1000, 0x2000 | S, 0x5000 | S}},
                                                           {0x200, 512, {0x2f'f000 | S}}}));
  REQUIRE(b.map_scattered(page, count) == 0);
  b.forget();
  REQUIRE(b.unmap(page, count) == count);
  Words expected = fields;
  for (std::uint64_t& word : expected) word |= PDE;
  CHECK(invalidations(b.commands) == expected);
  CHECK(b.commands.size() == expected.size() + 1);
  CHECK(b.shadow.pages.empty());
}

// One page at a time into one gather, as callers of iommu_unmap_fast did before unmap_pages.
TEST_CASE("commands and waits of every policy for pages unmapped one by one") {
  struct Row {
    std::uint64_t first, count;
    std::size_t block, ordered, deferred;
  };
  const Row row = GENERATE(Row{0, 1, 1, 1, 1}, Row{0, 3, 1, 2, 2}, Row{0, 4, 1, 2, 1}, Row{0, 7, 1, 4, 3},
                           Row{0, 8, 1, 4, 1}, Row{0, 16, 1, 8, 1}, Row{0, 15, 1, 8, 4}, Row{1, 7, 1, 4, 3},
                           Row{3, 2, 1, 2, 2}, Row{255, 2, 1, 2, 2}, Row{1, 16, 1, 9, 5});
  const char* name = GENERATE("page-selective", "tailored", "deferred-split", "natural-split");
  Bench b(with_policy(name));
  b.boot();
  const std::uint64_t base = 0x800;
  REQUIRE(b.map_scattered(base + row.first, row.count) == 0);
  b.forget();
  IotlbGather gather;
  for (std::uint64_t i = 0; i < row.count; ++i) {
    REQUIRE(b.domain.unmap_fast(b.cpu, Iova::from_page(base + row.first + i), page_size, gather) == page_size);
  }
  b.domain.iotlb_sync(b.cpu, gather);
  const std::string policy = name;
  const bool ordered = policy == "tailored";
  const std::size_t commands = ordered ? row.ordered : policy == "page-selective" ? row.block : row.deferred;
  CHECK(invalidations(b.commands).size() == commands);
  CHECK(b.commands.size() - commands == (ordered ? row.ordered : 1));  // waits
  std::size_t early = 0;
  for (const auto& [at, sync] : of_kind<trace::SyncDone>(b.recorder.events))
    early += sync.kind == trace::Sync::early;
  CHECK(early == (ordered ? row.ordered - 1 : 0));
  CHECK(b.shadow.pages.empty());
}

TEST_CASE("before 5.15 more than a page was the whole domain") {
  Bench b(with_policy("full", false));
  b.boot();
  REQUIRE(b.map_scattered(0x100, 3) == 0);
  REQUIRE(b.unmap(0x100) == 1);
  REQUIRE(b.unmap(0x101, 2) == 2);
  CHECK(invalidations(b.commands) == std::vector<std::uint64_t>{0x10'0000 | PDE, 0x7fff'ffff'ffff'f000 | S | PDE});
  CHECK(of_kind<trace::GuestRequest>(b.recorder.events).at(2).second.bytes == trace::whole_domain);
}

TEST_CASE("a flush of everything: one command in 6.1, 63 in a 6.12 with NpCache") {
  Bench::Options options;
  options.driver.split_flush_all = GENERATE(false, true);
  options.np_cache = GENERATE(false, true);
  Bench b(options);
  b.boot();
  b.domain.flush_all(b.cpu);
  const auto words = invalidations(b.commands);
  CHECK(words.front() == (0x7fff'ffff'ffff'f000 | S | PDE));
  if (options.driver.split_flush_all && options.np_cache) {
    REQUIRE(words.size() == 63);
    CHECK(words[9] == (0x7fff'ffff'ffff'f000 | S | PDE));   // 2^53 bytes: more than a block can be
    CHECK(words[10] == (0x7fe7'ffff'ffff'f000 | S | PDE));  // 2^52
    CHECK(words[49] == (0x7fff'ffff'ffff'c000 | S | PDE));  // 8 KiB
    CHECK(words[50] == (0x7fff'ffff'ffff'e000 | PDE));
    for (std::size_t i = 51; i < 63; ++i)
      CHECK(words[i] == (0x7fff'ffff'ffff'f000 | PDE));  // the same page each time
  } else {
    CHECK(words.size() == 1);
  }
  CHECK(b.commands.size() == words.size() + 1);
  CHECK(of_kind<trace::SyncDone>(b.recorder.events).at(0).second.kind == trace::Sync::all);
}

TEST_CASE("7.x keeps directory entries on an unmap, and leaves deferred unmaps out of the gather") {
  Bench::Options options;
  options.driver.kernel.pde_bit = PdeBit::tables_freed;
  options.driver.gather_deferred = false;
  Bench b(options);
  b.boot();
  REQUIRE(b.map_scattered(0x100, 2) == 0);
  REQUIRE(b.unmap(0x100) == 1);
  CHECK(invalidations(b.commands) == std::vector<std::uint64_t>{0x10'0000 | S | PDE, 0x10'0000});
  IotlbGather gather;
  gather.queued = true;
  CHECK(b.domain.unmap_fast(b.cpu, Iova::from_page(0x101), page_size, gather) == page_size);
  CHECK(gather.empty());
}

TEST_CASE("a hole ends an unmap; what was asked for is flushed") {
  Bench b;
  b.boot();
  REQUIRE(b.map_scattered(0x100, 1) == 0);
  b.forget();
  CHECK(b.unmap(0x100, 4) == 1);
  CHECK(invalidations(b.commands) == std::vector<std::uint64_t>{0x10'1000 | S | PDE});
  b.forget();
  CHECK(b.unmap(0x100, 4) == 0);  // nothing there: nothing to flush
  CHECK(b.commands.empty());
}

TEST_CASE("an IOVA beyond the table makes it grow: new entries for its devices, flushed, before the map returns") {
  Bench b;
  b.boot();
  const std::uint64_t beyond = std::uint64_t{1} << 27;  // 2^39 bytes, a page more than three levels
  REQUIRE(b.map(beyond, {{Gpa::from_page(7), page_size}}) == 0);
  CHECK(b.amd().table().levels() == 4);
  CHECK(b.commands == std::vector<Bits128>{{(std::uint64_t{2} << 60) | 0x100, 0},
                                           wait_for(b, 3),
                                           invalidate((beyond << 12) | PDE),
                                           wait_for(b, 4)});
  CHECK(b.shadow.pages == std::map<std::uint64_t, std::uint64_t>{{beyond, 7}});
}

TEST_CASE("a leaf that takes a table's place: everything is flushed, then the table is free for reuse") {
  Bench::Options options;
  options.np_cache = false;
  Bench b(options);
  b.boot();
  REQUIRE(b.map(0x200, {{Gpa::from_page(0x300), page_size}}) == 0);
  REQUIRE(b.unmap(0x200) == 1);
  b.forget();
  const Gpa table{
      b.ram.read<std::uint64_t>(Gpa{b.ram.read<std::uint64_t>(b.amd().table().root()) & 0xf'ffff'f000} + 8) &
      0xf'ffff'f000};
  REQUIRE(b.map(0x200, {{Gpa::from_page(0x400), 512 * page_size}}) == 0);
  CHECK(b.commands == std::vector<Bits128>{invalidate(0x7fff'ffff'ffff'f000 | S | PDE), wait_for(b, 4)});
  CHECK(b.kernel.allocate() == table);
}

TEST_CASE("errors: no permission, and no memory for a table") {
  Bench b;
  b.boot();
  const Run run{Gpa::from_page(1), page_size};
  CHECK(b.domain.map_sg(b.cpu, Iova{0x1000}, {&run, 1}, {false, false}).error == EINVAL);
  while (true) {
    try {
      b.kernel.allocate();
    } catch (const std::bad_alloc&) {
      break;
    }
  }
  CHECK(b.map(0x1000, {{Gpa::from_page(1), page_size}}) == ENOMEM);
  CHECK(count_of<trace::MappingAdded>(b.recorder.events) == 0);
  CHECK(b.commands.empty());
}

TEST_CASE("a domain without devices sends nothing") {
  Bench b;
  b.instance.probe(b.cpu);
  b.forget();
  REQUIRE(b.map_scattered(0x100, 4) == 0);
  REQUIRE(b.unmap(0x100, 2) == 2);
  CHECK(b.commands.empty());
  REQUIRE(b.instance.attach(b.cpu, *b.driver, Bench::source) == 0);
  CHECK(b.shadow.pages.size() == 2);  // the attach shows what was mapped before
}

TEST_CASE("what a call costs: the page-table work of Linux 6.12's benchmark") {
  Bench::Options options;
  options.np_cache = false;
  Bench b(options);
  b.boot();
  REQUIRE(b.map_scattered(0x0, 1) == 0);  // tables are there now
  const auto took = [&](auto work) {
    const Time began = b.cpu.now();
    work();
    return b.cpu.now() - began;
  };
  CHECK(took([&] { REQUIRE(b.map(0x1, {{Gpa::from_page(8), page_size}}) == 0); }) == Time::ns(67));
  IotlbGather gather;
  CHECK(took([&] { b.domain.unmap_fast(b.cpu, Iova::from_page(1), page_size, gather); }) == Time::ns(85));
  // 256 pages of one phase difference: one call, a walk from the root for each leaf
  CHECK(took([&] {
          REQUIRE(b.map(0x100, {{Gpa::from_page(0x2001), 256 * page_size}}) == 0);
        }) == Time::ns(60 + 256 * 7));
}

TEST_CASE("7.x walks once a call: 256 pages cost little more than one") {
  Bench::Options options;
  options.np_cache = false;
  options.driver.walk_every_leaf = GENERATE(false, true);
  Bench b(options);
  b.boot();
  REQUIRE(b.map_scattered(0x0, 1) == 0);
  const Time began = b.cpu.now();
  REQUIRE(b.map(0x100, {{Gpa::from_page(0x2001), 256 * page_size}}) == 0);
  const Time mapped = b.cpu.now() - began;
  IotlbGather gather;
  REQUIRE(b.amd().table().lookup(Iova::from_page(0x1ff))->page_bytes == page_size);
  REQUIRE(b.domain.unmap_fast(b.cpu, Iova::from_page(0x100), 256 * page_size, gather) == 256 * page_size);
  const Time unmapped = b.cpu.now() - began - mapped;
  CHECK(mapped == (options.driver.walk_every_leaf ? Time::ns(60 + 256 * 7) : Time::ns(60 + 6 + 256)));
  CHECK(unmapped == (options.driver.walk_every_leaf ? Time::ns(60 + 256 * 25) : Time::ns(60 + 6 + 18 + 256)));
}

TEST_CASE("planted bugs: no flush on map, none on unmap") {
  Bench::Options options;
  SECTION("map") {
    options.driver.faults.skip_map_flush = true;
    Bench b(options);
    b.boot();
    REQUIRE(b.map_scattered(0x100, 1) == 0);
    CHECK(b.shadow.pages.empty());
  }
  SECTION("unmap") {
    options.driver.faults.skip_unmap_flush = true;
    Bench b(options);
    b.boot();
    REQUIRE(b.map_scattered(0x100, 1) == 0);
    REQUIRE(b.unmap(0x100) == 1);
    CHECK(b.shadow.pages.size() == 1);
  }
}

}  // namespace
}  // namespace gnomon::guest
