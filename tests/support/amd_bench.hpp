// SPDX-License-Identifier: Apache-2.0
// The guest's AMD IOMMU driver against QEMU's device over one guest memory.
#pragma once

#include <memory>
#include <vector>

#include "guest/amd_iommu/instance.hpp"
#include "guest/iommu/domain.hpp"
#include "models/hypervisor/core/amdvi_device.hpp"
#include "models/spec/amdvi/registers.hpp"
#include "tests/support/mmio_processor.hpp"
#include "tests/support/recorder.hpp"
#include "tests/support/recording_shadow.hpp"
#include "tests/support/solo_processor.hpp"

namespace gnomon::test {

/// A guest's memory, the unit in it, and what the host is told.
class AmdMachine {
 public:
  static constexpr Gpa window{std::uint64_t{1} << 40};
  static constexpr SourceId source{0x0100};

  struct Access {
    bool store = false;
    std::uint32_t offset = 0;
    std::uint64_t value = 0;
    bool operator==(const Access&) const = default;
  };

  explicit AmdMachine(const hypervisor::AmdviDeviceConfig& config = {}) : device(ram, config) {
    tracer.add(recorder);
    device.add_endpoint(source, shadow);
  }

  /// A register access as the VMM takes it; the queue is served at once unless `hold` is set.
  std::uint64_t access(Processor& processor, bool store, std::uint32_t offset, std::uint64_t value,
                       unsigned bytes) {
    const std::uint64_t tail = device.read_register(amdvi::reg::command_tail, 8);
    if (store) device.write_register(offset, value, bytes);
    const std::uint64_t loaded = store ? 0 : device.read_register(offset, bytes);
    accesses.push_back({store, offset, store ? value : loaded});
    if (store && offset == amdvi::reg::command_tail && value != tail) {
      const Gpa base{amdvi::ring_base(device.read_register(amdvi::reg::command_buffer, 8)).value};
      commands.push_back(ram.read<amdvi::Bits128>(base + (value + 8192 - 16) % 8192));
    }
    if (!hold) serve(processor.now());
    return loaded;
  }
  MmioProcessor with_registers(Processor& below) {
    return {below, window,
            [this](Processor& p, bool store, std::uint32_t offset, std::uint64_t value, unsigned bytes) {
              return access(p, store, offset, value, bytes);
            }};
  }
  void serve(Time now) {
    port.now = now;
    while (device.pending()) served.push_back(device.serve(port));
  }
  std::uint64_t count(std::uint32_t offset, bool store) const {
    std::uint64_t n = 0;
    for (const Access& a : accesses) n += a.store == store && a.offset == offset ? 1 : 0;
    return n;
  }
  Lock make_lock() { return {0, LockKind::queued, {Time::ns(20), Time::ns(100)}, RandomStream(1, "lock"), tracer}; }

  PhysicalMemory memory{64 << 20};
  GuestRam ram{memory, Hpa{0}, 64 << 20, Backing::pages_4k, 1};
  trace::Tracer tracer;
  Recorder recorder;
  LineMonitor monitor;
  guest::GuestPages pages{Gpa{0x10'0000}, Gpa{48 << 20}};
  guest::KernelMemory kernel{ram, pages};
  RecordingShadow shadow;
  hypervisor::AmdviDevice device;
  CountingPort port{ram, monitor};
  bool hold = false;
  std::vector<Access> accesses;
  std::vector<amdvi::Bits128> commands;  ///< as they lay in the ring at their doorbell
  std::vector<hypervisor::ServedCommand> served;
};

/// One CPU, one domain with one device.
class AmdBench : public AmdMachine {
 public:
  struct Options {
    bool np_cache = true;
    guest::AmdDriverOptions driver;
    hypervisor::AmdviDeviceConfig device;
  };

  AmdBench() : AmdBench(Options{}) {}
  explicit AmdBench(const Options& options)
      : AmdMachine(options.device),
        processor(with_registers(solo)),
        instance({kernel, monitor, lock, [this] { return make_lock(); }}, instance_options(options)),
        driver(instance.make_domain(cpu, 1)),
        domain(*driver, {}) {}

  /// Probe and attach; what they left in the logs is forgotten.
  void boot() {
    instance.probe(cpu);
    instance.attach(cpu, *driver, source);
    forget();
  }
  void forget() {
    accesses.clear();
    commands.clear();
    served.clear();
    shadow.calls.clear();
    recorder.events.clear();
    port.reads = port.look_ups = 0;
  }
  const guest::AmdDomain& amd() const { return static_cast<const guest::AmdDomain&>(*driver); }

  int map(std::uint64_t iova_page, const std::vector<guest::Run>& runs) {
    return domain.map_sg(cpu, Iova::from_page(iova_page), runs, {true, true}).error;
  }
  /// Pages that are no neighbours, so that each is a leaf of its own.
  int map_scattered(std::uint64_t iova_page, std::uint64_t count) {
    std::vector<guest::Run> runs;
    for (std::uint64_t i = 0; i < count; ++i) runs.push_back({Gpa::from_page(0x4000 + 2 * i), page_size});
    return map(iova_page, runs);
  }
  std::uint64_t unmap(std::uint64_t iova_page, std::uint64_t count = 1) {
    return domain.unmap(cpu, Iova::from_page(iova_page), count * page_size) / page_size;
  }

  SoloProcessor solo;
  MmioProcessor processor;
  const guest::GuestCosts costs;
  guest::Cpu cpu{processor, costs, {}, tracer};
  Lock lock = make_lock();
  guest::AmdIommuInstance instance;
  std::unique_ptr<guest::IommuDriver> driver;
  guest::IommuDomain domain;

 private:
  static guest::AmdIommuOptions instance_options(const Options& options) {
    amdvi::Capability capability = hypervisor::AmdviDevice::capability();
    capability.np_cache = options.np_cache;
    guest::AmdIommuOptions o;
    o.registers = window;
    o.capability = encode(capability);
    o.last_device = SourceId{0x3ff};
    o.driver = options.driver;
    return o;
  }
};

}  // namespace gnomon::test
