// SPDX-License-Identifier: Apache-2.0
// The Intel driver on bare metal: its tables, its queue and its flushes against a physical unit with all its
// caches. At the return of every call a DMA sees what is mapped and nothing of what was unmapped.
#include <rapidcheck.h>

#include <catch2/catch.hpp>
#include <map>
#include <variant>
#include <vector>

#include "guest/intel_iommu/instance.hpp"
#include "guest/iommu/domain.hpp"
#include "models/iommu/vtd/unit.hpp"
#include "tests/support/mmio_processor.hpp"
#include "tests/support/solo_processor.hpp"

using namespace gnomon;

namespace {

constexpr Gpa window{std::uint64_t{1} << 40};
constexpr SourceId device{0x0081};  // a function of the upper half of its bus

struct Bench {
  Bench(const iommu::IommuConfig& hardware, const guest::IntelIommuOptions& options)
      : unit(hardware, memory), instance({kernel, monitor, lock, [this] { return make_lock(); }}, options) {
    instance.probe(cpu);
    driver = instance.make_domain(cpu, 3);
    instance.attach(cpu, *driver, device);
    domain.emplace(*driver, guest::IommuCoreBehaviour{});
  }
  Lock make_lock() { return {0, LockKind::queued, {Time::ns(20), Time::ns(100)}, RandomStream(1, "lock"), tracer}; }
  /// The unit executes its queue at once: what it is given, not how long it takes, is the question here.
  std::uint64_t access(Processor& p, bool store, std::uint32_t offset, std::uint64_t value, unsigned bytes) {
    if (!store) return unit.read(offset, bytes);
    unit.write(offset, value, bytes);
    while (unit.queued() != 0) {
      const iommu::InvalidationStep step = unit.step();
      RC_ASSERT(!std::holds_alternative<iommu::QueueError>(step));
      if (const auto* wait = std::get_if<iommu::WaitReached>(&step); wait != nullptr && wait->status_write) {
        memory.write(wait->status_address, static_cast<std::uint32_t>(wait->status_data));
        monitor.written(wait->status_address, p.now());
      }
    }
    return 0;
  }

  PhysicalMemory memory{64 << 20};
  GuestRam ram = GuestRam::identity(memory, 64 << 20);
  trace::Tracer tracer;
  LineMonitor monitor;
  guest::GuestPages pages{Gpa{0x10'0000}, Gpa{48 << 20}};
  guest::KernelMemory kernel{ram, pages};
  iommu::VtdUnit unit;
  test::SoloProcessor solo;
  test::MmioProcessor processor{
      solo, window, [this](Processor& p, bool store, std::uint32_t offset, std::uint64_t value, unsigned bytes) {
        return access(p, store, offset, value, bytes);
      }};
  const guest::GuestCosts costs;
  guest::Cpu cpu{processor, costs, {}, tracer};
  Lock lock = make_lock();
  guest::IntelIommuInstance instance;
  std::unique_ptr<guest::IommuDriver> driver;
  std::optional<guest::IommuDomain> domain;
};

}  // namespace

TEST_CASE("the Intel driver on hardware: the device sees what is mapped, and nothing that was unmapped") {
  const bool ok = rc::check([] {
    iommu::IommuConfig hardware;
    hardware.scalable_mode = *rc::gen::arbitrary<bool>();
    hardware.first_stage = hardware.scalable_mode && *rc::gen::arbitrary<bool>();
    hardware.caching_mode = *rc::gen::arbitrary<bool>();
    hardware.max_address_mask = *rc::gen::element<std::uint8_t>(3, 9, 18);
    hardware.large_pages = *rc::gen::element<std::uint8_t>(0, 1, 3);
    guest::IntelIommuOptions options;
    options.registers = window;
    options.registers_trap = false;
    options.scalable_mode = *rc::gen::arbitrary<bool>();
    const auto policies = guest::flush_policies();
    options.driver.kernel.flush_policy = policies[*rc::gen::inRange<std::size_t>(0, policies.size())].policy;
    options.driver.kernel.descriptors_per_submit = *rc::gen::element(1u, 16u);
    Bench b(hardware, options);

    struct Buffer {
      std::uint64_t page, count;
    };
    std::vector<Buffer> mapped;
    std::map<std::uint64_t, std::uint64_t> expected;  // IOVA page to page
    const auto check = [&](std::uint64_t page) {
      const auto found = expected.find(page);
      const auto seen = b.unit.translate(device, Iova::from_page(page), iommu::Access::write);
      if (found == expected.end()) {
        RC_ASSERT(seen.kind == iommu::Translation::Kind::fault);
      } else {
        RC_ASSERT(seen.kind == iommu::Translation::Kind::translated);
        RC_ASSERT(seen.hpa == Hpa::from_page(found->second));
        RC_ASSERT(b.driver->iova_to_phys(Iova::from_page(page)) == Gpa::from_page(found->second));
      }
    };
    const auto steps = *rc::gen::inRange(1, 50);
    for (int i = 0; i < steps; ++i) {
      std::vector<std::uint64_t> look;
      if (mapped.empty() || *rc::gen::inRange(0, 2) != 0) {
        const std::uint64_t page =
            *rc::gen::element<std::uint64_t>(0x200, 0xffe00) + *rc::gen::inRange<std::uint64_t>(0, 1024);
        const auto count = *rc::gen::weightedElement<std::uint64_t>({{8, 1}, {4, 5}, {2, 40}, {1, 512}, {1, 1030}});
        const auto next = expected.lower_bound(page);
        if (next != expected.end() && next->first < page + count) continue;
        const std::uint64_t gpa = *rc::gen::element<std::uint64_t>(0x1001, 0x1000 + page % 512);
        const guest::Run run{Gpa::from_page(gpa), count * page_size};
        RC_ASSERT(b.domain->map_sg(b.cpu, Iova::from_page(page), {&run, 1}, {true, true}).error == 0);
        for (std::uint64_t p = 0; p < count; ++p) expected[page + p] = gpa + p;
        mapped.push_back({page, count});
        look = {page, page + count - 1};
      } else {
        const auto which = *rc::gen::inRange<std::size_t>(0, mapped.size());
        const Buffer buffer = mapped[which];
        mapped.erase(mapped.begin() + static_cast<std::ptrdiff_t>(which));
        for (std::uint64_t p = 0; p < buffer.count; p += 7) check(buffer.page + p);  // cached, all of them
        b.domain->unmap(b.cpu, Iova::from_page(buffer.page), buffer.count * page_size);
        expected.erase(expected.lower_bound(buffer.page), expected.lower_bound(buffer.page + buffer.count));
        for (std::uint64_t p = 0; p < buffer.count; p += 7) look.push_back(buffer.page + p);
      }
      for (const std::uint64_t page : look) check(page);
    }
  });
  CHECK(ok);
}

TEST_CASE("the Intel driver on hardware: each planted bug lets a device go on") {
  struct Row {
    guest::IntelDriverFaults faults;
    std::uint64_t page, count;
  };
  guest::IntelDriverFaults no_flush, no_rounding, hint;
  no_flush.skip_unmap_flush = true;
  no_rounding.no_rounding = true;
  hint.always_hint = true;  // the table falls out, a cached pointer to it stays
  const Row rows[] = {{no_flush, 0x300, 1}, {no_rounding, 255, 2}, {hint, 0x200, 512}};
  for (const Row& row : rows) {
    for (const bool planted : {false, true}) {
      guest::IntelIommuOptions options;
      options.registers = window;
      options.registers_trap = false;
      if (planted) options.driver.faults = row.faults;
      Bench b({}, options);
      const guest::Run run{Gpa::from_page(0x1001), row.count * page_size};
      const Iova first = Iova::from_page(row.page);
      const Iova last = Iova::from_page(row.page + row.count - 1);
      REQUIRE(b.domain->map_sg(b.cpu, first, {&run, 1}, {true, true}).error == 0);
      REQUIRE(b.unit.translate(device, last, iommu::Access::read).hpa == Hpa::from_page(0x1000 + row.count));
      REQUIRE(b.domain->unmap(b.cpu, first, run.bytes) == run.bytes);
      const auto seen = b.unit.translate(device, last, iommu::Access::read);
      CHECK((seen.kind == iommu::Translation::Kind::translated) == planted);
    }
  }
}
