// SPDX-License-Identifier: Apache-2.0
// The Intel IOMMU driver: which descriptors lie in its queue, when it writes the tail, what the unit makes of them.
#include <catch2/catch.hpp>
#include <cerrno>

#include "tests/support/intel_bench.hpp"

using namespace gnomon;
using hypervisor::IntelShadowing;
using test::intel_unit;
using test::IntelBench;
using vtd::Bits128;

namespace {

constexpr std::uint64_t m2 = 512;  // pages of 2 MiB

/// 64 KiB at IOVA pages 0xfffe0 to 0xfffef: 10 guest pages from 0x1000 on and 6 from 0x2003 on.
const std::vector<guest::Run> reference_runs{{Gpa::from_page(0x1000), 10 * page_size},
                                             {Gpa::from_page(0x2003), 6 * page_size}};
constexpr std::uint64_t reference_page = 0xfffe0;

/// A legacy page-selective descriptor of domain 1, with drains, as a guest's trace shows it.
Bits128 psi(std::uint64_t address, unsigned am, bool ih) {
  return {0x100f2, address | (ih ? 0x40u : 0u) | am};
}
Bits128 domain_selective() {
  return {0x100e2, 0};
}
Bits128 piotlb(std::uint64_t address, unsigned am, bool ih) {
  return {0x10036, address | (ih ? 0x40u : 0u) | am};
}

/// The descriptors but the waits, after checking that the waits are waits with a status word each.
std::vector<Bits128> without_waits(const IntelBench& b) {
  std::vector<Bits128> rest;
  for (const Bits128& d : b.descriptors) {
    if ((d.lo & 0xf) != 5) {
      rest.push_back(d);
      continue;
    }
    CHECK(d.lo == 0x2'0000'0025);
    CHECK(d.hi % 4 == 0);
  }
  return rest;
}
std::uint64_t tail_writes(const IntelBench& b) {
  return b.count(vtd::reg::iqt, true);
}

IntelBench::Options scalable(IntelShadowing shadowing) {
  IntelBench::Options options;
  options.device = intel_unit(shadowing);
  return options;
}

}  // namespace

TEST_CASE("the reference buffer in caching mode: one page-selective descriptor a map and an unmap") {
  IntelBench b;
  b.boot();
  REQUIRE(b.map(reference_page, reference_runs) == 0);
  CHECK(without_waits(b) == std::vector<Bits128>{psi(0xfffe0000, 4, false)});
  CHECK(b.descriptors.size() == 2);
  CHECK(tail_writes(b) == 1);
  CHECK(b.count(vtd::reg::fsts, false) == 0);  // served within the write of the tail
  CHECK(b.port.look_ups == 16);
  CHECK(b.port.reads == 3 + 3 + 16);  // root entry, context entry; three tables; the leaves
  REQUIRE(b.shadow.calls.size() == 16);
  CHECK(b.shadow.calls[9] == test::RecordingShadow::Call{true, 0xfffe9000, 0x1009000, 4096});
  CHECK(b.shadow.calls[10] == test::RecordingShadow::Call{true, 0xfffea000, 0x2003000, 4096});

  b.forget();
  CHECK(b.unmap(reference_page, 16) == 16);
  CHECK(without_waits(b) == std::vector<Bits128>{psi(0xfffe0000, 4, true)});
  CHECK(tail_writes(b) == 1);
  CHECK(b.shadow.calls.size() == 16);
  CHECK(b.shadow.pages.empty());
}

TEST_CASE("the reference buffer, first level nested: nothing at map, one forwarded invalidation at unmap") {
  IntelBench b(scalable(IntelShadowing::nested));
  b.boot();
  REQUIRE(b.shadow.nested == b.intel().table().root());
  REQUIRE(b.intel().table().first_level());
  REQUIRE(b.map(reference_page, reference_runs) == 0);
  CHECK(b.descriptors.empty());
  CHECK(b.unmap(reference_page, 16) == 16);
  CHECK(without_waits(b) == std::vector<Bits128>{piotlb(0xfffe0000, 4, true)});
  CHECK(tail_writes(b) == 1);
  CHECK(b.shadow.forwarded == std::vector<test::RecordingShadow::Forwarded>{{0xfffe0000, 0x10000, true}});
  CHECK(b.shadow.calls.empty());
}

TEST_CASE("the reference buffer, write-protected: a fault for each entry the guest writes") {
  IntelBench b(scalable(IntelShadowing::write_protect));
  b.boot();
  CHECK(b.port.protected_pages.size() == 1);  // the root
  REQUIRE(b.map(reference_page, reference_runs) == 0);
  CHECK(b.descriptors.empty());
  CHECK(b.store_faults == 3 + 16);
  CHECK(b.port.protected_pages.size() == 4);
  CHECK(b.shadow.pages.size() == 16);
  b.forget();
  CHECK(b.unmap(reference_page, 16) == 16);
  CHECK(b.store_faults == 16);
  CHECK(b.shadow.pages.empty());
  CHECK(b.shadow.forwarded.size() == 1);
}

TEST_CASE("without caching mode a map is not flushed; the unmap is") {
  IntelBench::Options options;
  options.device.caching_mode = false;
  IntelBench b(options);
  b.boot();
  REQUIRE(b.map(reference_page, reference_runs) == 0);
  CHECK(b.accesses.empty());
  CHECK(b.unmap(reference_page, 16) == 16);
  CHECK(without_waits(b) == std::vector<Bits128>{psi(0xfffe0000, 4, true)});
}

TEST_CASE("6.1 loses the hint of second-level flushes, not that of first-level ones") {
  IntelBench::Options options;
  options.driver.second_level_hint = false;
  IntelBench b(options);
  b.boot();
  b.map(reference_page, reference_runs);
  b.forget();
  b.unmap(reference_page, 16);
  CHECK(without_waits(b) == std::vector<Bits128>{psi(0xfffe0000, 4, false)});

  options.device = intel_unit(IntelShadowing::nested);
  IntelBench first_level(options);
  first_level.boot();
  first_level.map(reference_page, reference_runs);
  first_level.unmap(reference_page, 16);
  CHECK(without_waits(first_level) == std::vector<Bits128>{piotlb(0xfffe0000, 4, true)});
}

TEST_CASE("a flush names the smallest aligned block around its range") {
  struct Row {
    std::uint64_t page, count, base;
    unsigned am;
  };
  const auto row = GENERATE(Row{0x100, 1, 0x100, 0}, Row{0x100, 5, 0x100, 3}, Row{255, 2, 0, 9},
                            Row{0x101, 2, 0x100, 2}, Row{0x17f, 2, 0x100, 8}, Row{0x200, 128, 0x200, 7});
  IntelBench b;
  b.boot();
  REQUIRE(b.map(row.page, {{Gpa::from_page(0x1001), row.count * page_size}}) == 0);
  CHECK(without_waits(b) == std::vector<Bits128>{psi(row.base * page_size, row.am, false)});
  const auto requests = test::of_kind<trace::GuestRequest>(b.recorder.events);
  REQUIRE(requests.size() == 2);
  CHECK(requests[0].second.type == trace::RequestType::invalidate);
  CHECK(requests[0].second.iova == row.base * page_size);
  CHECK(requests[0].second.bytes == page_size << row.am);
  CHECK(requests[1].second.type == trace::RequestType::wait);
  CHECK(b.unmap(row.page, row.count) == row.count);
  CHECK(b.shadow.pages.empty());
}

TEST_CASE("a block beyond MAMV is flushed as the whole domain") {
  constexpr std::uint64_t g1 = 512 * m2;
  SECTION("second level: 2 GiB apart in one gather") {
    IntelBench b;
    b.boot();
    REQUIRE(b.map(0, {{Gpa{0}, page_size}}) == 0);
    REQUIRE(b.map(g1, {{Gpa{0}, page_size}}) == 0);
    b.forget();
    guest::IotlbGather gather;
    gather.add_range(Iova{0}, page_size);
    gather.add_range(Iova::from_page(g1), page_size);
    b.driver->iotlb_sync(b.cpu, gather);
    CHECK(without_waits(b) == std::vector<Bits128>{domain_selective()});
    CHECK(test::of_kind<trace::GuestRequest>(b.recorder.events)[0].second.bytes == trace::whole_domain);
  }
  SECTION("1 GiB is the largest block") {
    IntelBench b;
    b.boot();
    guest::IotlbGather gather;
    gather.add_range(Iova{0}, g1 * page_size);
    b.driver->iotlb_sync(b.cpu, gather);
    CHECK(without_waits(b) == std::vector<Bits128>{psi(0, 18, true)});
  }
  SECTION("first level") {
    IntelBench b(scalable(IntelShadowing::nested));
    b.boot();
    guest::IotlbGather gather;
    gather.add_range(Iova{0}, 2 * g1 * page_size);
    b.driver->iotlb_sync(b.cpu, gather);
    CHECK(without_waits(b) == std::vector<Bits128>{{0x10026, 0}});
    CHECK(b.shadow.forwarded == std::vector<test::RecordingShadow::Forwarded>{{0, ~0ull, false}});
  }
}

TEST_CASE("528 pages: chunks of two lengths are two syncs to 6.12, one in 7.2") {
  const std::vector<guest::Run> runs{{Gpa::from_page(0x2200), 528 * page_size}};  // 2 MiB aligned, as the IOVA
  SECTION("to 6.12") {
    IntelBench b;
    b.boot();
    REQUIRE(b.map(m2, runs) == 0);
    CHECK(b.shadow.calls.size() == 1 + 16);  // a leaf of 2 MiB, 16 of 4 KiB
    b.forget();
    CHECK(b.unmap(m2, 528) == 528);
    CHECK(without_waits(b) == std::vector<Bits128>{psi(m2 << 12, 9, true), psi(2 * m2 << 12, 4, true)});
    CHECK(tail_writes(b) == 2);
    const auto syncs = test::of_kind<trace::SyncDone>(b.recorder.events);
    REQUIRE(syncs.size() == 2);
    CHECK(syncs[0].second.kind == trace::Sync::early);
    CHECK(syncs[1].second.kind == trace::Sync::unmap);
  }
  SECTION("7.2") {
    IntelBench::Options options;
    options.driver.kernel.flush_policy = guest::find_flush_policy("page-selective");
    IntelBench b(options);
    b.boot();
    REQUIRE(b.map(m2, runs) == 0);
    b.forget();
    CHECK(b.unmap(m2, 528) == 528);
    CHECK(without_waits(b) == std::vector<Bits128>{psi(0, 11, true)});
    CHECK(tail_writes(b) == 1);
  }
}

TEST_CASE("a table that falls out takes the hint away, and is freed after the flush") {
  IntelBench b;
  b.boot();
  // 512 leaves of 4 KiB: the guest pages are out of step with the IOVA
  REQUIRE(b.map(m2, {{Gpa::from_page(0x1001), m2 * page_size}}) == 0);
  b.forget();
  const Gpa spare = b.kernel.allocate();
  b.kernel.free(spare);
  CHECK(b.unmap(m2, m2) == m2);
  CHECK(without_waits(b) == std::vector<Bits128>{psi(m2 << 12, 9, false)});
  CHECK(b.kernel.allocate() != spare);  // the table's page lies above it on the stack
  REQUIRE(b.shadow.calls.size() == 1);  // the absent directory entry: one event of its span
  CHECK(b.shadow.calls[0] == test::RecordingShadow::Call{false, m2 << 12, 0, m2 << 12});
  CHECK(b.shadow.pages.empty());
}

TEST_CASE("two chunks that free tables: those of the first are freed at the early sync") {
  IntelBench b;
  b.boot();
  REQUIRE(b.map(m2, {{Gpa::from_page(0x1001), (m2 + 16) * page_size}}) == 0);
  b.forget();
  CHECK(b.unmap(m2, m2 + 16) == m2 + 16);
  CHECK(without_waits(b) == std::vector<Bits128>{psi(m2 << 12, 9, false), psi(2 * m2 << 12, 4, true)});
}

TEST_CASE("a large leaf in the place of empty tables flushes them before it frees them") {
  IntelBench b;
  b.boot();
  REQUIRE(b.map(m2, {{Gpa::from_page(0x1001), page_size}}) == 0);
  REQUIRE(b.unmap(m2) == 1);
  b.forget();
  REQUIRE(b.map(m2, {{Gpa::from_page(0x2200), m2 * page_size}}) == 0);
  CHECK(without_waits(b) == std::vector<Bits128>{psi(m2 << 12, 9, false), psi(m2 << 12, 9, false)});
  CHECK(b.shadow.pages.size() == m2);
}

TEST_CASE("deferred: nothing is gathered or flushed, tables wait on the gather's list") {
  IntelBench b;
  b.boot();
  REQUIRE(b.map(m2, {{Gpa::from_page(0x1001), m2 * page_size}}) == 0);
  b.forget();
  guest::IotlbGather gather;
  gather.queued = true;
  CHECK(b.domain->unmap_fast(b.cpu, Iova::from_page(m2), m2 * page_size, gather) == m2 * page_size);
  CHECK(gather.empty());
  CHECK(!gather.freelist.empty());
  CHECK(b.descriptors.empty());
  b.domain->flush_all(b.cpu);
  CHECK(without_waits(b) == std::vector<Bits128>{domain_selective()});
  b.driver->free_tables(b.cpu, gather.freelist);
  CHECK(b.shadow.pages.empty());
}

TEST_CASE("flush_all of a first level is of its PASID") {
  IntelBench b(scalable(IntelShadowing::nested));
  b.boot();
  b.domain->flush_all(b.cpu);
  CHECK(without_waits(b) == std::vector<Bits128>{{0x10026, 0}});
  const auto syncs = test::of_kind<trace::SyncDone>(b.recorder.events);
  REQUIRE(syncs.size() == 1);
  CHECK(syncs[0].second.kind == trace::Sync::all);
}

TEST_CASE("probe and attach: the sequences of descriptors") {
  const auto after_probe = [](IntelBench& b) {
    std::vector<Bits128> probed = without_waits(b);
    b.forget();
    b.instance.attach(b.cpu, *b.driver, IntelBench::source);
    return probed;
  };
  SECTION("legacy, caching mode") {
    IntelBench b;
    CHECK(after_probe(b) == std::vector<Bits128>{{0x11, 0}, {0xd2, 0}});
    CHECK(without_waits(b) == std::vector<Bits128>{{0x100'0000'0031, 0}, domain_selective()});
    CHECK(tail_writes(b) == 2);
  }
  SECTION("scalable, first level") {
    IntelBench b(scalable(IntelShadowing::nested));
    CHECK(after_probe(b) == std::vector<Bits128>{{0x11, 0}, {0x37, 0}, {0xd2, 0}});
    CHECK(without_waits(b) == std::vector<Bits128>{{0x100'0000'0031, 0}, {0xe2, 0}, {0x10017, 0}, {0x10026, 0}});
  }
  SECTION("a second device of scalable mode on its own context, the first to another domain on its PASID alone") {
    IntelBench b(scalable(IntelShadowing::nested));
    b.boot();
    const auto other = b.instance.make_domain(b.cpu, 2);
    REQUIRE(b.instance.attach(b.cpu, *other, IntelBench::source) == 0);
    CHECK(without_waits(b) == std::vector<Bits128>{{0x10017, 0}, {0x10026, 0}, {0x20017, 0}, {0x20026, 0}});
    CHECK(b.shadow.nested == static_cast<guest::IntelDomain&>(*other).table().root());
  }
  SECTION("without caching mode") {
    IntelBench::Options options;
    options.device.caching_mode = false;
    IntelBench b(options);
    after_probe(b);
    CHECK(b.accesses.empty());
  }
}

TEST_CASE("sm_off takes scalable hardware in legacy mode, with wide descriptors all the same") {
  IntelBench::Options options = scalable(IntelShadowing::caching_mode);
  options.scalable_mode = false;
  IntelBench b(options);
  CHECK(!b.instance.scalable());
  CHECK((b.device.read_register(vtd::reg::iqa, 8) & 0xfff) == 0x801);
  b.boot();
  REQUIRE(b.map(reference_page, reference_runs) == 0);
  CHECK(b.shadow.pages.size() == 16);
  CHECK((b.device.read_register(vtd::reg::iqt, 8) & 31) == 0);
}

TEST_CASE("scalable mode with a second level: flushes are of the IOTLB, attach is of the PASID") {
  IntelBench b(scalable(IntelShadowing::caching_mode));
  b.boot();
  CHECK(!b.intel().table().first_level());
  REQUIRE(b.map(reference_page, reference_runs) == 0);
  CHECK(without_waits(b) == std::vector<Bits128>{psi(0xfffe0000, 4, false)});
  CHECK(b.shadow.pages.size() == 16);
}

TEST_CASE("an address width of 39 bits is a table of three levels") {
  IntelBench::Options options;
  options.device.address_bits = 39;
  IntelBench b(options);
  b.boot();
  CHECK(b.intel().table().levels() == 3);
  REQUIRE(b.map(reference_page, reference_runs) == 0);
  CHECK(b.port.reads == 3 + 2 + 16);
  CHECK(b.domain->map(b.cpu, Iova{std::uint64_t{1} << 39}, Gpa{0}, page_size, {true, true}).error == EFAULT);
}

TEST_CASE("what a map refuses, and what the walk in software finds") {
  IntelBench b;
  b.boot();
  REQUIRE(b.map(0x10, {{Gpa::from_page(0x123), 2 * page_size}}) == 0);
  CHECK(b.driver->iova_to_phys(Iova{0x11008}) == Gpa{0x124008});
  CHECK(!b.driver->iova_to_phys(Iova{0x12000}));
  CHECK(b.map(0xf, {{Gpa::from_page(0x200), 2 * page_size}}) == EEXIST);
  CHECK(b.driver->iova_to_phys(Iova{0xf000}) == std::nullopt);  // undone
  CHECK(b.shadow.pages.size() == 2);
  CHECK(b.domain->map(b.cpu, Iova{0x20000}, Gpa{0}, page_size, {false, false}).error == EINVAL);
}

TEST_CASE("a kernel that claims every size lets the core ask for them, and lays its leaves itself") {
  IntelBench::Options options;
  options.driver.kernel.claims_all_sizes = true;
  IntelBench b(options);
  b.boot();
  REQUIRE(b.map(m2, {{Gpa::from_page(m2), (m2 + 32) * page_size}}) == 0);
  CHECK(b.shadow.calls.size() == 1 + 32);
  b.forget();
  CHECK(b.unmap(m2, m2 + 32) == m2 + 32);
  CHECK(tail_writes(b) == 2);  // 2 MiB and 128 KiB: other sizes, by the generic rule
  CHECK(b.shadow.pages.empty());
}

TEST_CASE("device TLBs: with the IOTLB in one submission, or in one each") {
  for (const unsigned per_submit : {1u, 16u}) {
    IntelBench b;  // supplies memory and registers
    guest::IntelInvalidationQueue queue({b.kernel, b.monitor, b.lock, IntelBench::window, true}, false);
    b.device.write_register(vtd::reg::gcmd, 0, 4);
    b.device.write_register(vtd::reg::iqt, 0, 8);
    b.device.write_register(vtd::reg::iqa, queue.iqa(), 8);
    b.device.write_register(vtd::reg::gcmd, vtd::gcmd::qie, 4);
    guest::IntelTranslationTables tables(b.kernel, false);
    guest::IntelGlobalCommand command(IntelBench::window);
    vtd::Capability cap = hypervisor::IntelIommuDevice::capability({});
    cap.cm = false;
    guest::IntelDriverOptions driver;
    driver.kernel.descriptors_per_submit = per_submit;
    const guest::IntelUnit unit{b.kernel, queue, tables, command,     nullptr, cap,
                                {},       false, true,   {false, 30}, driver};
    guest::IntelDomain domain(unit, 1, false, 4, b.make_lock());
    domain.attach(b.cpu, SourceId{0x100});
    domain.attach(b.cpu, SourceId{0x208});
    b.forget();
    guest::IotlbGather gather;
    gather.add_range(Iova{0x10000}, 4 * page_size);
    domain.iotlb_sync(b.cpu, gather);
    CHECK(tail_writes(b) == (per_submit == 1 ? 3 : 1));
    CHECK(without_waits(b) == std::vector<Bits128>{psi(0x10000, 2, true),
                                                   {0x0100'0100'0000'0003, 0x11001},
                                                   {0x0200'0208'0000'8003, 0x11001}});
    b.forget();
    domain.flush_iotlb_all(b.cpu);
    CHECK(without_waits(b)[1] == Bits128{0x0100'0100'0000'0003, 0x7fff'ffff'ffff'f001});
  }
}

TEST_CASE("planted bugs reach the unit") {
  IntelBench::Options options;
  SECTION("no flush of a map") {
    options.driver.faults.skip_map_flush = true;
    IntelBench b(options);
    b.boot();
    b.map(reference_page, reference_runs);
    CHECK(b.shadow.pages.empty());
  }
  SECTION("no flush of an unmap") {
    options.driver.faults.skip_unmap_flush = true;
    IntelBench b(options);
    b.boot();
    b.map(reference_page, reference_runs);
    b.unmap(reference_page, 16);
    CHECK(b.shadow.pages.size() == 16);
  }
  SECTION("no rounding") {
    options.driver.faults.no_rounding = true;
    IntelBench b(options);
    b.boot();
    b.map(0xff, {{Gpa::from_page(0x1001), 2 * page_size}});
    CHECK(b.shadow.pages.size() == 1);
  }
  SECTION("always the hint") {
    options.driver.faults.always_hint = true;
    IntelBench b(options);
    b.boot();
    b.map(m2, {{Gpa::from_page(0x1001), m2 * page_size}});
    b.forget();
    b.unmap(m2, m2);
    CHECK(without_waits(b) == std::vector<Bits128>{psi(m2 << 12, 9, true)});
  }
}

TEST_CASE("cache flushes are paid where the unit does not snoop, and only there") {
  const auto map_time = [](bool snoops) {
    IntelBench::Options options;
    options.device.snoops_tables = snoops;
    options.device.caching_mode = false;
    IntelBench b(options);
    b.boot();
    b.map(0x100, {{Gpa::from_page(1), page_size}});
    const Time began = b.cpu.now();
    b.map(0x101, {{Gpa::from_page(2), page_size}});
    return b.cpu.now() - began;
  };
  CHECK(map_time(false) - map_time(true) == Time::ns(185));
  CHECK(map_time(true) == Time::ns(30 + 30 + 8 + 1 + 1));  // the core's call, then the table
}
