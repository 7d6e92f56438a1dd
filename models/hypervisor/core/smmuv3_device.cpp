// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/core/smmuv3_device.hpp"

#include <algorithm>
#include <stdexcept>
#include <variant>

namespace gnomon::hypervisor {

namespace {

namespace reg = smmuv3::reg;
namespace vq = smmuv3::virtual_queue;

constexpr std::uint32_t every_domain = ~std::uint32_t{0};
constexpr std::uint64_t whole_domain = ~std::uint64_t{0};
/// Told with a context descriptor, which says itself how deep its tables are.
constexpr unsigned levels_of_guest = 4;
constexpr std::uint64_t queue_base_writable = smmuv3::mask(51, 5) | smmuv3::mask(4, 0);

ServedCommand configured() {
  return {ServedCommand::Kind::configure, 0, {}, 0};
}
ServedCommand invalidated(std::uint32_t domain, Iova iova, std::uint64_t bytes) {
  return {ServedCommand::Kind::invalidate, domain, iova, bytes};
}

}  // namespace

void Smmuv3Device::add_endpoint(SourceId source, ShadowTarget& target) {
  if (find(smmuv3::stream_of(source)) != nullptr) throw std::invalid_argument("the SMMU has this endpoint already");
  endpoints_.push_back({source, &target});
  target.set_bypass(true);
}

Smmuv3Device::Endpoint* Smmuv3Device::find(smmuv3::StreamId sid) {
  const auto found = std::find_if(endpoints_.begin(), endpoints_.end(),
                                  [&](const Endpoint& e) { return smmuv3::stream_of(e.source) == sid; });
  return found == endpoints_.end() ? nullptr : &*found;
}

std::uint32_t Smmuv3Device::read_word(std::uint32_t offset) const {
  switch (offset) {
    case reg::idr0: {
      smmuv3::Idr0 r;
      r.s2p = false;  // the one there is, is the host's
      r.ats = config_.device_tlb;
      r.msi = config_.msi;
      r.sev = false;
      r.vmid16 = false;
      return smmuv3::encode(r);
    }
    case reg::idr1: return smmuv3::encode(smmuv3::Idr1{16, 0, config_.queue_log2, config_.queue_log2});
    case reg::idr3: return config_.range_invalidation ? smmuv3::idr3::ril : 0;
    case reg::idr5: return smmuv3::idr5::gran4k | 5;
    case reg::cr0:
    case reg::cr0ack: return cr0_;
    case reg::cr1: return cr1_;
    case reg::cr2: return cr2_;
    case reg::gbpa: return gbpa_;
    case reg::irq_ctrl:
    case reg::irq_ctrlack: return irq_ctrl_;
    case reg::gerror: return queue_.error;
    case reg::gerrorn: return queue_.acknowledged;
    case reg::strtab_base: return smmuv3::low_half(stream_table_);
    case reg::strtab_base + 4: return smmuv3::high_half(stream_table_);
    case reg::strtab_base_cfg: return stream_table_config_;
    case reg::cmdq_base: return smmuv3::low_half(queue_.base);
    case reg::cmdq_base + 4: return smmuv3::high_half(queue_.base);
    case reg::cmdq_prod: return queue_.prod;
    case reg::cmdq_cons: return queue_.cons;
    case reg::eventq_base: return smmuv3::low_half(event_queue_);
    case reg::eventq_base + 4: return smmuv3::high_half(event_queue_);
    case reg::eventq_prod: return event_prod_;
    case reg::eventq_cons: return event_cons_;
    default: return 0;
  }
}

void Smmuv3Device::write_word(std::uint32_t offset, std::uint32_t value) {
  switch (offset) {
    case reg::cr0:
      cr0_ = value & smmuv3::cr0::writable;
      queue_.enabled = (cr0_ & smmuv3::cr0::cmdqen) != 0;
      break;
    case reg::cr1: cr1_ = value; break;
    case reg::cr2: cr2_ = value; break;
    case reg::gbpa:
      if ((value & smmuv3::gbpa::update) != 0) gbpa_ = value & ~smmuv3::gbpa::update;
      break;
    case reg::irq_ctrl: irq_ctrl_ = value; break;
    case reg::gerrorn: queue_.acknowledged = value & smmuv3::gerror::cmdq_err; break;
    case reg::strtab_base:
    case reg::strtab_base + 4:
      smmuv3::set_half(stream_table_, offset != reg::strtab_base, value, smmuv3::table_address_mask);
      break;
    case reg::strtab_base_cfg: stream_table_config_ = value; break;
    case reg::cmdq_base:
    case reg::cmdq_base + 4: smmuv3::set_half(queue_.base, offset != reg::cmdq_base, value, queue_base_writable); break;
    case reg::cmdq_prod: queue_.prod = value; break;
    case reg::cmdq_cons:
      if (!queue_.enabled) queue_.cons = value;
      break;
    case reg::eventq_base:
    case reg::eventq_base + 4:
      smmuv3::set_half(event_queue_, offset != reg::eventq_base, value, queue_base_writable);
      break;
    case reg::eventq_prod: event_prod_ = value; break;
    case reg::eventq_cons: event_cons_ = value; break;
    default:
      if (queues_ != nullptr && offset >= vq::page1 && offset < vq::end)
        write_queue_page(offset - vq::page1, value);
      break;
  }
}

// The upper half comes last: then the base is known, and the host pins the queue and gives it to the hardware.
void Smmuv3Device::write_queue_page(std::uint32_t offset, std::uint32_t value) {
  const unsigned queue = offset / vq::stride;
  const std::uint32_t at = offset % vq::stride;
  if (queue >= vq::queues || at > vq::base + 4) return;
  const bool upper = at != vq::base;
  smmuv3::set_half(given_[queue], upper, value, queue_base_writable);
  if (!upper) return;
  const Gpa base{smmuv3::queue_base(given_[queue])};
  const unsigned log2 = smmuv3::queue_log2(given_[queue]);
  const std::uint64_t bytes = smmuv3::command_bytes << log2;
  if (ram_.contains(base, bytes) && ram_.contiguous_bytes(base) >= bytes) queues_->give_queue(queue, base, log2);
}

std::uint64_t Smmuv3Device::read_register(std::uint32_t offset, unsigned bytes) {
  if (bytes != 8) return read_word(offset);
  return read_word(offset) | std::uint64_t{read_word(offset + 4)} << 32;
}

void Smmuv3Device::write_register(std::uint32_t offset, std::uint64_t value, unsigned bytes) {
  write_word(offset, smmuv3::low_half(value));
  if (bytes == 8) write_word(offset + 4, smmuv3::high_half(value));
}

ServedCommand Smmuv3Device::serve(VmmPort& port) {
  if (!pending()) return {};
  const Gpa at{queue_.head().value};
  if (!ram_.contains(at, smmuv3::command_bytes)) {
    queue_.fail(smmuv3::CommandError::abort);
    return {ServedCommand::Kind::illegal, 0, {}, 0};
  }
  const auto served = run(smmuv3::decode_command(ram_.read<smmuv3::Bits128>(at)), port);
  if (!served) {
    queue_.fail(smmuv3::CommandError::illegal);
    return {ServedCommand::Kind::illegal, 0, {}, 0};
  }
  queue_.consume();
  return *served;
}

void Smmuv3Device::forward(Endpoint& endpoint, Iova iova, std::uint64_t bytes, bool leaf) {
  if (config_.faults.drop_invalidations) return;
  ++forwarded_;
  endpoint.target->forward_invalidation(iova, bytes, leaf);
}

// Whoever is nested in a stage 1 of this ASID. Of a guest the host has one VMID a device, so each is told.
void Smmuv3Device::forward_asid(std::uint16_t asid, Iova iova, std::uint64_t bytes, bool leaf) {
  for (Endpoint& e : endpoints_) {
    if (e.nested && e.asid == asid) forward(e, iova, bytes, leaf);
  }
}
void Smmuv3Device::forward_all() {
  for (Endpoint& e : endpoints_) {
    if (e.nested) forward(e, Iova{0}, whole_domain, false);
  }
}

// What is not a guest's to ask for, stage 2's commands, is illegal here: the unit says that it has none.
std::optional<ServedCommand> Smmuv3Device::run(const smmuv3::Command& command, VmmPort& port) {
  using namespace smmuv3;
  if (const auto* c = std::get_if<CmdSync>(&command)) {
    if (config_.msi && c->cs == SyncSignal::irq && c->msi_address != 0) {
      port.write_guest(Gpa{c->msi_address}, c->msi_data, sizeof(c->msi_data));
    }
    return ServedCommand{ServedCommand::Kind::wait, every_domain, {}, 0};
  }
  const auto bytes_of = [&](const TlbiRange& r) { return config_.range_invalidation ? r.bytes() : page_size; };
  if (const auto* c = std::get_if<TlbiNhVa>(&command)) {
    forward_asid(c->asid, Iova{c->range.address}, bytes_of(c->range), c->range.leaf);
    return invalidated(c->asid, Iova{c->range.address}, bytes_of(c->range));
  }
  if (const auto* c = std::get_if<TlbiNhVaa>(&command)) {
    for (Endpoint& e : endpoints_) {
      if (e.nested) forward(e, Iova{c->range.address}, bytes_of(c->range), c->range.leaf);
    }
    return invalidated(every_domain, Iova{c->range.address}, bytes_of(c->range));
  }
  if (const auto* c = std::get_if<TlbiNhAsid>(&command)) {
    forward_asid(c->asid, Iova{0}, whole_domain, false);
    return invalidated(c->asid, {}, whole_domain);
  }
  if (std::holds_alternative<TlbiNhAll>(command) || std::holds_alternative<TlbiNsnhAll>(command)) {
    forward_all();
    return invalidated(every_domain, {}, whole_domain);
  }
  if (const auto* c = std::get_if<CfgiSte>(&command)) {
    configure(c->sid, c->sid, port);
    return configured();
  }
  if (const auto* c = std::get_if<CfgiSteRange>(&command)) {
    const std::uint64_t span = c->range >= 31 ? std::uint64_t{1} << 32 : std::uint64_t{2} << c->range;
    const std::uint64_t first = c->sid & ~(span - 1);
    configure(first, first + (span - 1), port);
    return configured();
  }
  if (const auto* c = std::get_if<CfgiCd>(&command)) {
    configure_context(c->sid, port);
    return configured();
  }
  if (const auto* c = std::get_if<CfgiCdAll>(&command)) {
    configure_context(c->sid, port);
    return configured();
  }
  if (const auto* c = std::get_if<AtcInv>(&command)) {
    if (!config_.device_tlb) return std::nullopt;
    const bool all = c->size >= atc_inv_all;
    Endpoint* const endpoint = find(c->sid);
    if (endpoint != nullptr && endpoint->nested) {
      forward(*endpoint, all ? Iova{0} : Iova{c->address}, all ? whole_domain : page_size << c->size, true);
    }
    return configured();
  }
  return std::nullopt;
}

std::optional<smmuv3::StreamTableEntry> Smmuv3Device::read_entry(smmuv3::StreamId sid, VmmPort& port) const {
  const auto config = smmuv3::decode_stream_table_config(stream_table_config_);
  if ((std::uint64_t{sid} >> config.log2size) != 0) return std::nullopt;
  std::uint64_t table = stream_table_;
  std::uint64_t index = sid;
  if (config.two_level && config.split < config.log2size) {
    const auto first =
        smmuv3::decode_stream_table_l1(port.read_entry(Gpa{table + (sid >> config.split) * sizeof(std::uint64_t)}));
    index = sid & ((1u << config.split) - 1);
    if (first.span == 0 || first.span > config.split + 1u || (index >> (first.span - 1)) != 0) return std::nullopt;
    table = first.l2_ptr;
  }
  smmuv3::Bits512 raw;
  const Gpa at{table + index * smmuv3::stream_table_entry_bytes};
  if (!ram_.contains(at, sizeof(raw))) return std::nullopt;
  for (unsigned word = 0; word != raw.qw.size(); ++word)
    raw.qw[word] = port.read_entry(at + word * sizeof(raw.qw[0]));
  return smmuv3::decode_stream_table_entry(raw);
}

// An entry that cannot be read is one that aborts.
void Smmuv3Device::configure(std::uint64_t first, std::uint64_t last, VmmPort& port) {
  for (Endpoint& endpoint : endpoints_) {
    const smmuv3::StreamId sid = smmuv3::stream_of(endpoint.source);
    if (sid < first || sid > last) continue;
    const smmuv3::StreamTableEntry entry = read_entry(sid, port).value_or(smmuv3::StreamTableEntry{});
    const bool was_nested = endpoint.nested;
    endpoint.nested = entry.v && entry.config == smmuv3::StreamConfig::stage1;
    if (endpoint.nested) {
      endpoint.context = Gpa{entry.s1_context_ptr};
      attach(endpoint, port);
    } else if (entry.v && entry.config == smmuv3::StreamConfig::bypass) {
      if (was_nested) endpoint.target->set_bypass(true);
    } else {
      endpoint.target->block();
    }
  }
}

void Smmuv3Device::configure_context(smmuv3::StreamId sid, VmmPort& port) {
  Endpoint* const endpoint = find(sid);
  if (endpoint != nullptr && endpoint->nested) attach(*endpoint, port);
}

// The ASID is needed to know whose a TLBI is.
void Smmuv3Device::attach(Endpoint& endpoint, VmmPort& port) {
  endpoint.asid = static_cast<std::uint16_t>(port.read_entry(endpoint.context) >> 48);
  endpoint.target->nest(endpoint.context, levels_of_guest);
}

}  // namespace gnomon::hypervisor
