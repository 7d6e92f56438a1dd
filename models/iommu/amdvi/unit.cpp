// SPDX-License-Identifier: Apache-2.0
// AmdviUnit's translation path. AMD IOMMU specification 48882 rev 3, sections 2.1 and 2.2.
#include "models/iommu/amdvi/unit.hpp"

#include <algorithm>
#include <stdexcept>

namespace gnomon::iommu {
namespace {

constexpr std::uint64_t interrupt_first = 0xfee00000;
constexpr std::uint64_t interrupt_end = 0xfef00000;

constexpr bool in_interrupt_range(Iova iova) {
  return iova.value - interrupt_first < interrupt_end - interrupt_first;
}

/// Bytes from `iova` to `last`, cut where the interrupt range begins.
std::uint64_t up_to_interrupt_range(Iova iova, std::uint64_t last) {
  return (iova.value < interrupt_first ? std::min(last, interrupt_first - 1) : last) - iova.value + 1;
}

void pass_through(Translation& t, Iova iova, pgtable::Permissions permissions) {
  t.kind = Translation::Kind::pass_through;
  t.hpa = Hpa{iova.value};
  t.bytes = up_to_interrupt_range(iova, ~std::uint64_t{0});
  t.permissions = permissions;
}

void translated(Translation& t, Iova iova, const pgtable::Mapping& m, pgtable::Permissions device) {
  t.kind = Translation::Kind::translated;
  t.hpa = m.hpa;
  t.bytes = up_to_interrupt_range(iova, iova.value | (m.page_bytes - 1));
  t.permissions = m.permissions & device;
}

pgtable::Permissions permissions_of(const amdvi::DeviceTableEntry& dte) {
  return {dte.ir, dte.iw};
}

const IommuConfig& validated(const IommuConfig& config) {
  validate(config);
  return config;
}
const AmdviConfig& validated(const AmdviConfig& config) {
  if (config.hats > amdvi::HostTableLevels::six) throw std::invalid_argument("hats must be four, five or six");
  return config;
}

}  // namespace

AmdviUnit::AmdviUnit(const IommuConfig& config, PhysicalMemory& memory, const AmdviConfig& amdvi)
    : config_(validated(config)),
      amdvi_(validated(amdvi)),
      memory_(memory),
      iotlb_(config.iotlb_sets, config.iotlb_ways),
      walk_cache_(config),
      device_table_cache_(config.context_cache_entries),
      log_(memory) {}

Translation AmdviUnit::translate(SourceId device, Iova iova, Access access) {
  const bool enabled = (control_ & amdvi::control::iommu_en) != 0;
  Translation t;
  if (in_interrupt_range(iova)) {
    t.bytes = interrupt_end - iova.value;
    t.kind =
        access == Access::write ? Translation::Kind::interrupt_request : Translation::Kind::unsupported_request;
    if (enabled && access == Access::read) fault(t, amdvi::InvalidDeviceRequest{device, false, {}, iova});
    return t;
  }
  if (!enabled) {
    pass_through(t, iova, pgtable::read_write);
    return t;
  }

  DeviceTableCache::Entry entry;
  if (const DeviceTableCache::Entry* cached = device_table_cache_.lookup(device)) {
    entry = *cached;
    t.context_hit = true;
  } else {
    const DteFetch fetched = fetch_dte(device, iova, access);
    t.context_reads = fetched.reads;
    if (fetched.fault) return fault(t, *fetched.fault);
    entry.dte = fetched.entry;
    device_table_cache_.insert(device, entry);
  }
  const amdvi::DeviceTableEntry& dte = entry.dte;
  if (!dte.v) {
    pass_through(t, iova, pgtable::read_write);
    return t;
  }
  t.domain = dte.domain;

  amdvi::IoPageFault event;
  event.device = device;
  event.domain = dte.domain;
  event.rw = access == Access::write;
  event.address = iova;
  if (!dte.tv) return page_fault(t, entry, event);
  if (!allows(permissions_of(dte), access)) {
    event.pr = event.pe = true;
    return page_fault(t, entry, event);
  }
  if (dte.mode == 0) {
    pass_through(t, iova, permissions_of(dte));
    return t;
  }
  if (!amdvi::in_span(iova, dte.mode)) return page_fault(t, entry, event);

  const auto cached = iotlb_.lookup({dte.domain, no_pasid}, iova);
  if (cached && allows(cached->permissions, access)) {
    t.iotlb_hit = true;
    translated(t, iova, *cached, permissions_of(dte));
    return t;
  }
  // A cached translation that does not permit the access is not trusted to deny it: the walk starts at the root.
  if (const auto failed = walk_and_fill(dte, iova, access, !cached, t)) return walk_fault(t, entry, *failed, event);
  return t;
}

// Not-present and erroneous entries are not cached: NpCache is 0. The walk that failed is returned.
std::optional<AmdviWalk> AmdviUnit::walk_and_fill(const amdvi::DeviceTableEntry& dte, Iova iova, Access access,
                                                  bool use_walk_cache, Translation& t) {
  const CacheTag tag{dte.domain, no_pasid};
  WalkStart start{dte.mode, dte.root, pgtable::read_write};
  if (use_walk_cache) {
    const auto known = walk_cache_.lookup(tag, iova, dte.mode);
    if (known && allows(known->permissions, access)) start = *known;
  }
  t.walk_level = static_cast<std::uint8_t>(start.level);
  const AmdviWalk result = walk_amdvi(
      start, iova, access, [this](Hpa a) { return read_memory<std::uint64_t>(a); },
      [&](const WalkStart& table) {
        if (walk_cache_.insert(tag, iova, table)) ++t.walk_evicted;
      });
  t.walk_reads = static_cast<std::uint8_t>(result.reads);
  if (result.end != AmdviWalk::End::leaf) return result;
  // Cached without the device's own permissions: devices of a domain share the entry.
  t.iotlb_evicted = iotlb_.insert(tag, iova, result.mapping);
  translated(t, iova, result.mapping, permissions_of(dte));
  return std::nullopt;
}

Translation& AmdviUnit::fault(Translation& t, const amdvi::Event& event, bool logged) {
  t.kind = Translation::Kind::fault;
  t.reason = amdvi::code_of(amdvi::encode(event));
  if (!logged) return t;
  const EventLog::Recorded recorded = log_.record(event, (control_ & amdvi::control::event_int_en) != 0);
  t.recorded = recorded.recorded;
  t.fault_event = recorded.interrupt;
  return t;
}

Translation& AmdviUnit::page_fault(Translation& t, const DeviceTableCache::Entry& entry,
                                   const amdvi::IoPageFault& event) {
  const bool suppressed = entry.dte.sa || (entry.dte.se && entry.fault_logged);
  if (!suppressed && entry.dte.se) device_table_cache_.insert(event.device, {entry.dte, true});
  return fault(t, event, !suppressed);
}

Translation& AmdviUnit::walk_fault(Translation& t, const DeviceTableCache::Entry& entry, const AmdviWalk& walk,
                                   amdvi::IoPageFault event) {
  switch (walk.end) {
    case AmdviWalk::End::inaccessible:
      return fault(t, amdvi::PageTabHardwareError{event.device, event.domain, false, event.rw, false,
                                                  amdvi::HardwareErrorType::master_abort, walk.entry});
    case AmdviWalk::End::not_permitted: event.pr = event.pe = true; break;
    case AmdviWalk::End::reserved_set: event.pr = event.rz = true; break;
    case AmdviWalk::End::invalid_level: event.pr = true; break;
    case AmdviWalk::End::not_present:
    case AmdviWalk::End::leaf: break;
  }
  return page_fault(t, entry, event);
}

AmdviUnit::DteFetch AmdviUnit::fetch_dte(SourceId device, Iova iova, Access access) const {
  DteFetch r;
  const bool write = access == Access::write;
  const std::uint64_t offset = device.value * amdvi::device_table_entry_bytes;
  if (offset >= amdvi::device_table_bytes(device_table_)) {
    r.fault = amdvi::IllegalDevTableEntry{device, false, write, false, false, iova};
    return r;
  }
  r.reads = 1;
  const Hpa address = amdvi::device_table_base(device_table_) + offset;
  const auto raw = read_memory<amdvi::Bits256>(address);
  if (!raw) {
    r.fault =
        amdvi::DevTabHardwareError{device, false, write, false, amdvi::HardwareErrorType::master_abort, address};
    return r;
  }
  r.entry = amdvi::decode_device_table_entry(*raw);
  if (!r.entry.v) return r;
  const bool reserved = amdvi::device_table_entry_reserved_set(*raw);
  if (reserved || r.entry.mode > most_levels()) {
    r.fault = amdvi::IllegalDevTableEntry{device, false, write, reserved, false, iova};
  }
  return r;
}

std::optional<pgtable::Mapping> AmdviUnit::resolve(SourceId device, Iova iova, Access access) const {
  if ((control_ & amdvi::control::iommu_en) == 0 || in_interrupt_range(iova)) return std::nullopt;
  const DteFetch fetched = fetch_dte(device, iova, access);
  const amdvi::DeviceTableEntry& dte = fetched.entry;
  if (fetched.fault || !dte.v || !dte.tv || dte.mode == 0) return std::nullopt;
  if (!allows(permissions_of(dte), access) || !amdvi::in_span(iova, dte.mode)) return std::nullopt;
  const AmdviWalk result = walk_amdvi(
      {dte.mode, dte.root, permissions_of(dte)}, iova, access,
      [this](Hpa a) { return read_memory<std::uint64_t>(a); }, [](const WalkStart&) {});
  if (result.end != AmdviWalk::End::leaf) return std::nullopt;
  return result.mapping;
}

}  // namespace gnomon::iommu
