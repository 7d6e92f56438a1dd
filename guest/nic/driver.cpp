// SPDX-License-Identifier: Apache-2.0
#include "guest/nic/driver.hpp"

#include <algorithm>
#include <stdexcept>

#include "guest/nic/queue.hpp"
#include "models/spec/nic/registers.hpp"
#include "models/spec/pci/msix.hpp"

namespace gnomon::guest {

namespace reg = nic::reg;

NicDriver::NicDriver(const NicDriverOptions& options, DmaDevice& dma, GuestRam& ram, GuestPages& pages,
                     std::vector<Cpu*> cpus)
    : options_(options), dma_(dma), ram_(ram), pages_(pages), cpus_(std::move(cpus)) {}

NicDriver::~NicDriver() = default;

void NicDriver::probe(Cpu& cpu, unsigned vector) {
  Processor& processor = cpu.processor();
  if (processor.read_mmio(options_.bar + reg::identity, 4) != nic::identity_value) {
    throw std::runtime_error("nic: no NIC answers");
  }
  const auto capabilities = nic::decode_capabilities(
      static_cast<std::uint32_t>(processor.read_mmio(options_.bar + reg::capabilities, 4)));
  processor.write_mmio(options_.bar + reg::control, 1, 4);
  for (int polls = 0; (processor.read_mmio(options_.bar + reg::status, 4) & nic::status::ready) == 0; ++polls) {
    if (polls == 10'000) throw std::runtime_error("nic: the NIC did not become ready");
    processor.spend(Time::us(100));
  }
  const auto count = std::min<std::size_t>(cpus_.size(), capabilities.queue_pairs);
  for (unsigned i = 0; i < count; ++i) {
    const Gpa entry = options_.bar + pci::msix_table_offset + sizeof(pci::MsixEntry) * i;
    processor.write_mmio(entry, pci::message_address(cpus_[i]->id()), 8);
    processor.write_mmio(entry + 8, pci::message_data(vector), 4);
    processor.write_mmio(entry + 12, 0, 4);
    queues_.push_back(std::make_unique<NicQueue>(*this, cpu, i));
    cpus_[i]->set_handler(vector, *queues_.back());
    queues_.back()->open(cpu);
  }
}

void NicDriver::remove(Cpu& cpu) {
  cpu.processor().write_mmio(options_.bar + reg::control, 0, 4);
  (void)cpu.processor().read_mmio(options_.bar + reg::control, 4);  // the store has arrived: no DMA starts any more
  cpu.processor().spend(Time::us(10));                              // and what was under way has landed
  cpu.sync();
  for (auto& queue : queues_) queue->close(cpu);
}

}  // namespace gnomon::guest
