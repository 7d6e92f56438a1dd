// SPDX-License-Identifier: Apache-2.0
// The guest's Intel IOMMU driver against the emulated unit over one guest memory.
#pragma once

#include <memory>
#include <vector>

#include "guest/intel_iommu/instance.hpp"
#include "guest/iommu/domain.hpp"
#include "models/hypervisor/core/intel_iommu_device.hpp"
#include "models/spec/vtd/registers.hpp"
#include "tests/support/mmio_processor.hpp"
#include "tests/support/recorder.hpp"
#include "tests/support/recording_shadow.hpp"
#include "tests/support/solo_processor.hpp"

namespace gnomon::test {

/// A guest's memory, the unit in it, and what the host is told.
class IntelMachine : public StoreTrap {
 public:
  static constexpr Gpa window{std::uint64_t{1} << 40};
  static constexpr SourceId source{0x0100};

  struct Access {
    bool store = false;
    std::uint32_t offset = 0;
    std::uint64_t value = 0;
    bool operator==(const Access&) const = default;
  };

  explicit IntelMachine(const hypervisor::IntelIommuDeviceConfig& config = {})
      : device(ram, config), wide_(config.scalable) {
    tracer.add(recorder);
    device.add_endpoint(source, shadow);
  }

  /// A register access as the VMM takes it; the queue is served at once unless `hold` is set.
  std::uint64_t access(Processor& processor, bool store, std::uint32_t offset, std::uint64_t value,
                       unsigned bytes) {
    const std::uint64_t tail = device.read_register(vtd::reg::iqt, 8);
    if (store) device.write_register(offset, value, bytes);
    const std::uint64_t loaded = store ? 0 : device.read_register(offset, bytes);
    accesses.push_back({store, offset, store ? value : loaded});
    if (store && offset == vtd::reg::iqt) keep_descriptors(tail, value);
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
  void stored(Processor&, Gpa address) override {
    if (port.protected_pages.count(address.value & ~(page_size - 1)) == 0) return;
    ++store_faults;
    device.table_written(address, port);
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
  hypervisor::IntelIommuDevice device;
  CountingPort port{ram, monitor};
  bool hold = false;
  std::uint64_t store_faults = 0;
  std::vector<Access> accesses;
  std::vector<vtd::Bits128> descriptors;  ///< their lower halves, as they lay in the queue at the tail's write
  std::vector<hypervisor::ServedCommand> served;

 private:
  void keep_descriptors(std::uint64_t from, std::uint64_t to) {
    const std::uint64_t bytes = wide_ ? 32 : 16;
    const Gpa base{device.read_register(vtd::reg::iqa, 8) & ~(page_size - 1)};
    for (std::uint64_t at = from; at != to; at = (at + bytes) % (bytes * 256)) {
      descriptors.push_back(ram.read<vtd::Bits128>(base + at));
    }
  }
  bool wide_;
};

/// One CPU, one domain with one device.
class IntelBench : public IntelMachine {
 public:
  struct Options {
    guest::IntelDriverOptions driver;
    hypervisor::IntelIommuDeviceConfig device;
    bool scalable_mode = true;
  };

  IntelBench() : IntelBench(Options{}) {}
  explicit IntelBench(const Options& options)
      : IntelMachine(options.device),
        processor(with_registers(solo)),
        instance({kernel, monitor, lock, [this] { return make_lock(); },
                  options.device.shadowing == hypervisor::IntelShadowing::write_protect ? this : nullptr},
                 instance_options(options)) {
    instance.probe(cpu);
    driver = instance.make_domain(cpu, 1);
    domain.emplace(*driver, guest::IommuCoreBehaviour{});
  }

  /// Attach; what it and probe left in the logs is forgotten.
  void boot() {
    instance.attach(cpu, *driver, source);
    forget();
  }
  void forget() {
    accesses.clear();
    descriptors.clear();
    served.clear();
    shadow.calls.clear();
    shadow.forwarded.clear();
    recorder.events.clear();
    port.reads = port.look_ups = store_faults = 0;
  }
  const guest::IntelDomain& intel() const { return static_cast<const guest::IntelDomain&>(*driver); }

  int map(std::uint64_t iova_page, const std::vector<guest::Run>& runs) {
    return domain->map_sg(cpu, Iova::from_page(iova_page), runs, {true, true}).error;
  }
  std::uint64_t unmap(std::uint64_t iova_page, std::uint64_t count = 1) {
    return domain->unmap(cpu, Iova::from_page(iova_page), count * page_size) / page_size;
  }

  SoloProcessor solo;
  MmioProcessor processor;
  const guest::GuestCosts costs;
  guest::Cpu cpu{processor, costs, {}, tracer};
  Lock lock = make_lock();
  guest::IntelIommuInstance instance;
  std::unique_ptr<guest::IommuDriver> driver;
  std::optional<guest::IommuDomain> domain;

 private:
  static guest::IntelIommuOptions instance_options(const Options& options) {
    guest::IntelIommuOptions o;
    o.registers = window;
    o.scalable_mode = options.scalable_mode;
    o.driver = options.driver;
    return o;
  }
};

/// The ways a unit can be emulated.
inline hypervisor::IntelIommuDeviceConfig intel_unit(hypervisor::IntelShadowing shadowing, bool scalable = true) {
  hypervisor::IntelIommuDeviceConfig config;
  config.shadowing = shadowing;
  config.scalable = scalable;
  return config;
}

}  // namespace gnomon::test
