// SPDX-License-Identifier: Apache-2.0
// QEMU's RPCIT service against a plain reference of its algorithm, page by page, over random tables and slots; and
// the guest's drivers on top of it: after a correct sequence the shadow is the guest's table, and no slot is lost.
#include <rapidcheck.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <map>
#include <set>
#include <vector>

#include "guest/s390_pci/own_dma.hpp"
#include "models/base/natural_split.hpp"
#include "models/spec/s390_pci/dma_table.hpp"
#include "tests/support/s390_bench.hpp"

using namespace gnomon;
namespace s390 = gnomon::s390_pci;
using test::S390Bench;
using test::S390Machine;
using Call = test::RecordingShadow::Call;

namespace {

constexpr std::uint64_t aperture = std::uint64_t{4} << 30;

/// The algorithm as it is written: one walk, one search and one decision a page.
struct Reference {
  std::map<std::uint64_t, std::uint64_t> known;  // IOVA page to guest page
  std::uint32_t slots = 0;
  std::vector<Call> calls;

  void batch(std::uint64_t first, std::uint64_t& pages) {
    if (pages != 0) {
      for (const auto [base, size] : NaturalSplit(first << 12, ((first + pages) << 12) - 1)) {
        calls.push_back({false, base, 0, size});
      }
    }
    pages = 0;
  }
  /// `leaf`: guest page, or nothing; `table`: the page's segment has a page table.
  template <class Leaf, class Table>
  bool refresh(std::uint64_t page, std::uint64_t end, Leaf leaf, Table table) {
    bool again = false;
    do {
      again = false;
      std::uint64_t first = 0;
      std::uint64_t run = 0;
      for (std::uint64_t p = page; p < end; ++p) {
        const auto target = leaf(p);
        if (!target && table(p)) {
          if (run == 0) first = p;
          ++run;
        } else {
          batch(first, run);
        }
        if (!target) {
          slots += static_cast<std::uint32_t>(known.erase(p));
        } else if (slots == 0) {
          again = true;
        } else if (const auto old = known.find(p); old == known.end() || old->second != *target) {
          if (old != known.end()) {
            calls.push_back({false, p << 12, 0, page_size});
            ++slots;
          }
          known[p] = *target;
          --slots;
          calls.push_back({true, p << 12, *target << 12, page_size});
        }
      }
      batch(first, run);
    } while (again && slots > 0);
    return slots > 0;
  }
};

}  // namespace

TEST_CASE("RPCIT does, call for call, what the page-by-page algorithm does") {
  const bool ok = rc::check([] {
    const auto slots = *rc::gen::inRange<std::uint32_t>(1, 40);
    S390Machine m(slots);
    pgtable::S390DmaTable<GpaSpace> table(m.kernel);
    m.device.register_translation(m.operand, m.first, m.first + (aperture - 1), s390::anchor(table.root()));
    test::SoloProcessor solo;
    Reference reference;
    reference.slots = slots;
    std::set<std::uint64_t> segments;
    const std::uint64_t base = m.first.page();
    const auto steps = *rc::gen::inRange(1, 40);
    for (int i = 0; i < steps; ++i) {
      const auto page = base + *rc::gen::inRange<std::uint64_t>(200, 800);
      const auto count = *rc::gen::inRange<std::uint64_t>(1, 30);
      const Iova iova = Iova::from_page(page);
      const auto what = *rc::gen::inRange(0, 5);
      if (what <= 2) {
        if (what != 2) {
          table.map(iova, Gpa::from_page(*rc::gen::inRange<std::uint64_t>(1, 4096)), count << 12, true);
        } else {
          table.unmap(iova, count << 12);
        }
        for (std::uint64_t p = page; p < page + count; ++p) segments.insert(p >> 8);
        continue;
      }
      const std::uint64_t from = what == 3 ? page : base;
      const std::uint64_t pages = what == 3 ? count : *rc::gen::inRange<std::uint64_t>(1, 1200);
      m.forget();
      reference.calls.clear();
      const auto got = m.instructions.rpcit(solo, m.operand, Iova::from_page(from), pages << 12);
      const bool fits = reference.refresh(
          from, from + pages,
          [&](std::uint64_t p) {
            const auto leaf = table.lookup(Iova::from_page(p));
            return leaf ? std::optional(leaf->gpa.page()) : std::nullopt;
          },
          [&](std::uint64_t p) { return segments.count(p >> 8) != 0; });
      RC_ASSERT(got == (fits ? PciInstructionPort::Result{} : PciInstructionPort::Result{1, 16}));
      RC_ASSERT(m.shadow.calls == reference.calls);
      RC_ASSERT(m.shadow.pages == reference.known);
      RC_ASSERT(!m.shadow.double_map);
      RC_ASSERT(m.device.free_slots(m.handle) == reference.slots);
    }
  });
  CHECK(ok);
}

TEST_CASE(
    "the driver since 6.7: the shadow is the table after every map and flush, slots come back, errors are clean") {
  const bool ok = rc::check([] {
    S390Bench::Options options;
    options.slots = *rc::gen::inRange<std::uint32_t>(8, 64);
    S390Bench b(options);
    std::map<std::uint64_t, std::uint64_t> live;  // page of the aperture to guest page
    std::set<std::uint64_t> lazy;
    const auto steps = *rc::gen::inRange(1, 80);
    for (int i = 0; i < steps; ++i) {
      const auto what = *rc::gen::inRange(0, 8);
      const auto page = *rc::gen::inRange<std::uint64_t>(0, 600);
      const auto count = *rc::gen::inRange<std::uint64_t>(1, 6);
      if (what < 4) {
        bool free = true;
        for (std::uint64_t p = page; p < page + count; ++p) free &= live.count(p) == 0 && lazy.count(p) == 0;
        if (!free) continue;
        const auto gpa = *rc::gen::inRange<std::uint64_t>(1, 4096);
        const int error = b.map(page, gpa, count);
        RC_ASSERT(error == 0 || error == ENOMEM);
        // A full refresh finds room unless what lives and what is new take every slot.
        if (live.size() + count < *options.slots) RC_ASSERT(error == 0);
        for (std::uint64_t p = 0; p < count; ++p) {
          if (error == 0) {
            live[page + p] = gpa + p;
            RC_ASSERT(b.shadow.pages.at(b.page(page + p).page()) == gpa + p);
          } else {
            RC_ASSERT(b.shadow.pages.count(b.page(page + p).page()) == 0);
          }
        }
      } else if (what < 7 && !live.empty()) {
        const auto victim =
            std::next(live.begin(), *rc::gen::inRange<std::ptrdiff_t>(0, static_cast<std::ptrdiff_t>(live.size())));
        if (what == 4) {
          RC_ASSERT(b.unmap(victim->first) == 1);
          RC_ASSERT(b.shadow.pages.count(b.page(victim->first).page()) == 0);
        } else {
          b.unmap_lazily(victim->first);
          lazy.insert(victim->first);
        }
        live.erase(victim);
      } else {
        b.driver->flush_iotlb_all(b.cpu);
        lazy.clear();
        RC_ASSERT(b.shadow.pages.size() == live.size());
      }
      RC_ASSERT(b.shadow.pages.size() + b.device.free_slots(b.handle) == *options.slots);
      for (const auto& [p, gpa] : live) RC_ASSERT(b.shadow.pages.at(b.page(p).page()) == gpa);
    }
    for (const auto& [p, gpa] : live) b.unmap_lazily(p);
    b.driver->flush_iotlb_all(b.cpu);
    RC_ASSERT(b.shadow.pages.empty());
    RC_ASSERT(b.device.free_slots(b.handle) == *options.slots);
  });
  CHECK(ok);
}

TEST_CASE("6.1's own code: an address is mapped again only after an RPCIT that came after its unmap") {
  const bool ok = rc::check([] {
    const bool strict = *rc::gen::arbitrary<bool>();
    const auto slots = *rc::gen::inRange<std::uint32_t>(24, 80);
    S390Machine m(slots, *rc::gen::element(std::uint8_t{0}, s390::group_refresh));
    test::SoloProcessor solo;
    const guest::GuestCosts costs;
    guest::Cpu cpu{solo, costs, {}, m.tracer};
    Lock bitmap = m.make_lock();
    Lock tables = m.make_lock();
    const bool shadowed = m.device.group_flags() != 0;
    const guest::S390Function function{m.source, m.handle, shadowed, {m.first, m.first + (48 * page_size - 1)}};
    guest::S390OwnDma dma(m.kernel, m.instructions, function, {bitmap, tables}, {strict, 1, {}});
    REQUIRE(dma.enable(cpu) == 0);
    std::vector<guest::DmaMapping> live;
    std::map<std::uint64_t, std::size_t> unmapped;  // page to RPCITs issued by then
    const auto covered_since = [&](std::uint64_t page, std::size_t since) {
      for (std::size_t i = since; i < m.instructions.rpcits.size(); ++i) {
        const auto& r = m.instructions.rpcits[i];
        if (r.iova <= page << 12 && page << 12 < r.iova + r.bytes) return true;
      }
      return false;
    };
    const auto steps = *rc::gen::inRange(1, 200);
    for (int i = 0; i < steps; ++i) {
      if (live.empty() || (live.size() < 16 && *rc::gen::arbitrary<bool>())) {
        const guest::Run run{Gpa{0x40'0000}, *rc::gen::inRange<std::uint64_t>(1, 4) * page_size};
        const std::size_t before = m.instructions.rpcits.size();
        guest::DmaMapping mapping;
        if (dma.map(cpu, {&run, 1}, {true, true}, mapping) != 0) continue;
        const guest::DmaSegment segment = mapping.segments.front();
        for (std::uint64_t p = segment.address.page(); p < (segment.address + segment.bytes).page(); ++p) {
          if (const auto old = unmapped.find(p); old != unmapped.end()) {
            // The map's own RPCIT does not count: before it, or a wrap's in the same call.
            const bool wrapped = before < m.instructions.rpcits.size() &&
                                 m.instructions.rpcits[before].bytes == function.aperture.bytes();
            const bool earlier = old->second < before && covered_since(p, old->second);
            RC_ASSERT(earlier || wrapped);
            unmapped.erase(old);
          }
          if (shadowed) RC_ASSERT(m.shadow.pages.at(p) == (run.start + ((p << 12) - segment.address.value)).page());
        }
        live.push_back(mapping);
      } else {
        const auto which = *rc::gen::inRange<std::size_t>(0, live.size());
        const guest::DmaSegment segment = live[which].segments.front();
        const std::size_t before = m.instructions.rpcits.size();
        dma.unmap(cpu, live[which]);
        live.erase(live.begin() + static_cast<std::ptrdiff_t>(which));
        for (std::uint64_t p = segment.address.page(); p < (segment.address + segment.bytes).page(); ++p) {
          unmapped[p] = before;
          if (strict) RC_ASSERT(m.shadow.pages.count(p) == 0);
        }
      }
      std::uint64_t pages = 0;
      for (const auto& mapping : live) pages += mapping.segments.front().bytes >> page_shift;
      RC_ASSERT(dma.iovas().taken() == pages + dma.iovas().lazy());
    }
  });
  CHECK(ok);
}
