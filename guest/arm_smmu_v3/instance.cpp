// SPDX-License-Identifier: Apache-2.0
#include "guest/arm_smmu_v3/instance.hpp"

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include "models/spec/smmuv3/virtual_queue.hpp"

namespace gnomon::guest {

namespace reg = smmuv3::reg;
namespace vq = smmuv3::virtual_queue;

namespace {

constexpr std::uint32_t cacheable = 0x0d75;          // CR1: tables and queues inner shareable, write-back
constexpr std::uint32_t record_invalid_streams = 2;  // CR2.RECINVSID
constexpr std::uint32_t private_tlb = 4;             // CR2.PTM: broadcasts of processors are not for it

}  // namespace

Smmuv3Instance::Smmuv3Instance(const SmmuParts& parts, const SmmuOptions& options)
    : parts_(parts), options_(options) {}

std::uint32_t Smmuv3Instance::read(Cpu& cpu, std::uint32_t offset) {
  return static_cast<std::uint32_t>(cpu.processor().read_mmio(options_.registers + offset, 4));
}
void Smmuv3Instance::write(Cpu& cpu, std::uint32_t offset, std::uint64_t value, unsigned bytes) {
  cpu.processor().write_mmio(options_.registers + offset, value, bytes);
}
// arm_smmu_write_reg_sync: polled every microsecond.
void Smmuv3Instance::write_and_see(Cpu& cpu, std::uint32_t offset, std::uint32_t ack, std::uint32_t value) {
  write(cpu, offset, value);
  const Time gives_up = cpu.now() + SmmuCommandQueue::timeout;
  while (read(cpu, ack) != value) {
    if (cpu.now() > gives_up) throw std::runtime_error("SMMUv3: the unit does not acknowledge");
    cpu.processor().spend(Time::us(1));
  }
}

void Smmuv3Instance::make_queues(const smmuv3::Idr0& idr0, const smmuv3::Idr1& idr1) {
  const SmmuDriverOptions& driver = options_.driver;
  SmmuCommandQueue::Options queue;
  queue.log2 = std::min<unsigned>(idr1.cmdqs, driver.most_commands_log2);
  queue.msi_polling = driver.msi_polling && idr0.msi && idr0.cohacc;
  queue.signal = smmuv3::SyncSignal::sev;
  queue.force_sync = driver.force_sync;
  queue.skip_sync = driver.faults.skip_sync;
  commands_ = std::make_unique<SmmuCommandQueue>(
      SmmuCommandQueue::Parts{parts_.memory, parts_.monitor, options_.registers + reg::cmdq_prod,
                              options_.registers + reg::cmdq_cons},
      queue);
  if (driver.queue != SmmuQueue::owned) return;
  queue.log2 = std::min(queue.log2, driver.virtual_queue_log2);
  queue.msi_polling = false;  // virtual queues take CMD_SYNC without a signal only
  queue.signal = smmuv3::SyncSignal::none;
  for (unsigned i = 0; i != vq::queues; ++i) {
    const Gpa page = options_.registers + vq::page0 + i * vq::stride;
    owned_.emplace_back(SmmuCommandQueue::Parts{parts_.memory, parts_.monitor, page + vq::prod, page + vq::cons},
                        queue);
  }
}

void Smmuv3Instance::probe(Cpu& cpu) {
  cpu.processor().sync();
  const smmuv3::Idr0 idr0 = smmuv3::decode_idr0(read(cpu, reg::idr0));
  const smmuv3::Idr1 idr1 = smmuv3::decode_idr1(read(cpu, reg::idr1));
  const bool has_ranges = (read(cpu, reg::idr3) & smmuv3::idr3::ril) != 0;
  const bool stage_there = options_.driver.stage == smmuv3::Stage::one ? idr0.s1p : idr0.s2p;
  if (!stage_there) throw std::runtime_error("SMMUv3: the unit lacks the stage its domains need");
  if ((1u << idr1.cmdqs) < SmmuBatch::most) throw std::runtime_error("SMMUv3: the command queue is too short");

  streams_ = std::make_unique<SmmuStreamTable>(
      parts_.memory, std::min<unsigned>(idr1.sid_size, options_.stream_bits), idr0.st_level == 1);
  make_queues(idr0, idr1);
  event_queue_ = parts_.memory.allocate();
  unit_ = std::make_unique<SmmuUnit>(SmmuUnit{parts_.memory,
                                              *commands_,
                                              {},
                                              streams_.get(),
                                              has_ranges && options_.driver.kernel.range_commands,
                                              options_.driver});

  write_and_see(cpu, reg::cr0, reg::cr0ack, 0);
  write(cpu, reg::cr1, cacheable);
  write(cpu, reg::cr2, record_invalid_streams | private_tlb);
  write(cpu, reg::strtab_base, streams_->base().value, 8);
  write(cpu, reg::strtab_base_cfg, smmuv3::encode(streams_->config()));

  write(cpu, reg::cmdq_base, smmuv3::queue_register(commands_->base().value, commands_->log2()), 8);
  write(cpu, reg::cmdq_prod, 0);
  write(cpu, reg::cmdq_cons, 0);
  std::uint32_t enables = smmuv3::cr0::cmdqen;
  write_and_see(cpu, reg::cr0, reg::cr0ack, enables);
  commands_->run(cpu, smmuv3::CfgiSteRange{0, 31}, trace::all_domains);
  commands_->run(cpu, smmuv3::TlbiNsnhAll{}, trace::all_domains);

  write(cpu, reg::eventq_base, smmuv3::queue_register(event_queue_.value, event_log2), 8);
  write(cpu, reg::eventq_prod, 0);
  write(cpu, reg::eventq_cons, 0);
  enables |= smmuv3::cr0::eventqen;
  write_and_see(cpu, reg::cr0, reg::cr0ack, enables);
  write_and_see(cpu, reg::irq_ctrl, reg::irq_ctrlack, smmuv3::irq_ctrl::eventq | smmuv3::irq_ctrl::gerror);
  start_virtual_queues(cpu);
  write_and_see(cpu, reg::cr0, reg::cr0ack, enables | smmuv3::cr0::smmuen);
}

void Smmuv3Instance::start_virtual_queues(Cpu& cpu) {
  for (unsigned i = 0; i != owned_.size(); ++i) {
    SmmuCommandQueue& queue = owned_[i];
    const std::uint32_t page0 = vq::page0 + i * vq::stride;
    write(cpu, vq::page1 + i * vq::stride + vq::base, smmuv3::queue_register(queue.base().value, queue.log2()), 8);
    write(cpu, page0 + vq::cons, 0);
    write(cpu, page0 + vq::prod, 0);
    write_and_see(cpu, page0 + vq::queue_config, page0 + vq::queue_status, 1);
    unit_->virtual_queues.push_back(&queue);
  }
}

std::unique_ptr<IommuDriver> Smmuv3Instance::make_domain(Cpu& cpu, std::uint32_t id) {
  cpu.work(cpu.costs().table_page);
  return std::make_unique<SmmuDomain>(*unit_, id);
}

int Smmuv3Instance::attach(Cpu& cpu, IommuDriver& domain, SourceId device) {
  const smmuv3::StreamId sid = smmuv3::stream_of(device);
  if (!streams_->contains(sid)) return ENODEV;
  auto& joined = static_cast<SmmuDomain&>(domain);
  if (streams_->prepare(sid)) cpu.work(cpu.costs().table_page);
  const auto same = [&](const Attachment& a) { return a.device == device; };
  const auto found = std::find_if(attachments_.begin(), attachments_.end(), same);
  if (found == attachments_.end()) {
    attachments_.push_back({device, &joined});
  } else if (found->domain != &joined) {
    found->domain->detach(cpu, sid);
    found->domain = &joined;
  } else {
    return 0;
  }
  joined.attach(cpu, sid);
  return 0;
}

bool Smmuv3Instance::handle_error(Cpu& cpu) {
  const std::uint32_t raised = read(cpu, reg::gerror);
  if (((raised ^ read(cpu, reg::gerrorn)) & smmuv3::gerror::cmdq_err) == 0) return false;
  commands_->skip_error(cpu);
  write(cpu, reg::gerrorn, raised);
  return true;
}

}  // namespace gnomon::guest
