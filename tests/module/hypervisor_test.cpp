// SPDX-License-Identifier: Apache-2.0
// KVM and its VMM: what one kick costs, to the nanosecond, and how the request queue is served elsewhere.
#include "models/hypervisor/core/vtd_host_iommu.hpp"
#include "models/hypervisor/hypervisor.hpp"

#include "guest/virtio/virtqueue_driver.hpp"
#include "models/cpu/vcpu.hpp"
#include "models/fabric/interrupt_fabric.hpp"
#include "models/fabric/memory.hpp"
#include "models/fabric/mmio_router.hpp"
#include "models/iommu/iommu.hpp"
#include "models/iommu/vtd/unit.hpp"
#include "tests/support/isolated.hpp"
#include "tests/support/recorder.hpp"
#include "tests/support/test_bench.hpp"
#include "tests/support/time_text.hpp"

namespace gnomon::test {
namespace {

using hypervisor::QueueService;
using Times = std::vector<Time>;

constexpr SourceId drive{0x100};
constexpr Time big_lock = Time::ns(40);
constexpr Time handover = Time::us(30);

/// Sums of these can be told apart: every cost is another power of two of nanoseconds.
hypervisor::HypervisorCosts costs() {
  hypervisor::HypervisorCosts c;
  std::uint64_t ns = 1;
  for (Time* cost : {&c.exit,           &c.entry,        &c.to_user,     &c.from_user,       &c.mmio_dispatch,
                     &c.eventfd_signal, &c.eventfd_wake, &c.request,     &c.descriptor_read, &c.mapping_lookup,
                     &c.notifier,       &c.ioctl_map,    &c.ioctl_unmap, &c.ioctl_refused,   &c.pin_batch,
                     &c.pin_page,       &c.unpin_page,   &c.map_run,     &c.unmap_region,    &c.pte_write,
                     &c.table_page,     &c.software_walk}) {
    *cost = Time::ns(ns);
    ns *= 2;
  }
  return c;
}

std::unique_ptr<hypervisor::HostIommu> vtd_driver(const HypervisorParts& p, hypervisor::RegisterPort& port) {
  return std::make_unique<hypervisor::VtdHostIommu>(p.memory, p.host_pages, p.monitor, port,
                                                    hypervisor::HostIommuCosts{Time::ns(250), Time{}},
                                                    hypervisor::VtdHostOptions{}, p.tracer);
}

struct Bench {
  explicit Bench(const hypervisor::HypervisorConfig& config = {}, std::uint32_t slots = 65535) {
    tracer.add(recorder);
    hypervisor::HypervisorConfig limited = config;
    limited.vfio.dma_entry_limit = slots;
    const HypervisorParts parts{bytes, pages, ram, monitor, tracer};
    host = std::make_unique<Hypervisor>("host", limited, costs(), parts, lock,
                                        [&](hypervisor::RegisterPort& port) { return vtd_driver(parts, port); });
    host->assign(drive);
    host->add_viommu({}, layout);
    host->iommu_registers.bind(unit.registers);
    router.map_next(Gpa{0}, page_size);
    router.targets.bind(host->trapped);
    unit.memory.bind(memory.access);
    unit.messages.bind(fabric.messages);
    nobody.out.bind(unit.dma);
    for (Vcpu* cpu : {&cpu0, &cpu1, &io_thread}) {
      cpu->mmio.bind(router.cpus);
      cpu->interprocessor.bind(fabric.messages);
      fabric.cpus.bind(cpu->interrupts);
      cpu->load([] {});
    }
    if (config.service != QueueService::on_kick) io_thread.load([this] { host->run_io_thread(io_thread); });
  }

  template <class R>
  void add(const R& request) {
    static_cast<void>(ring.add(virtio_iommu::encode(request), sizeof(virtio_iommu::Tail)));
  }
  void attach() {
    virtio_iommu::Attach request;
    request.domain = 1;
    request.endpoint = drive.value;
    add(request);
  }
  void map(std::uint64_t page, std::uint64_t count) {
    virtio_iommu::Map request;
    request.domain = 1;
    request.virt_start = page << page_shift;
    request.virt_end = ((page + count) << page_shift) - 1;
    request.phys_start = 0x20'0000 + request.virt_start;
    request.flags = virtio_iommu::map_read | virtio_iommu::map_write;
    add(request);
  }
  void unmap(std::uint64_t page, std::uint64_t count) {
    virtio_iommu::Unmap request;
    request.domain = 1;
    request.virt_start = page << page_shift;
    request.virt_end = ((page + count) << page_shift) - 1;
    add(request);
  }
  /// How long the vCPU was away for a kick.
  Time kick(Vcpu& cpu) {
    cpu.sync();
    const Time before = cpu.now();
    cpu.write_mmio(Gpa{0}, 0, 2);
    cpu.sync();
    return cpu.now() - before;
  }
  void collect() {
    while (ring.pop_used()) {
    }
  }

  trace::Tracer tracer;
  Recorder recorder;
  std::uint64_t activations = 0;
  PhysicalMemory bytes{64 << 20};
  PageAllocator pages{bytes, Hpa{page_size}, Hpa{16 << 20}};
  GuestRam ram{bytes, Hpa{16 << 20}, 32 << 20, Backing::thp_2m, 1};
  LineMonitor monitor;
  virtio::SplitQueueLayout layout = virtio::SplitQueueLayout::contiguous(Gpa{0x1000}, 16);
  guest::VirtqueueDriver ring{ram, layout, {Gpa{0x8000}, 72, 4}, {true, true, false}};
  Lock lock{0, LockKind::queued, {big_lock, handover}, RandomStream(1, "big_lock"), tracer};
  Initiator nobody{"nobody"};
  Iommu unit{"iommu", std::make_unique<iommu::VtdUnit>(iommu::IommuConfig{}, bytes), {}, tracer, activations};
  Memory memory{"memory", MemoryConfig{Time::ns(90)}, bytes, monitor};
  InterruptFabric fabric{"fabric"};
  MmioRouter router{"mmio"};
  Vcpu cpu0{"cpu0", 0, {}, true, tracer, activations};
  Vcpu cpu1{"cpu1", 1, {}, true, tracer, activations};
  Vcpu io_thread{"io_thread", 2, {}, false, tracer, activations};
  std::unique_ptr<Hypervisor> host;
};

template <class F>
Times times_of(const hypervisor::HypervisorConfig& config, F body, std::uint32_t slots = 65535) {
  return isolated_list<Time>([&] {
    Times out;
    Bench bench(config, slots);
    bench.cpu0.load([&] { body(bench, out); });
    run_simulation();
    return out;
  });
}

hypervisor::HypervisorConfig served_by(QueueService service) {
  hypervisor::HypervisorConfig config;
  config.service = service;
  return config;
}

const hypervisor::HypervisorCosts c = costs();
const Time round_trip = c.exit + c.to_user + c.mmio_dispatch + big_lock + c.from_user + c.entry;
const Time request = c.request + c.descriptor_read * 3;  // link, request, answer
const Time map_ioctl = c.notifier + c.ioctl_map + c.pin_batch + c.map_run;
const iommu::IommuTiming hardware;
/// From the tail's write until the status word is in memory.
const Time invalidation = Time::ns(250) + 2 * (hardware.descriptor_fetch + hardware.descriptor_execute) +
                          hardware.status_write + Time::ns(90);
const Time unmap_ioctl = c.notifier + c.ioctl_unmap + c.unmap_region + invalidation;

TEST_CASE("a kick served in the exit takes the sum of what was done") {
  const Times t = times_of(served_by(QueueService::on_kick), [](Bench& b, Times& out) {
    out.push_back(b.kick(b.cpu0));  // nothing queued
    b.attach();
    out.push_back(b.kick(b.cpu0));
    b.map(1, 1);
    out.push_back(b.kick(b.cpu0));
    b.map(2, 1);
    b.map(3, 1);
    out.push_back(b.kick(b.cpu0));
    b.map(5, 3);  // pieces of one and two pages
    out.push_back(b.kick(b.cpu0));
    b.unmap(1, 1);
    out.push_back(b.kick(b.cpu0));
    b.unmap(2, 2);  // one request, two records
    out.push_back(b.kick(b.cpu0));
  });
  CHECK(t ==
        Times{round_trip, round_trip + request,
              // three tables and their links before the first leaf
              round_trip + request + c.mapping_lookup + map_ioctl + c.pin_page + 4 * c.pte_write + 3 * c.table_page,
              round_trip + 2 * (request + c.mapping_lookup + map_ioctl + c.pin_page + c.pte_write),
              round_trip + request + c.mapping_lookup + 2 * map_ioctl + 3 * (c.pin_page + c.pte_write),
              round_trip + request + c.mapping_lookup + unmap_ioctl + c.pte_write + c.unpin_page + c.software_walk,
              round_trip + request +
                  2 * (c.mapping_lookup + unmap_ioctl + c.pte_write + c.unpin_page + c.software_walk)});
}

TEST_CASE("the exit and the ioctls in it are told as they took") {
  const Times t = times_of(served_by(QueueService::on_kick), [](Bench& b, Times& out) {
    b.attach();
    b.map(1, 1);
    b.cpu0.spend(Time::us(3));
    const Time took = b.kick(b.cpu0);
    const auto [at, exit] = of_kind<trace::VmExit>(b.recorder.events).at(0);
    out.insert(out.end(), {Time::ps(exit.began_ps), at - Time::ps(exit.began_ps) - took,
                           Time::ps(static_cast<std::uint64_t>(exit.reason))});
    const auto [mapped_at, mapped] = of_kind<trace::ShadowMapped>(b.recorder.events).at(0);
    out.insert(out.end(), {Time::ps(mapped.took_ps), Time::ps(mapped.status), Time::ps(mapped.container)});
    out.push_back(Time::ps(of_kind<trace::PagesPinned>(b.recorder.events).at(0).second.pinned_now));
    const auto [served_at, served] = of_kind<trace::RequestServed>(b.recorder.events).at(1);
    out.insert(out.end(), {at - served_at, Time::ps(served.status), Time::ps(served.bytes)});
  });
  CHECK(t == Times{Time::us(3), Time{}, Time::ps(static_cast<std::uint64_t>(trace::ExitReason::ept_misconfig)),
                   map_ioctl + c.pin_page + 4 * c.pte_write + 3 * c.table_page, Time{}, Time::ps(1), Time::ps(1),
                   c.from_user + c.entry, Time{}, Time::ps(page_size)});
}

TEST_CASE("an ioctl without room is refused early, and the MAP answered NOMEM") {
  const Times t = times_of(
      served_by(QueueService::on_kick),
      [](Bench& b, Times& out) {
        b.attach();
        b.map(1, 1);
        b.kick(b.cpu0);
        b.map(2, 1);
        out.push_back(b.kick(b.cpu0));
        out.push_back(Time::ps(of_kind<trace::ShadowMapped>(b.recorder.events).at(1).second.status));
        out.push_back(Time::ps(of_kind<trace::RequestServed>(b.recorder.events).at(2).second.status));
        out.push_back(Time::ps(b.host->pins()));
        b.host->close();
        out.push_back(Time::ps(b.host->pins()));
      },
      1);
  CHECK(t == Times{round_trip + request + c.mapping_lookup + c.notifier + c.ioctl_refused, Time::ps(ENOSPC),
                   Time::ps(static_cast<std::uint64_t>(virtio_iommu::Status::nomem)), Time::ps(1), Time{}});
}

TEST_CASE("the big lock: a second vCPU's kick waits until the first one's is served") {
  const Times t = isolated_list<Time>([] {
    Times out(3);
    Bench b;
    b.cpu0.load([&] {
      b.attach();
      b.map(1, 1);
      out[0] = b.kick(b.cpu0);
    });
    b.cpu1.load([&] {
      b.cpu1.spend(Time::ns(1));
      out[1] = b.kick(b.cpu1);
      out[2] = Time::ps(of_kind<trace::LockAcquired>(b.recorder.events).at(1).second.waited_ps);
    });
    run_simulation();
    return out;
  });
  const Time work = 2 * request + c.mapping_lookup + map_ioctl + c.pin_page + 4 * c.pte_write + 3 * c.table_page;
  const Time wait = work - Time::ns(1) + handover;  // from 1 ns after the first had it
  CHECK(t == Times{round_trip + work, round_trip + wait, wait});
}

TEST_CASE("an ioeventfd: the vCPU is back at once, and the thread answers in its own time") {
  const QueueService service = GENERATE(QueueService::ioeventfd, QueueService::worker);
  const Times t = times_of(served_by(service), [](Bench& b, Times& out) {
    b.cpu0.spend(Time::us(1));
    b.attach();
    out.push_back(b.kick(b.cpu0));
    const Hpa used = b.ram.to_hpa(b.layout.used_index());
    b.monitor.watch(used, b.cpu0);
    b.cpu0.park();
    out.push_back(b.cpu0.now());
    out.push_back(Time::ps(b.ring.has_used()));
    out.push_back(of_kind<trace::IoThreadWoken>(b.recorder.events).at(0).first);
    out.push_back(Time::ps(of_kind<trace::IoThreadWoken>(b.recorder.events).at(0).second.signalled_ps));
    out.push_back(of_kind<trace::RequestServed>(b.recorder.events).at(0).first);
  });
  const Time signalled = Time::us(1) + c.exit + c.eventfd_signal;
  const Time woken = signalled + c.eventfd_wake;
  const Time served = woken + (service == QueueService::ioeventfd ? big_lock : Time{}) + request;
  CHECK(t == Times{c.exit + c.eventfd_signal + c.entry, served, Time::ps(1), woken, signalled, served});
}

TEST_CASE("no kick is lost, whatever the thread is doing when it comes") {
  const Time gap = GENERATE(Time::ns(1), Time::ns(64), Time::ns(100), Time::ns(200), Time::ns(500), Time::us(1),
                            Time::us(2), Time::us(50));
  const Times t = times_of(served_by(QueueService::worker), [gap](Bench& b, Times& out) {
    b.attach();
    b.kick(b.cpu0);
    for (std::uint64_t page = 1; page <= 12; ++page) {
      b.cpu0.spend(gap * page);
      b.cpu0.sync();
      b.collect();
      b.map(page, 1);
      if (b.ring.kick_needed()) b.kick(b.cpu0);
    }
    b.cpu0.spend(Time::ms(20));
    b.cpu0.sync();
    b.collect();
    out.push_back(Time::ps(b.ring.in_flight()));
    out.push_back(Time::ps(of_kind<trace::RequestServed>(b.recorder.events).size()));
  });
  CHECK(t == Times{Time{}, Time::ps(13)});
}

TEST_CASE("without a vIOMMU all of guest memory is mapped before the first instruction, and unpinned at the end") {
  const Times t = isolated_list<Time>([] {
    Bench b;
    const HypervisorParts parts{b.bytes, b.pages, b.ram, b.monitor, b.tracer};
    Hypervisor plain("plain", {}, costs(), parts, b.lock,
                     [&](hypervisor::RegisterPort& port) { return vtd_driver(parts, port); });
    plain.assign(SourceId{0x200});
    Target unused("unused");
    Initiator doorbell("doorbell");
    plain.iommu_registers.bind(unused.in);
    doorbell.out.bind(plain.trapped);
    run_simulation(sc_core::sc_time(1, sc_core::SC_PS));
    Times out{Time::ps(plain.pins())};
    plain.close();
    out.push_back(Time::ps(plain.pins()));
    return out;
  });
  CHECK(t == Times{Time::ps((32 << 20) / page_size), Time{}});
}

}  // namespace
}  // namespace gnomon::test
