// SPDX-License-Identifier: Apache-2.0
#include "guest/nvme/driver.hpp"

#include <algorithm>
#include <stdexcept>

#include "guest/nvme/queue.hpp"
#include "models/spec/nvme/registers.hpp"
#include "models/spec/pci/msix.hpp"

namespace gnomon::guest {

namespace reg = nvme::reg;

NvmeDriver::NvmeDriver(const NvmeDriverOptions& options, DmaDevice& dma, GuestRam& ram, GuestPages& pages,
                       std::vector<Cpu*> cpus)
    : options_(options), dma_(dma), ram_(ram), pages_(pages), cpus_(std::move(cpus)) {}

NvmeDriver::~NvmeDriver() = default;

void NvmeDriver::probe(Cpu& cpu, unsigned vector) {
  Processor& processor = cpu.processor();
  const auto capabilities = nvme::decode_capabilities(processor.read_mmio(options_.bar + reg::cap, 8));

  constexpr unsigned admin_depth = 32;
  admin_ = std::make_unique<Queue>(*this, cpu, 0, admin_depth);
  processor.write_mmio(options_.bar + reg::aqa, nvme::encode_aqa(admin_depth, admin_depth), 4);
  processor.write_mmio(options_.bar + reg::asq, admin_->submission_ring().value, 8);
  processor.write_mmio(options_.bar + reg::acq, admin_->completion_ring().value, 8);
  const nvme::Configuration enable{.en = true, .iosqes = 6, .iocqes = 4};
  processor.write_mmio(options_.bar + reg::cc, nvme::encode(enable), 4);
  wait_ready(cpu);

  const auto wanted = static_cast<std::uint32_t>(cpus_.size());
  const std::uint32_t granted = admin(cpu, nvme::set_number_of_queues(0, wanted, wanted));
  const std::uint32_t count = std::min({wanted, (granted & 0xffff) + 1, (granted >> 16) + 1});
  const unsigned depth = std::min(options_.queue_depth, capabilities.mqes + 1u);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto id = static_cast<std::uint16_t>(i + 1);
    auto queue = std::make_unique<Queue>(*this, cpu, id, depth);
    const Gpa entry = options_.bar + pci::msix_table_offset + sizeof(pci::MsixEntry) * id;
    processor.write_mmio(entry, pci::message_address(i), 8);
    processor.write_mmio(entry + 8, pci::message_data(vector), 4);
    processor.write_mmio(entry + 12, 0, 4);
    admin(cpu, nvme::create_io_cq(0, id, depth, queue->completion_ring().value, id));
    admin(cpu, nvme::create_io_sq(0, id, depth, queue->submission_ring().value, id));
    cpus_[i]->set_handler(vector, *queue);
    queues_.push_back(std::move(queue));
  }
}

void NvmeDriver::wait_ready(Cpu& cpu) {
  constexpr int polls = 10'000;  // of 100 us: CAP.TO is in units of 500 ms
  for (int i = 0; i < polls; ++i) {
    if ((cpu.processor().read_mmio(options_.bar + reg::csts, 4) & nvme::csts::rdy) != 0) return;
    cpu.processor().spend(Time::us(100));
  }
  throw std::runtime_error("nvme: the controller did not become ready");
}

std::uint32_t NvmeDriver::admin(Cpu& cpu, nvme::SubmissionEntry command) {
  const nvme::CompletionEntry done = admin_->execute(cpu, command);
  const nvme::Status status = nvme::status_of(done);
  if (status != nvme::Status::success) {
    throw std::runtime_error("nvme: admin command " + std::to_string(command.opcode) + " failed with status " +
                             std::to_string(static_cast<unsigned>(status)));
  }
  return done.result;
}

void NvmeDriver::submit(Cpu& cpu, BlockRequest& request) {
  cpu.work(cpu.costs().block_submit + cpu.costs().direct_io_per_page * ((request.bytes + page_size - 1) >> page_shift));
  queues_[cpu.id() % queues_.size()]->submit(cpu, request);
}

std::uint64_t NvmeDriver::in_flight() const {
  std::uint64_t count = 0;
  for (const auto& queue : queues_) count += queue->in_flight();
  return count;
}

}  // namespace gnomon::guest
