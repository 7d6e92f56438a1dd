// SPDX-License-Identifier: Apache-2.0
#include "models/iommu/tegra/unit.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace gnomon::iommu {

using namespace tegra;

namespace {

const TegraConfig& validated(const TegraConfig& config) {
  if (config.soc == nullptr) throw std::invalid_argument("soc must be given");
  if (!std::has_single_bit(config.ptc_sets)) throw std::invalid_argument("ptc_sets must be a power of two");
  if (config.ptc_ways == 0) throw std::invalid_argument("ptc_ways must not be 0");
  return config;
}

constexpr pgtable::Permissions permissions_of(const Entry& e) {
  return {e.readable, e.writable};
}

constexpr bool is_swgroup_register(std::uint32_t offset) {
  return std::any_of(clients.begin(), clients.end(), [&](const Client& c) { return c.swgroup_register == offset; });
}
constexpr bool is_enable_register(std::uint32_t offset) {
  return offset - reg::translation_enable_0 < 16 || offset == reg::translation_enable_4;
}

}  // namespace

TegraSmmuUnit::TegraSmmuUnit(const TegraConfig& config, PhysicalMemory& memory)
    : config_(validated(config)),
      memory_(memory),
      tlb_(config.soc->tlb_lines),
      ptc_(config.ptc_sets, config.ptc_ways, config.soc->atom_bytes, config.coherent, memory),
      directories_(config.soc->asids) {}

std::optional<std::uint8_t> TegraSmmuUnit::address_space_of(SourceId source) const {
  const Client* client = find_client(source);
  if ((at(reg::smmu_config) & smmu_enable) == 0 || client == nullptr) return std::nullopt;
  if ((at(enable_register(client->id)) & enable_bit(client->id)) == 0) return std::nullopt;
  const std::uint32_t group = at(client->swgroup_register);
  if ((group & swgroup_enable) == 0) return std::nullopt;
  return static_cast<std::uint8_t>(group & asid_mask & (soc().asids - 1));
}

// `read(address, into, bytes)` returns the reads of memory it took.
template <class Read>
TegraSmmuUnit::Walk TegraSmmuUnit::walk(std::uint8_t asid, Iova iova, Read read) const {
  Walk w;
  const auto step = [&](const Entry& table, std::uint64_t offset, void* into, std::uint32_t bytes) {
    w.last = table;
    if (!table.present()) return false;
    w.off_memory = table.address() + page_size > memory_.size();
    if (w.off_memory) return false;
    w.reads = static_cast<std::uint8_t>(w.reads + read(Hpa{table.address() + offset}, into, bytes));
    return true;
  };
  std::uint32_t raw = 0;
  if (!step(decode_entry(directories_[asid], soc()), std::uint64_t{directory_index(iova)} * 4, &raw, 4)) return w;
  const Entry directory = decode_entry(raw, soc());
  TegraTlb::Group group;
  if (!directory.next) {
    w.last = {};
  } else if (step(directory, std::uint64_t{table_index(iova) & ~3u} * 4, group.data(), sizeof group)) {
    w.group = group;
  }
  return w;
}

Translation TegraSmmuUnit::translate(SourceId client, Iova iova, Access access) {
  Translation t;
  const auto asid = address_space_of(client);
  if (!asid) {
    t.kind = Translation::Kind::pass_through;
    t.hpa = Hpa{iova.value};
    t.bytes = ~std::uint64_t{0} - iova.value;
    t.permissions = pgtable::read_write;
    return t;
  }
  t.domain = DomainId{static_cast<std::uint16_t>(*asid + 1)};
  t.context_hit = true;
  if (iova.value >= aperture_bytes) return fault(t, ErrorType::decode_error, {}, client, iova, access);
  const auto held = tlb_.lookup(*asid, iova);
  t.iotlb_hit = held.has_value();
  std::uint32_t raw = 0;
  if (held) {
    raw = *held;
  } else {
    const Walk w = walk(*asid, iova, [&](Hpa a, void* into, std::uint32_t n) { return ptc_.read(a, into, n); });
    t.walk_reads = w.reads;
    if (w.off_memory) return fault(t, ErrorType::decode_error, w.last, client, iova, access);
    if (!w.group) return fault(t, ErrorType::invalid_smmu_page, w.last, client, iova, access);
    raw = (*w.group)[iova.page() % 4];
    const bool present = decode_entry(raw, soc()).present();
    if (present) t.iotlb_evicted = tlb_.fill(*asid, iova, *w.group);
  }
  const Entry entry = decode_entry(raw, soc());
  t.permissions = permissions_of(entry);
  if (!allows(t.permissions, access)) {
    return fault(t, ErrorType::invalid_smmu_page, entry, client, iova, access);
  }
  t.kind = Translation::Kind::translated;
  t.hpa = Hpa{entry.address() + iova.offset_in_page()};
  t.bytes = page_size - iova.offset_in_page();
  return t;
}

std::optional<pgtable::Mapping> TegraSmmuUnit::resolve(SourceId client, Iova iova, Access access) const {
  const auto asid = address_space_of(client);
  if (!asid || iova.value >= aperture_bytes) return std::nullopt;
  const Walk w = walk(*asid, iova, [&](Hpa a, void* into, std::uint32_t n) {
    std::memcpy(into, memory_.at(a, n), n);
    return 1u;
  });
  if (!w.group) return std::nullopt;
  const Entry entry = decode_entry((*w.group)[iova.page() % 4], soc());
  const pgtable::Permissions permissions = permissions_of(entry);
  if (!allows(permissions, access)) return std::nullopt;
  return pgtable::Mapping{Hpa{entry.address() + iova.offset_in_page()}, page_size, permissions};
}

// The registers keep the first failure until its interrupt is cleared.
Translation& TegraSmmuUnit::fault(Translation& t, ErrorType type, Entry entry, SourceId client, Iova iova,
                                  Access access) {
  t.kind = Translation::Kind::fault;
  t.reason = type;
  t.recorded = at(reg::interrupt_status) == 0;
  t.fault_event = t.recorded;
  if (!t.recorded) return t;
  at(reg::interrupt_status) =
      type == ErrorType::decode_error ? interrupt::decode_error : interrupt::invalid_smmu_page;
  at(reg::error_status) = encode(ErrorStatus{type, entry.readable, entry.writable, entry.nonsecure,
                                             access == Access::write, static_cast<std::uint8_t>(client.value)}) |
                          (static_cast<std::uint32_t>(iova.value >> 32) & 3u) << 20;
  at(reg::error_address) = static_cast<std::uint32_t>(iova.value);
  return t;
}

InvalidationStep TegraSmmuUnit::flush_tlb(std::uint32_t value) {
  const TlbFlush flush = decode_tlb_flush(value, soc());
  IotlbInvalidated done;
  done.bytes = aperture_bytes;
  done.invalidation_hint = true;  // the page-table cache is not touched
  done.domain = DomainId{static_cast<std::uint16_t>(flush.one_asid ? flush.asid + 1 : 0)};
  if (flush.one_asid) done.granularity = Granularity::domain;
  if (flush.match != TlbMatch::all) {
    done.granularity = flush.one_asid ? Granularity::pages : Granularity::global;
    done.iova = flush.iova;
    done.bytes = flush.match == TlbMatch::group ? group_bytes : section_bytes;
  }
  done.iotlb_dropped = tlb_.flush(flush);
  return done;
}

std::uint64_t TegraSmmuUnit::read(std::uint32_t offset, unsigned bytes) const {
  if (offset >= register_space_bytes) return 0;
  if (bytes == 8) return read(offset, 4) | read(offset + 4, 4) << 32;
  if (offset == reg::ptb_data) return directories_[at(reg::ptb_asid) & (soc().asids - 1)];
  return at(offset);
}

RegisterWrite TegraSmmuUnit::write(std::uint32_t offset, std::uint64_t value, unsigned bytes) {
  RegisterWrite w;
  if (offset >= register_space_bytes) return w;
  write_register(offset, static_cast<std::uint32_t>(value), w);
  if (bytes == 8) write_register(offset + 4, static_cast<std::uint32_t>(value >> 32), w);
  return w;
}

void TegraSmmuUnit::write_register(std::uint32_t offset, std::uint32_t value, RegisterWrite& w) {
  switch (offset) {
    case reg::interrupt_status: at(offset) &= ~value; return;
    case reg::smmu_config: at(offset) = value & smmu_enable; return;
    case reg::tlb_config:
      at(offset) = value;
      tlb_.set_active(value & tlb_active_lines_mask);
      return;
    case reg::ptc_config:
      at(offset) = value;
      ptc_.enable((value & ptc_enable) != 0);
      return;
    case reg::ptb_asid: at(offset) = value & asid_mask; return;
    case reg::ptb_data: directories_[at(reg::ptb_asid) & (soc().asids - 1)] = value; return;
    case reg::tlb_flush: w.executed = flush_tlb(value); return;
    case reg::ptc_flush_hi: at(offset) = soc().has_ptc_flush_hi() ? value & ptc_flush_hi_mask : 0; return;
    case reg::ptc_flush:
      if ((value & ptc_flush_by_address) == 0) {
        ptc_.flush_all();
      } else {
        ptc_.flush(Hpa{std::uint64_t{at(reg::ptc_flush_hi)} << 32 | (value & ~0xfu)});
      }
      return;
    default:
      if (is_swgroup_register(offset)) at(offset) = value & (swgroup_enable | asid_mask);
      if (is_enable_register(offset)) at(offset) = value;
  }
}

}  // namespace gnomon::iommu
