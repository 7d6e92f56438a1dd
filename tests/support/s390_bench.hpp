// SPDX-License-Identifier: Apache-2.0
// An s390 guest's PCI functions over one guest memory: QEMU's device behind the instructions, and a CPU that issues
// them.
#pragma once

#include <memory>
#include <vector>

#include "guest/iommu/domain.hpp"
#include "guest/s390_pci/instance.hpp"
#include "models/cpu/core/lock.hpp"
#include "models/hypervisor/core/s390_pci_device.hpp"
#include "tests/support/recorder.hpp"
#include "tests/support/recording_shadow.hpp"
#include "tests/support/solo_processor.hpp"

namespace gnomon::test {

/// The device's instructions, at once and written down.
class S390Instructions final : public PciInstructionPort, private hypervisor::RefreshPort {
 public:
  struct Rpcit {
    std::uint64_t iova = 0;
    std::uint64_t bytes = 0;
    Result result;
    bool operator==(const Rpcit&) const = default;
  };

  explicit S390Instructions(hypervisor::S390PciDevice& device) : device_(device) {}

  Result rpcit(Processor& processor, std::uint64_t function, Iova address, std::uint64_t bytes) override {
    processor.sync();
    if (!answers.empty()) {
      const Result canned = answers.front();
      answers.erase(answers.begin());
      rpcits.push_back({address.value, bytes, canned});
      return canned;
    }
    served.push_back(device_.refresh(function, address, bytes, *this));
    const auto& outcome = served.back().outcome;
    rpcits.push_back({address.value, bytes, {static_cast<std::uint8_t>(outcome.code), outcome.status}});
    return rpcits.back().result;
  }
  Result register_translation(Processor&, std::uint64_t function, Iova first, Iova last,
                              std::uint64_t iota) override {
    const auto outcome = device_.register_translation(function, first, last, iota);
    return {static_cast<std::uint8_t>(outcome.code), outcome.status};
  }
  Result deregister_translation(Processor&, std::uint64_t function) override {
    const auto outcome = device_.deregister_translation(function);
    return {static_cast<std::uint8_t>(outcome.code), outcome.status};
  }

  std::vector<Rpcit> rpcits;
  std::vector<hypervisor::RefreshServed> served;
  std::vector<Result> answers;  ///< given instead of the device's, first to last
  std::uint64_t reads = 0;
  std::uint64_t look_ups = 0;

 private:
  void walked(std::uint64_t r, std::uint64_t l) override {
    reads += r;
    look_ups += l;
  }
  hypervisor::S390PciDevice& device_;
};

/// A guest's memory, one function of it, and what the host is told.
class S390Machine {
 public:
  static constexpr SourceId source{0x0010};
  static constexpr s390_pci::FunctionHandle handle{s390_pci::handle_enabled | 0x0001'0003};
  static constexpr std::uint64_t operand = s390_pci::function_operand(handle);
  static constexpr Iova first{0x1'0000'0000};

  /// Not inline: g++ 12 at -O3 would take the recorder's first virtual call for unreachable.
  [[gnu::noinline]] explicit S390Machine(std::optional<std::uint32_t> slots = 65535,
                                         std::uint8_t group = s390_pci::group_refresh)
      : device(ram, {s390_pci::qemu_dma_window, group, {}}), instructions(device) {
    tracer.add(recorder);
    device.add_function(handle, shadow, slots);
  }

  Lock make_lock() { return {0, LockKind::queued, {Time::ns(20), Time::ns(100)}, RandomStream(1, "lock"), tracer}; }
  void forget() {
    shadow.calls.clear();
    instructions.rpcits.clear();
    instructions.served.clear();
    instructions.reads = instructions.look_ups = 0;
    recorder.events.clear();
  }

  PhysicalMemory memory{64 << 20};
  GuestRam ram{memory, Hpa{0}, 64 << 20, Backing::pages_4k, 1};
  trace::Tracer tracer;
  Recorder recorder;
  guest::GuestPages pages{Gpa{0x10'0000}, Gpa{48 << 20}};
  guest::KernelMemory kernel{ram, pages};
  RecordingShadow shadow;
  hypervisor::S390PciDevice device;
  S390Instructions instructions;
};

/// One CPU and the driver since 6.7, with one domain that the function is in.
class S390Bench : public S390Machine {
 public:
  struct Options {
    std::optional<std::uint32_t> slots = 65535;
    std::uint8_t group = s390_pci::group_refresh;
    std::uint64_t memory_bytes = std::uint64_t{4} << 30;
    guest::S390DriverFaults faults;
    guest::IommuCoreBehaviour core;
  };

  S390Bench() : S390Bench(Options{}) {}
  explicit S390Bench(const Options& options)
      : S390Machine(options.slots, options.group),
        instance(kernel, instructions, {options.memory_bytes, 1, options.faults},
                 {{source, handle, options.group, s390_pci::qemu_dma_window}}),
        driver(instance.make_domain(cpu, 1)),
        domain(*driver, options.core) {
    instance.attach(cpu, *driver, source);
    forget();
  }

  const guest::S390Function& function() const { return *instance.function(source); }
  guest::S390Domain& s390() { return static_cast<guest::S390Domain&>(*driver); }
  static Iova page(std::uint64_t n) { return first + (n << page_shift); }

  int map(std::uint64_t n, std::uint64_t gpa_page, std::uint64_t count = 1) {
    return domain.map(cpu, page(n), Gpa::from_page(gpa_page), count << page_shift, {true, true}).error;
  }
  std::uint64_t unmap(std::uint64_t n, std::uint64_t count = 1) {
    return domain.unmap(cpu, page(n), count << page_shift) >> page_shift;
  }
  /// As the flush queue has it unmapped: entries invalid now, RPCIT later.
  void unmap_lazily(std::uint64_t n, std::uint64_t count = 1) {
    guest::IotlbGather gather;
    gather.queued = true;
    domain.unmap_fast(cpu, page(n), count << page_shift, gather);
  }

  SoloProcessor processor;
  const guest::GuestCosts costs;
  guest::Cpu cpu{processor, costs, {}, tracer};
  guest::S390IommuInstance instance;
  std::unique_ptr<guest::IommuDriver> driver;
  guest::IommuDomain domain;
};

}  // namespace gnomon::test
