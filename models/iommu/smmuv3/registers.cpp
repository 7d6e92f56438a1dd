// SPDX-License-Identifier: Apache-2.0
// Smmuv3Unit's registers. IHI 0070, chapter 6; CMDQ-V as models/spec/smmuv3/virtual_queue.hpp has it.
#include "models/iommu/smmuv3/unit.hpp"

namespace gnomon::iommu {
namespace {

namespace reg = smmuv3::reg;
namespace vq = smmuv3::virtual_queue;

constexpr std::uint64_t queue_base_writable = smmuv3::mask(51, 5) | smmuv3::mask(4, 0);


}  // namespace

std::uint32_t Smmuv3Unit::read_word(std::uint32_t offset) const {
  const smmuv3::CommandQueue& commands = queues_[0];
  switch (offset) {
    case reg::idr0: {
      smmuv3::Idr0 r;
      r.s1p = smmu_.stage1;
      r.s2p = smmu_.stage2;
      r.ats = config_.device_tlb;
      r.msi = smmu_.msi;
      r.sev = smmu_.sev;
      r.st_level = smmu_.two_level_streams ? 1 : 0;
      return smmuv3::encode(r);
    }
    case reg::idr1: return smmuv3::encode(smmuv3::Idr1{smmu_.stream_bits, 0, smmu_.event_log2, smmu_.command_log2});
    case reg::idr3: return smmu_.range_invalidation ? smmuv3::idr3::ril : 0;
    case reg::idr5: return smmuv3::idr5::gran4k | smmu_.output_size;
    case reg::cr0:
    case reg::cr0ack: return cr0_;
    case reg::cr1: return cr1_;
    case reg::cr2: return cr2_;
    case reg::gbpa: return gbpa_;
    case reg::irq_ctrl:
    case reg::irq_ctrlack: return irq_ctrl_;
    case reg::gerror: return commands.error | event_error_;
    case reg::gerrorn: return commands.acknowledged | event_errorn_;
    case reg::strtab_base: return smmuv3::low_half(stream_table_);
    case reg::strtab_base + 4: return smmuv3::high_half(stream_table_);
    case reg::strtab_base_cfg: return stream_table_config_;
    case reg::cmdq_base: return smmuv3::low_half(commands.base);
    case reg::cmdq_base + 4: return smmuv3::high_half(commands.base);
    case reg::cmdq_prod: return commands.prod;
    case reg::cmdq_cons: return commands.cons;
    case reg::eventq_base: return smmuv3::low_half(events_.base());
    case reg::eventq_base + 4: return smmuv3::high_half(events_.base());
    case reg::eventq_prod: return events_.prod();
    case reg::eventq_cons: return events_.cons();
    default: return smmu_.virtual_queues && offset >= vq::interface_page ? read_virtual(offset) : 0;
  }
}

// The unit takes what is written to CR0 at once, and CR0ACK says so.
void Smmuv3Unit::write_cr0(std::uint32_t value) {
  cr0_ = value & smmuv3::cr0::writable;
  queues_[0].enabled = (cr0_ & smmuv3::cr0::cmdqen) != 0;
  events_.enable((cr0_ & smmuv3::cr0::eventqen) != 0);
}

void Smmuv3Unit::write_word(std::uint32_t offset, std::uint32_t value, RegisterWrite& w) {
  smmuv3::CommandQueue& commands = queues_[0];
  std::uint64_t base = events_.base();
  switch (offset) {
    case reg::cr0: write_cr0(value); break;
    case reg::cr1: cr1_ = value; break;
    case reg::cr2: cr2_ = value; break;
    case reg::gbpa:
      if ((value & smmuv3::gbpa::update) != 0) gbpa_ = value & ~smmuv3::gbpa::update;
      break;
    case reg::irq_ctrl: irq_ctrl_ = value & (smmuv3::irq_ctrl::gerror | smmuv3::irq_ctrl::eventq); break;
    case reg::gerrorn:
      commands.acknowledged = value & smmuv3::gerror::cmdq_err;
      event_errorn_ = value & smmuv3::gerror::eventq_abt_err;
      break;
    case reg::strtab_base:
    case reg::strtab_base + 4:
      smmuv3::set_half(stream_table_, offset != reg::strtab_base, value, smmuv3::table_address_mask);
      break;
    case reg::strtab_base_cfg: stream_table_config_ = value; break;
    case reg::cmdq_base:
    case reg::cmdq_base + 4:
      if (!commands.enabled) smmuv3::set_half(commands.base, offset != reg::cmdq_base, value, queue_base_writable);
      break;
    case reg::cmdq_prod: commands.prod = value; break;
    case reg::cmdq_cons:
      if (!commands.enabled) commands.cons = value;
      break;
    case reg::eventq_base:
    case reg::eventq_base + 4:
      smmuv3::set_half(base, offset != reg::eventq_base, value, queue_base_writable);
      events_.write_base(base);
      break;
    case reg::eventq_prod: events_.write_prod(value); break;
    case reg::eventq_cons: events_.write_cons(value); break;
    default:
      if (smmu_.virtual_queues && offset >= vq::interface_page) write_virtual(offset, value);
      break;
  }
  w.queue_pending = queued() != 0;
}

std::uint32_t Smmuv3Unit::read_virtual(std::uint32_t offset) const {
  if (offset < vq::page0) {
    const std::uint32_t at = offset - vq::interface_page;
    if (at == vq::config) return interface_config_;
    if (at == vq::status) return interface_config_ & 1;
    if (at - vq::sid_match < 4 * vq::streams) return sid_match_[(at - vq::sid_match) / 4];
    if (at - vq::sid_replace < 4 * vq::streams) return sid_replace_[(at - vq::sid_replace) / 4];
    return 0;
  }
  const bool second = offset >= vq::page1;
  const std::uint32_t at = offset - (second ? vq::page1 : vq::page0);
  if (at / vq::stride >= vq::queues) return 0;
  const smmuv3::CommandQueue& queue = queues_[1 + at / vq::stride];
  const std::uint32_t in_queue = at % vq::stride;
  if (second) return in_queue == vq::base ? smmuv3::low_half(queue.base) : in_queue == vq::base + 4 ? smmuv3::high_half(queue.base) : 0;
  switch (in_queue) {
    case vq::cons: return queue.cons;
    case vq::prod: return queue.prod;
    case vq::queue_config:
    case vq::queue_status: return queue.enabled ? 1 : 0;
    case vq::queue_gerror: return queue.error;
    case vq::queue_gerrorn: return queue.acknowledged;
    default: return 0;
  }
}

// A queue runs when its interface and itself are enabled.
void Smmuv3Unit::write_virtual(std::uint32_t offset, std::uint32_t value) {
  if (offset < vq::page0) {
    const std::uint32_t at = offset - vq::interface_page;
    if (at == vq::config) {
      interface_config_ = value & (vq::interface_config(0xffff, true) | vq::hyp_own);
      for (unsigned i = 1; (value & 1) == 0 && i != queues_.size(); ++i) queues_[i].enabled = false;
    }
    if (at - vq::sid_match < 4 * vq::streams) sid_match_[(at - vq::sid_match) / 4] = value;
    if (at - vq::sid_replace < 4 * vq::streams) sid_replace_[(at - vq::sid_replace) / 4] = value;
    return;
  }
  const bool second = offset >= vq::page1;
  const std::uint32_t at = offset - (second ? vq::page1 : vq::page0);
  if (at / vq::stride >= vq::queues) return;
  smmuv3::CommandQueue& queue = queues_[1 + at / vq::stride];
  const std::uint32_t in_queue = at % vq::stride;
  if (second) {
    if (in_queue <= vq::base + 4 && !queue.enabled)
      smmuv3::set_half(queue.base, in_queue != vq::base, value, queue_base_writable);
    return;
  }
  switch (in_queue) {
    case vq::cons:
      if (!queue.enabled) queue.cons = value;
      break;
    case vq::prod: queue.prod = value; break;
    case vq::queue_config: queue.enabled = (value & interface_config_ & 1) != 0; break;
    case vq::queue_gerrorn: queue.acknowledged = value & smmuv3::gerror::cmdq_err; break;
    default: break;
  }
}

std::uint64_t Smmuv3Unit::read(std::uint32_t offset, unsigned bytes) const {
  if (bytes != 8) return read_word(offset);
  return read_word(offset) | std::uint64_t{read_word(offset + 4)} << 32;
}

RegisterWrite Smmuv3Unit::write(std::uint32_t offset, std::uint64_t value, unsigned bytes) {
  RegisterWrite w;
  write_word(offset, smmuv3::low_half(value), w);
  if (bytes == 8) write_word(offset + 4, smmuv3::high_half(value), w);
  return w;
}

}  // namespace gnomon::iommu
