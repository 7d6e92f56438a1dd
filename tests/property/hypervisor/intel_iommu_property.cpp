// SPDX-License-Identifier: Apache-2.0
// The emulated VT-d unit against a plain reference of QEMU's algorithm, over random tables and invalidations; and
// the guest's driver on top of it, each way it can be shadowed: after a correct sequence the shadow is the guest's
// table.
#include <rapidcheck.h>

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <vector>

#include "models/pgtable/second_stage_table.hpp"
#include "models/spec/vtd/registers.hpp"
#include "tests/support/intel_bench.hpp"

using namespace gnomon;
using hypervisor::DmaAccess;
using hypervisor::IntelIommuDevice;
using hypervisor::IntelShadowing;

namespace {

struct Piece {
  std::uint64_t bytes = 0;
  std::uint64_t gpa = 0;
  bool operator==(const Piece&) const = default;
};
using Pieces = std::map<std::uint64_t, Piece>;  // by the first byte
using Calls = std::vector<test::RecordingShadow::Call>;

bool overlaps(const std::pair<const std::uint64_t, Piece>& piece, std::uint64_t first, std::uint64_t bytes) {
  return piece.first <= first + (bytes - 1) && first <= piece.first + (piece.second.bytes - 1);
}

/// What QEMU does, told plainly: for every smallest span the table decides as one, from the bottom of the block to
/// its top, compare with what is recorded.
class Reference {
 public:
  Pieces recorded;
  Calls calls;

  void invalidate(GuestRam& ram, Gpa root, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t at = first;;) {
      const std::uint64_t span = decide(ram, root, at);
      const std::uint64_t end = at | (span - 1);
      if (end >= last) return;
      at = end + 1;
    }
  }

 private:
  // The software walk of one address, by the bits of the specification. Returns the span the walk's end stands for.
  std::uint64_t decide(GuestRam& ram, Gpa root, std::uint64_t at) {
    std::uint64_t table = root.value;
    for (unsigned shift = 39;; shift -= 9) {
      const std::uint64_t raw = ram.read<std::uint64_t>(Gpa{table + (at >> shift & 511) * 8});
      const std::uint64_t span = std::uint64_t{1} << shift;
      const std::uint64_t base = at & ~(span - 1);
      const bool leaf = shift == 12 || (raw & 0x80) != 0;
      if ((raw & 3) == 0) {
        drop(base, span);
        return span;
      }
      if (leaf) {
        keep(base, {span, raw & 0x000f'ffff'ffff'f000 & ~(span - 1)});
        return span;
      }
      table = raw & 0x000f'ffff'ffff'f000;
    }
  }
  bool remove(std::uint64_t base, std::uint64_t span) {
    return std::erase_if(recorded, [&](const auto& piece) { return overlaps(piece, base, span); }) != 0;
  }
  void drop(std::uint64_t base, std::uint64_t span) {
    if (remove(base, span)) calls.push_back({false, base, 0, span});
  }
  void keep(std::uint64_t base, const Piece& piece) {
    const auto same = recorded.find(base);
    if (same != recorded.end() && same->second == piece) return;
    if (remove(base, piece.bytes)) calls.push_back({false, base, 0, piece.bytes});
    recorded[base] = piece;
    calls.push_back({true, base, piece.gpa, piece.bytes});
  }
};

/// Legacy mode with one endpoint in domain 1; the queue is filled by hand.
struct Unit {
  Unit() {
    device.add_endpoint(SourceId{1}, shadow);
    ram.write(Gpa{0x1000}, vtd::encode(vtd::RootEntry{true, Hpa{0x2000}}));
    const vtd::ContextEntry entry{
        true, false, vtd::TranslationType::untranslated_only, Hpa{table.root().value}, 2, DomainId{1}};
    ram.write(Gpa{0x2010}, vtd::encode(entry));
    device.write_register(vtd::reg::iqa, 0x4000, 8);
    device.write_register(vtd::reg::rtaddr, 0x1000, 8);
    device.write_register(vtd::reg::gcmd, vtd::gcmd::srtp, 4);
    device.write_register(vtd::reg::gcmd, vtd::gcmd::qie | vtd::gcmd::te, 4);
    while (device.pending()) device.serve(port);
  }
  void run(const vtd::InvalidationDescriptor& descriptor) {
    ram.write(Gpa{0x4000} + tail, vtd::encode(descriptor));
    tail = (tail + 16) % 4096;
    device.write_register(vtd::reg::iqt, tail, 4);
    while (device.pending()) device.serve(port);
  }

  PhysicalMemory memory{8 << 20};
  GuestRam ram{memory, Hpa{0}, 8 << 20, Backing::pages_4k, 1};
  LineMonitor monitor;
  pgtable::GuestTableMemory tables{ram, Gpa{0x10'0000}, Gpa{8 << 20}};
  pgtable::GuestSecondStageTable table{tables, 4};
  test::CountingPort port{ram, monitor};
  test::RecordingShadow shadow;
  IntelIommuDevice device{ram};
  std::uint64_t tail = 0;
};

}  // namespace

TEST_CASE(
    "intel-iommu: after every descriptor the host was told what QEMU's algorithm tells of the guest's table") {
  const bool ok = rc::check([] {
    Unit unit;
    Reference expected;
    const auto steps = *rc::gen::inRange(1, 100);
    for (int i = 0; i < steps; ++i) {
      // An area of 8 MiB that begins below a boundary of 1 GiB: pages and leaves of 2 MiB in several tables.
      const auto order = *rc::gen::weightedElement<unsigned>({{6, 0}, {3, 1}, {2, 4}, {2, 9}, {1, 10}});
      const std::uint64_t bytes = page_size << order;
      const std::uint64_t base = (std::uint64_t{1} << 30) - (std::uint64_t{4} << 20);
      const std::uint64_t at = (base + *rc::gen::inRange<std::uint64_t>(0, 2048) * page_size) & ~(bytes - 1);
      std::vector<Gpa> unlinked;
      const auto what = *rc::gen::inRange(0, 4);
      if (what <= 1) {  // in step with the IOVA: large leaves; else pages
        const std::uint64_t gpa = *rc::gen::element<std::uint64_t>(at % (std::uint64_t{1} << 21), 0x1000);
        unit.table.map(Iova{at}, Gpa{gpa}, bytes, pgtable::read_write, pgtable::all_sizes, unlinked);
      } else if (what == 2) {
        unit.table.unmap(Iova{at}, bytes, unlinked);
      }
      for (const Gpa page : unlinked) unit.tables.free(page);

      expected.calls.clear();
      unit.shadow.calls.clear();
      const auto kind = *rc::gen::inRange(0, 8);
      if (kind < 2) continue;  // a guest that forgets some
      if (kind == 2) {
        unit.run(vtd::IotlbInvalidate{vtd::Granularity::domain, false, false, DomainId{1}, 0, false, {}});
        expected.invalidate(unit.ram, unit.table.root(), 0, (std::uint64_t{1} << 48) - 1);
      } else if (kind == 3) {
        unit.run(
            vtd::IotlbInvalidate{vtd::Granularity::device_or_page, false, false, DomainId{2}, 4, false, Iova{at}});
      } else {
        const auto am = static_cast<std::uint8_t>(*rc::gen::inRange(0u, 12u));
        unit.run(
            vtd::IotlbInvalidate{vtd::Granularity::device_or_page, false, false, DomainId{1}, am, true, Iova{at}});
        const vtd::PageBlock block = vtd::page_block(Iova{at}, am);
        expected.invalidate(unit.ram, unit.table.root(), block.base.value, block.base.value + block.bytes - 1);
      }
      RC_ASSERT(unit.shadow.calls == expected.calls);
      RC_ASSERT(unit.device.mapping_count(SourceId{1}) == expected.recorded.size());
    }
  });
  CHECK(ok);
}

namespace {

/// The guest's driver, random maps and unmaps: `agree(bench, expected pages)` after each call.
template <class Agree>
void drive(const test::IntelBench::Options& options, Agree agree) {
  test::IntelBench b(options);
  b.boot();
  struct Buffer {
    std::uint64_t page, count;
  };
  std::vector<Buffer> mapped;
  std::map<std::uint64_t, std::uint64_t> expected;
  const auto steps = *rc::gen::inRange(1, 60);
  for (int i = 0; i < steps; ++i) {
    if (mapped.empty() || *rc::gen::inRange(0, 3) != 0) {
      const std::uint64_t base = *rc::gen::element<std::uint64_t>(0x200, 0xfff00, 0x3fffe00, 0x7fff000);
      const std::uint64_t page = base + *rc::gen::inRange<std::uint64_t>(0, 1200);
      std::vector<guest::Run> runs;
      std::uint64_t count = 0;
      for (int r = *rc::gen::inRange(1, 4); r-- > 0;) {
        const auto pages = *rc::gen::weightedElement<std::uint64_t>({{8, 1}, {4, 7}, {2, 40}, {1, 512}, {1, 600}});
        // Out of step, or in step with the IOVA, so that large leaves come up too.
        const std::uint64_t gpa = *rc::gen::element<std::uint64_t>(0x1001, 0x2600, 0x2400 + (page + count) % 512);
        runs.push_back({Gpa::from_page(gpa + 0x400 * static_cast<unsigned>(r)), pages * page_size});
        count += pages;
      }
      const auto next = expected.lower_bound(page);
      if (next != expected.end() && next->first < page + count) continue;
      RC_ASSERT(b.map(page, runs) == 0);
      std::uint64_t at = page;
      for (const guest::Run& run : runs) {
        for (std::uint64_t p = 0; p < run.bytes / page_size; ++p) expected[at++] = run.start.page() + p;
      }
      mapped.push_back({page, count});
    } else {
      const auto which = *rc::gen::inRange<std::size_t>(0, mapped.size());
      const Buffer buffer = mapped[which];
      mapped.erase(mapped.begin() + static_cast<std::ptrdiff_t>(which));
      RC_ASSERT(b.unmap(buffer.page, buffer.count) == buffer.count);
      expected.erase(expected.lower_bound(buffer.page), expected.lower_bound(buffer.page + buffer.count));
    }
    agree(b, expected);
  }
  RC_ASSERT(b.device.refused() == 0u);
  RC_ASSERT(b.instance.queue().free_slots() == guest::IntelInvalidationQueue::slots);
}

test::IntelBench::Options random_driver(IntelShadowing shadowing) {
  test::IntelBench::Options options;
  const auto policies = guest::flush_policies();
  options.driver.kernel.flush_policy = policies[*rc::gen::inRange<std::size_t>(0, policies.size())].policy;
  options.driver.kernel.descriptors_per_submit = *rc::gen::element(1u, 2u, 16u);
  options.driver.cache_tags = *rc::gen::arbitrary<bool>();
  options.driver.second_level_hint = *rc::gen::arbitrary<bool>();
  options.driver.kernel.claims_all_sizes = *rc::gen::arbitrary<bool>();
  options.device.shadowing = shadowing;
  options.device.scalable = shadowing != IntelShadowing::caching_mode || *rc::gen::arbitrary<bool>();
  options.device.address_bits = options.device.scalable ? 48 : *rc::gen::element(39u, 48u);
  return options;
}

}  // namespace

TEST_CASE("the Intel driver over a shadowed unit: at the return of every call the shadow is the guest's table") {
  const bool ok = rc::check([] {
    const auto shadowing = *rc::gen::element(IntelShadowing::caching_mode, IntelShadowing::write_protect);
    drive(random_driver(shadowing), [](test::IntelBench& b, const auto& expected) {
      RC_ASSERT(b.shadow.pages == expected);
      RC_ASSERT(!b.shadow.double_map);
      RC_ASSERT(b.device.replaced() == 0u);
    });
  });
  CHECK(ok);
}

TEST_CASE("the Intel driver over a write-protected table: the pages protected are the pages of the table") {
  const bool ok = rc::check([] {
    drive(random_driver(IntelShadowing::write_protect), [](test::IntelBench& b, const auto&) {
      std::set<std::uint64_t> tables;
      const auto visit = [&](const auto& self, Gpa table, unsigned level) -> void {
        tables.insert(table.value);
        for (unsigned i = 0; level > 1 && i < 512; ++i) {
          const auto raw = b.ram.read<std::uint64_t>(table + i * 8);
          if ((raw & 1) != 0 && (raw & 0x80) == 0) self(self, Gpa{raw & 0x000f'ffff'ffff'f000}, level - 1);
        }
      };
      visit(visit, b.intel().table().root(), 4);
      RC_ASSERT(b.port.protected_pages == tables);
    });
  });
  CHECK(ok);
}

TEST_CASE("the Intel driver over a nested unit: what an unmap leaves is forwarded, and a map exits never") {
  const bool ok = rc::check([] {
    std::map<std::uint64_t, std::uint64_t> before;
    drive(random_driver(IntelShadowing::nested), [&](test::IntelBench& b, const auto& expected) {
      bool shrunk = false;
      for (const auto& [page, gpa] : before) {
        if (expected.count(page) != 0) continue;
        shrunk = true;
        const std::uint64_t iova = page * page_size;
        bool covered = false;
        for (const auto& f : b.shadow.forwarded) covered |= f.bytes == ~0ull || iova - f.iova < f.bytes;
        RC_ASSERT(covered);
      }
      if (!shrunk && b.shadow.forwarded.empty()) RC_ASSERT(b.accesses.empty());
      b.forget();
      before = expected;
      RC_ASSERT(b.shadow.pages.empty());
    });
  });
  CHECK(ok);
}
