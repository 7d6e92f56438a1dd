// SPDX-License-Identifier: Apache-2.0
// The SMMUv3 driver over one memory: against a physical unit whose queue takes time, or against QEMU's device in
// front of one. Several CPUs may run it.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "guest/arm_smmu_v3/instance.hpp"
#include "guest/iommu/domain.hpp"
#include "models/iommu/smmuv3/unit.hpp"
#include "tests/support/fake_processors.hpp"
#include "tests/support/recorder.hpp"

namespace gnomon::test {

/// Bare metal: guest memory is the host's. Commands are executed one after another, `per_command` each, as the
/// unit's shell does it; a register access costs the CPU nothing but what the driver charges.
class SmmuBench {
 public:
  static constexpr Gpa window{std::uint64_t{1} << 40};
  static constexpr SourceId source{0x0100};
  static constexpr std::uint64_t memory_bytes = std::uint64_t{256} << 20;

  struct Options {
    unsigned cpus = 1;
    guest::SmmuDriverOptions driver;
    iommu::Smmuv3Config unit = {.command_log2 = 8, .virtual_queues = true};
    Time per_command = Time::ns(300);
  };

  /// A CPU whose registers are the unit's.
  class Node final : public Processor {
   public:
    Node(SmmuBench& bench, Processor& below) : bench_(bench), below_(below) {}
    unsigned id() const override { return below_.id(); }
    Time now() const override { return below_.now(); }
    void spend(Time work) override { below_.spend(work); }
    void sync() override { below_.sync(); }
    void park() override { below_.park(); }
    void unpark(Time at) override { below_.unpark(at); }
    void write_mmio(Gpa address, std::uint64_t value, unsigned bytes) override {
      sync();
      bench_.store(static_cast<std::uint32_t>(address - window), value, bytes, now());
    }
    std::uint64_t read_mmio(Gpa address, unsigned bytes) override {
      sync();
      return bench_.load(static_cast<std::uint32_t>(address - window), bytes, now());
    }
    void halt() override {}
    bool interrupt_pending() const override { return false; }
    unsigned acknowledge_interrupt() override { return 0; }
    void set_timer(Time) override {}
    void send_interrupt(unsigned, unsigned) override {}

   private:
    SmmuBench& bench_;
    Processor& below_;
  };

  SmmuBench() : SmmuBench(Options{}) {}
  explicit SmmuBench(const Options& options)
      : options_(options),
        processors(options.cpus + 1),
        unit({}, memory, options.unit),
        instance({kernel, monitor}, {window, 16, options.driver}) {
    tracer.add(recorder);
  }

  struct Store {
    std::uint32_t offset = 0;
    std::uint64_t value = 0;
    bool operator==(const Store&) const = default;
  };

  /// Runs `program` on each CPU at once, after CPU 0 has probed and attached one domain. Returns when all are done;
  /// false where one waits for ever.
  template <class Program>
  bool run(Program program) {
    for (unsigned i = 0; i != options_.cpus; ++i) {
      processors.load(i, [this, i, program](Processor& processor) {
        nodes_.emplace_back(*this, processor);
        Node& node = nodes_.back();
        guest::Cpu cpu(node, costs, {}, tracer);
        if (i == 0) boot(cpu);
        while (!booted_) {  // the others come when the first is ready
          node.spend(Time::us(10));
          node.sync();
        }
        program(cpu);
        ++finished_;
      });
    }
    // The unit works beside the CPUs.
    processors.load(options_.cpus, [this](Processor& processor) { serve(processor); });
    processors.run();
    return finished_ == options_.cpus;
  }

  /// What lies in a ring from its start.
  std::vector<smmuv3::Command> commands(const guest::SmmuCommandQueue& queue, std::uint32_t first,
                                        std::uint32_t end) {
    std::vector<smmuv3::Command> found;
    for (std::uint32_t i = first; i != end; ++i) {
      const std::uint32_t index = i % (1u << queue.log2());
      found.push_back(smmuv3::decode_command(ram.read<smmuv3::Bits128>(queue.base() + index * 16)));
    }
    return found;
  }

  std::uint64_t count(std::uint32_t offset) const {
    std::uint64_t n = 0;
    for (const Store& s : stores) n += s.offset == offset ? 1 : 0;
    return n;
  }
  guest::SmmuDomain& smmu_domain() { return static_cast<guest::SmmuDomain&>(*driver); }

  const Options options_;
  PhysicalMemory memory{memory_bytes};
  GuestRam ram = GuestRam::identity(memory, memory_bytes);
  trace::Tracer tracer;
  Recorder recorder;
  LineMonitor monitor;
  guest::GuestPages pages{Gpa{0x10'0000}, Gpa{std::uint64_t{200} << 20}};
  guest::KernelMemory kernel{ram, pages};
  guest::GuestCosts costs;
  FakeProcessors processors;
  iommu::Smmuv3Unit unit;
  guest::Smmuv3Instance instance;
  std::unique_ptr<guest::IommuDriver> driver;
  std::optional<guest::IommuDomain> domain;
  guest::IommuCoreBehaviour core;
  std::vector<Store> stores;  ///< since boot
  std::vector<iommu::InvalidationStep> steps;
  std::uint64_t loads = 0;
  std::function<void(const smmuv3::Command&)> on_step;  ///< about to be executed, of the unit's own queue
  std::function<void()> on_stop;                        ///< the unit met a command it cannot execute

 private:
  void boot(guest::Cpu& cpu) {
    instance.probe(cpu);
    driver = instance.make_domain(cpu, 1);
    if (instance.attach(cpu, *driver, source) != 0) throw std::logic_error("attach");
    domain.emplace(*driver, core);
    stores.clear();
    steps.clear();
    recorder.events.clear();
    loads = 0;
    booted_ = true;
  }
  void store(std::uint32_t offset, std::uint64_t value, unsigned bytes, Time now) {
    stores.push_back({offset, value});
    const bool pending = unit.write(offset, value, bytes).queue_pending;
    if (pending && server_ != nullptr && server_idle_) {
      server_idle_ = false;
      server_->unpark(now);
    }
  }
  std::uint64_t load(std::uint32_t offset, unsigned bytes, Time) {
    ++loads;
    return unit.read(offset, bytes);
  }
  smmuv3::Command next_command() const {
    const std::uint64_t base = unit.read(smmuv3::reg::cmdq_base, 8);
    const auto cons = static_cast<std::uint32_t>(unit.read(smmuv3::reg::cmdq_cons, 4));
    const std::uint32_t index = smmuv3::queue::index(cons, smmuv3::queue_log2(base));
    return smmuv3::decode_command(memory.read<smmuv3::Bits128>(Hpa{smmuv3::queue_base(base) + index * 16}));
  }
  void serve(Processor& processor) {
    server_ = &processor;
    for (;;) {
      processor.sync();
      while (unit.queued() != 0) {
        processor.spend(options_.per_command);
        processor.sync();
        if (on_step) on_step(next_command());
        const iommu::InvalidationStep step = unit.step();
        steps.push_back(step);
        if (std::holds_alternative<iommu::QueueError>(step) && on_stop) on_stop();
        const auto* wait = std::get_if<iommu::WaitReached>(&step);
        if (wait == nullptr || !wait->status_write) continue;
        memory.write(wait->status_address, static_cast<std::uint32_t>(wait->status_data));
        monitor.written(wait->status_address, processor.now());
      }
      server_idle_ = true;
      processor.park();
    }
  }

  std::deque<Node> nodes_;
  Processor* server_ = nullptr;
  bool server_idle_ = false;
  bool booted_ = false;
  unsigned finished_ = 0;
};

}  // namespace gnomon::test
