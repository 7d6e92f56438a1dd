// SPDX-License-Identifier: Apache-2.0
#include "models/iommu/vtd/scalable_mode.hpp"

#include <algorithm>

#include "models/iommu/vtd/answer.hpp"

namespace gnomon::iommu {
namespace {

using vtd::FaultReason;
using vtd::TranslationGranularity;

constexpr std::uint32_t max_ways = 4;

CacheKey key_of(SourceId sid) {
  return make_key({}, 0, sid.value);
}
CacheKey key_of(SourceId sid, Pasid pasid) {
  return make_key({{}, pasid}, 0, sid.value);
}

bool by_first_stage(const vtd::PasidTableEntry& e) {
  return e.pgtt == TranslationGranularity::first_stage || e.pgtt == TranslationGranularity::nested;
}

/// What a failed second-stage walk, which speaks of legacy mode, is called in scalable mode.
Located in_scalable_terms(const WalkResult& r, bool from_root, Access access) {
  if (!r.fault) return {std::nullopt, r.mapping};
  switch (*r.fault) {
    case FaultReason::paging_entry_inaccessible:
      return {r.reads == 1 && from_root ? FaultReason::second_stage_root_inaccessible
                                        : FaultReason::second_stage_inaccessible,
              {}};
    case FaultReason::paging_entry_reserved: return {FaultReason::second_stage_reserved, {}};
    default: break;
  }
  if (r.not_present) return {FaultReason::second_stage_not_present, {}};
  return {
      access == Access::read ? FaultReason::scalable_read_not_permitted : FaultReason::scalable_write_not_permitted,
      {}};
}

WalkStart second_stage_root(const vtd::PasidTableEntry& entry) {
  return {vtd::levels_of_aw(entry.aw), entry.ssptptr, pgtable::read_write};
}

}  // namespace

/// Walks as hardware does: through the caches, counting, setting flags.
struct ScalableMode::LivePort {
  ScalableMode& mode;
  const vtd::PasidTableEntry& entry;
  CacheTag tag;
  Iova iova;
  Translation& t;

  std::optional<std::uint64_t> read(Hpa address) {
    ++t.walk_reads;
    return read_table<std::uint64_t>(mode.memory_, address);
  }
  void set(Hpa address, std::uint64_t value) {
    ++t.walk_writes;
    mode.memory_.write(address, value);
  }
  Located second_stage(Gpa gpa, Access access) { return mode.walk_second_stage(entry, Iova{gpa.value}, access, t); }
  void entered(const WalkStart& table) {
    if (mode.first_stage_cache_.insert(tag, iova, table)) ++t.walk_evicted;
  }
};

/// Walks as software would: what the tables say.
struct ScalableMode::TruthPort {
  const ScalableMode& mode;
  const vtd::PasidTableEntry& entry;

  std::optional<std::uint64_t> read(Hpa address) { return read_table<std::uint64_t>(mode.memory_, address); }
  void set(Hpa /*address*/, std::uint64_t /*value*/) {}
  Located second_stage(Gpa gpa, Access access) {
    return in_scalable_terms(walk(
                                 mode.second_format_, second_stage_root(entry), Iova{gpa.value}, access,
                                 [this](Hpa a) { return read(a); }, [](const WalkStart&) {}),
                             true, access);
  }
  void entered(const WalkStart& /*table*/) {}
};

ScalableMode::ScalableMode(const IommuConfig& config, PhysicalMemory& memory, Iotlb& iotlb, WalkCache& second_stage)
    : config_(config),
      memory_(memory),
      iotlb_(iotlb),
      second_stage_cache_(second_stage),
      second_format_{config.host_address_width, config.large_pages, config.snoop_control},
      first_stage_cache_(config),
      contexts_(config.context_cache_entries / std::min(config.context_cache_entries, max_ways),
                std::min(config.context_cache_entries, max_ways)),
      pasids_(config.pasid_cache_entries / std::min(config.pasid_cache_entries, max_ways),
              std::min(config.pasid_cache_entries, max_ways)) {}

std::optional<ScalableMode::Fault> ScalableMode::translate(Hpa root, SourceId sid, Iova iova, Access access,
                                                           Translation& t) {
  vtd::PasidTableEntry entry;
  Pasid pasid;
  if (const auto fault = find_pasid(root, sid, t, entry, pasid)) return fault;
  t.domain = entry.did;
  if (const auto reason = translate_by(entry, pasid, iova, access, t)) return Fault{*reason, entry.fpd};
  return std::nullopt;
}

// `entry` comes with the FPD of all that led to it.
std::optional<ScalableMode::Fault> ScalableMode::find_pasid(Hpa root, SourceId sid, Translation& t,
                                                            vtd::PasidTableEntry& entry, Pasid& pasid) {
  vtd::ScalableContextEntry context;
  const vtd::ScalableContextEntry* known = contexts_.find(key_of(sid));
  t.context_hit = known != nullptr;
  if (known != nullptr) {
    context = *known;
  } else {
    const auto fetched = fetch_context(root, sid);
    t.context_reads = fetched.reads;
    if (fetched.fault) return Fault{*fetched.fault, fetched.fpd};
    context = fetched.entry;
    contexts_.insert(key_of(sid), context);
  }
  pasid = Pasid{context.rid_pasid};
  if (const vtd::PasidTableEntry* cached = pasids_.find(key_of(sid, pasid))) {
    entry = *cached;
  } else {
    t.context_hit = false;
    const auto fetched = fetch_pasid(context);
    t.context_reads = static_cast<std::uint8_t>(t.context_reads + fetched.reads);
    if (fetched.fault) return Fault{*fetched.fault, context.fpd || fetched.fpd};
    entry = fetched.entry;
    entry.fpd = fetched.fpd;
    pasids_.insert(key_of(sid, pasid), entry);
  }
  entry.fpd = entry.fpd || context.fpd;
  return std::nullopt;
}

std::optional<vtd::FaultReason> ScalableMode::check_address(const vtd::PasidTableEntry& entry, Iova iova) const {
  if (by_first_stage(entry)) {
    if (!vtd::is_canonical(iova, vtd::levels_of_fspm(entry.fspm))) return FaultReason::address_not_canonical;
  } else if ((iova.value >> second_bits(entry)) != 0) {
    return FaultReason::scalable_address_beyond_mgaw;
  }
  return std::nullopt;
}

std::optional<vtd::FaultReason> ScalableMode::translate_by(const vtd::PasidTableEntry& entry, Pasid pasid,
                                                           Iova iova, Access access, Translation& t) {
  if (const auto reason = check_address(entry, iova)) return reason;
  if (entry.pgtt == TranslationGranularity::pass_through) {
    answer_pass_through(t, iova, (std::uint64_t{1} << second_bits(entry)) - 1);
    return std::nullopt;
  }
  const bool first = by_first_stage(entry);
  const CacheTag tag{entry.did, first ? pasid : no_pasid};
  pgtable::Mapping mapping;
  const auto cached = iotlb_.lookup(tag, iova);
  t.iotlb_hit = cached && allows(cached->permissions, access);
  if (t.iotlb_hit) {
    mapping = *cached;
  } else if (first) {
    const FirstStageFormat format = first_format(entry);
    LivePort port{*this, entry, tag, iova, t};
    FirstStageWalk walk(format, port, iova, access);
    const unsigned levels = vtd::levels_of_fspm(entry.fspm);
    const auto known = first_stage_cache_.lookup(tag, iova, levels);
    const bool usable = known && allows(known->permissions, access);
    const unsigned level = usable ? known->level : levels;
    const FirstStageResult found = usable ? walk.from_cached(*known) : walk.from_root(entry.fsptptr, levels);
    t.walk_level = static_cast<std::uint8_t>(level);
    if (found.fault) return found.fault;
    mapping = found.mapping;
  } else {
    const Located found = walk_second_stage(entry, iova, access, t);
    if (found.fault) return found.fault;
    mapping = found.mapping;
  }
  if (in_interrupt_range(mapping.hpa.value)) return FaultReason::output_in_interrupt_range;
  if (!t.iotlb_hit) t.iotlb_evicted = iotlb_.insert(tag, iova, mapping);
  answer_translated(t, iova, mapping);
  t.bytes = std::min(t.bytes, up_to_interrupt_range(Iova{mapping.hpa.value}, mapping.hpa.value + (t.bytes - 1)));
  return std::nullopt;
}

// Of the request itself, or on behalf of the first stage; the paging-structure caches are the domain's either way.
Located ScalableMode::walk_second_stage(const vtd::PasidTableEntry& entry, Iova iova, Access access,
                                        Translation& t) {
  const CacheTag tag{entry.did, no_pasid};
  WalkStart start = second_stage_root(entry);
  const unsigned levels = start.level;
  const auto known = second_stage_cache_.lookup(tag, iova, levels);
  const bool usable = known && allows(known->permissions, access);
  if (usable) start = *known;
  t.walk_level = static_cast<std::uint8_t>(start.level);
  const WalkResult result = walk(
      second_format_, start, iova, access, [this](Hpa a) { return read_table<std::uint64_t>(memory_, a); },
      [&](const WalkStart& table) {
        if (second_stage_cache_.insert(tag, iova, table)) ++t.walk_evicted;
      });
  t.walk_reads = static_cast<std::uint8_t>(t.walk_reads + result.reads);
  return in_scalable_terms(result, !usable, access);
}

unsigned ScalableMode::second_bits(const vtd::PasidTableEntry& entry) const {
  return std::min<unsigned>(config_.address_width, vtd::level_shift(vtd::levels_of_aw(entry.aw) + 1));
}

FirstStageFormat ScalableMode::first_format(const vtd::PasidTableEntry& entry) const {
  const bool nested = entry.pgtt == TranslationGranularity::nested;
  return {config_.host_address_width, nested ? second_bits(entry) : 0, config_.first_stage_1g, entry.nxe,
          entry.eafe};
}

std::optional<pgtable::Mapping> ScalableMode::resolve(Hpa root, SourceId sid, Iova iova, Access access) const {
  const auto context = fetch_context(root, sid);
  if (context.fault) return std::nullopt;
  const auto pasid = fetch_pasid(context.entry);
  if (pasid.fault || pasid.entry.pgtt == TranslationGranularity::pass_through) return std::nullopt;
  const vtd::PasidTableEntry& entry = pasid.entry;
  if (check_address(entry, iova)) return std::nullopt;
  TruthPort port{*this, entry};
  std::optional<FaultReason> fault;
  pgtable::Mapping mapping;
  if (by_first_stage(entry)) {
    const FirstStageFormat format = first_format(entry);
    const FirstStageResult found =
        FirstStageWalk(format, port, iova, access).from_root(entry.fsptptr, vtd::levels_of_fspm(entry.fspm));
    fault = found.fault;
    mapping = found.mapping;
  } else {
    const Located found = port.second_stage(Gpa{iova.value}, access);
    fault = found.fault;
    mapping = found.mapping;
  }
  if (fault || in_interrupt_range(mapping.hpa.value)) return std::nullopt;
  return mapping;
}

}  // namespace gnomon::iommu
