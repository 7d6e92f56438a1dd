// SPDX-License-Identifier: Apache-2.0
// ScalableMode's tables: root, context, PASID directory, PASID table, and the caches of them.
#include "models/iommu/vtd/answer.hpp"
#include "models/iommu/vtd/scalable_mode.hpp"

namespace gnomon::iommu {

using vtd::FaultReason;
using vtd::TranslationGranularity;

// Section 3.4.3. FPD is set only where a context entry was read.
ScalableMode::Fetched<vtd::ScalableContextEntry> ScalableMode::fetch_context(Hpa root, SourceId sid) const {
  Fetched<vtd::ScalableContextEntry> r;
  const unsigned bus = sid.value >> 8;
  const unsigned devfn = sid.value & 0xffu;
  const bool upper = devfn >= 0x80;
  const auto fail = [&r](FaultReason reason) {
    r.fault = reason;
    return r;
  };
  r.reads = 1;
  const auto raw_root = read_table<vtd::Bits128>(memory_, root + bus * sizeof(vtd::Bits128));
  if (!raw_root) return fail(FaultReason::scalable_root_inaccessible);
  const vtd::ScalableRootEntry entry = vtd::decode_scalable_root_entry(*raw_root);
  if (!(upper ? entry.up : entry.lp)) return fail(FaultReason::scalable_root_not_present);
  if (vtd::scalable_root_entry_reserved_set(*raw_root, upper, config_.host_address_width)) {
    return fail(FaultReason::scalable_root_reserved);
  }
  r.reads = 2;
  const Hpa table = upper ? entry.uctp : entry.lctp;
  const auto raw = read_table<vtd::Bits256>(memory_, table + (devfn & 0x7fu) * sizeof(vtd::Bits256));
  if (!raw) return fail(FaultReason::scalable_context_inaccessible);
  r.entry = vtd::decode_scalable_context_entry(*raw);
  r.fpd = r.entry.fpd;
  if (!r.entry.p) return fail(FaultReason::scalable_context_not_present);
  // Without device TLB, page requests and supervisor requests their bits are reserved.
  const bool unsupported = (r.entry.dte && !config_.device_tlb) || r.entry.pre || r.entry.rid_priv;
  if (unsupported || vtd::scalable_context_entry_reserved_set(*raw, config_.host_address_width)) {
    return fail(FaultReason::scalable_context_reserved);
  }
  if (vtd::pasid_directory_index(r.entry.rid_pasid) >= vtd::pasid_directory_entries(r.entry.pdts) ||
      (r.entry.rid_pasid >> config_.pasid_bits) != 0) {
    return fail(FaultReason::rid_pasid_invalid);
  }
  return r;
}

// Section 3.4.3. FPD is the directory entry's or the table entry's.
ScalableMode::Fetched<vtd::PasidTableEntry> ScalableMode::fetch_pasid(
    const vtd::ScalableContextEntry& context) const {
  Fetched<vtd::PasidTableEntry> r;
  const auto fail = [&r](FaultReason reason) {
    r.fault = reason;
    return r;
  };
  const std::uint64_t slot = vtd::pasid_directory_index(context.rid_pasid) * sizeof(std::uint64_t);
  r.reads = 1;
  const auto raw_directory = read_table<std::uint64_t>(memory_, context.pasiddirptr + slot);
  if (!raw_directory) return fail(FaultReason::pasid_directory_inaccessible);
  const vtd::PasidDirectoryEntry directory = vtd::decode_pasid_directory_entry(*raw_directory);
  r.fpd = directory.fpd;
  if (!directory.p) return fail(FaultReason::pasid_directory_not_present);
  if (vtd::pasid_directory_entry_reserved_set(*raw_directory, config_.host_address_width)) {
    return fail(FaultReason::pasid_directory_reserved);
  }
  r.reads = 2;
  const auto raw = read_table<vtd::Bits512>(
      memory_, directory.smptblptr + vtd::pasid_table_index(context.rid_pasid) * sizeof(vtd::Bits512));
  if (!raw) return fail(FaultReason::pasid_entry_inaccessible);
  r.entry = vtd::decode_pasid_table_entry(*raw);
  r.fpd = r.fpd || r.entry.fpd;
  if (!r.entry.p) return fail(FaultReason::pasid_entry_not_present);
  if (vtd::pasid_table_entry_reserved_set(*raw, config_.host_address_width) || unsupported_set(r.entry)) {
    return fail(FaultReason::pasid_entry_reserved);
  }
  if (!supported(r.entry)) return fail(FaultReason::pasid_entry_invalid);
  return r;
}

/// Bits that are reserved because this unit reports no SRS, ERS, SSADS, or EAFS where configured so.
bool ScalableMode::unsupported_set(const vtd::PasidTableEntry& e) const {
  return e.sre || e.ere || e.ssade || (e.eafe && !config_.extended_accessed);
}

bool ScalableMode::supported(const vtd::PasidTableEntry& e) const {
  const unsigned first_levels = vtd::levels_of_fspm(e.fspm);
  const bool first =
      config_.first_stage && (first_levels == 4 || (first_levels == 5 && config_.first_stage_5_levels));
  // SAGAW's bit n stands for AW encoding n.
  const bool second = vtd::levels_of_aw(e.aw) != 0 && (config_.sagaw >> e.aw & 1) != 0;
  switch (e.pgtt) {
    case TranslationGranularity::first_stage: return first;
    case TranslationGranularity::second_stage:
    case TranslationGranularity::pass_through: return second;
    case TranslationGranularity::nested: return config_.nested && first && second;
  }
  return false;
}

std::uint32_t ScalableMode::invalidate_contexts(SourceId sid, std::uint64_t compared) {
  return contexts_.erase_if([&](const CacheKey& key, const vtd::ScalableContextEntry&) {
    return ((key.number ^ sid.value) & compared) == 0;
  });
}

std::uint32_t ScalableMode::invalidate(const vtd::PasidCacheInvalidate& d) {
  return pasids_.erase_if([&](const CacheKey& key, const vtd::PasidTableEntry& e) {
    switch (d.g) {
      case vtd::PasidCacheGranularity::global: return true;
      case vtd::PasidCacheGranularity::domain: return e.did == d.did;
      case vtd::PasidCacheGranularity::pasid: return e.did == d.did && key.pasid() == Pasid{d.pasid};
    }
    return true;
  });
}

}  // namespace gnomon::iommu
