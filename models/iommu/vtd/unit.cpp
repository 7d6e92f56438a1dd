// SPDX-License-Identifier: Apache-2.0
// VtdUnit's translation path: legacy mode, and what is before both modes. VT-d specification rev 4.1, chapter 3.
#include "models/iommu/vtd/unit.hpp"

#include <algorithm>

#include "models/iommu/vtd/answer.hpp"

namespace gnomon::iommu {
namespace {

const IommuConfig& validated(const IommuConfig& config) {
  validate(config);
  return config;
}

}  // namespace

VtdUnit::VtdUnit(const IommuConfig& config, PhysicalMemory& memory)
    : config_(validated(config)),
      memory_(memory),
      format_{config.host_address_width, config.large_pages, config.snoop_control},
      iotlb_(config.iotlb_sets, config.iotlb_ways),
      walk_cache_(config),
      context_cache_(config.context_cache_entries),
      scalable_(config_, memory, iotlb_, walk_cache_),
      faults_(config.fault_records) {}

Translation VtdUnit::translate(SourceId sid, Iova iova, Access access) {
  Translation t;
  if (in_interrupt_range(iova.value)) {
    t.kind =
        access == Access::write ? Translation::Kind::interrupt_request : Translation::Kind::unsupported_request;
    t.bytes = interrupt_end - iova.value;
    return t;
  }
  if ((status_ & vtd::gcmd::te) == 0) {
    answer_pass_through(t, iova, ~std::uint64_t{0});
    return t;
  }
  if (scalable()) {
    if (const auto failed = scalable_.translate(root_table(), sid, iova, access, t)) {
      return fault(t, failed->reason, sid, iova, access, failed->fpd);
    }
    return t;
  }

  vtd::ContextEntry context;
  if (const vtd::ContextEntry* cached = context_cache_.lookup(sid)) {
    context = *cached;
    t.context_hit = true;
  } else {
    const ContextFetch fetched = fetch_context(sid);
    t.context_reads = fetched.reads;
    context = fetched.entry;
    if (fetched.fault) return fault(t, *fetched.fault, sid, iova, access, context.fpd);
    context_cache_.insert(sid, context);
  }
  t.domain = context.did;

  const unsigned bits = input_bits(context);
  if ((iova.value >> bits) != 0) {
    return fault(t, vtd::FaultReason::address_beyond_mgaw, sid, iova, access, context.fpd);
  }
  if (context.tt == vtd::TranslationType::pass_through) {
    answer_pass_through(t, iova, (std::uint64_t{1} << bits) - 1);
    return t;
  }

  const auto cached = iotlb_.lookup({context.did, no_pasid}, iova);
  if (cached && allows(cached->permissions, access)) {
    t.iotlb_hit = true;
    answer_translated(t, iova, *cached);
    return t;
  }
  // A cached translation that does not permit the access is not trusted to deny it: the walk starts at the root.
  if (const auto reason = walk_and_fill(context, iova, access, !cached, t)) {
    return fault(t, *reason, sid, iova, access, context.fpd);
  }
  return t;
}

// Not-present and erroneous entries are not cached: caching mode is off in hardware (section 6.1).
std::optional<vtd::FaultReason> VtdUnit::walk_and_fill(const vtd::ContextEntry& context, Iova iova, Access access,
                                                       bool use_walk_cache, Translation& t) {
  const CacheTag tag{context.did, no_pasid};
  const unsigned levels = vtd::levels_of_aw(context.aw);
  WalkStart start{levels, context.ssptptr, pgtable::read_write};
  if (use_walk_cache) {
    const auto known = walk_cache_.lookup(tag, iova, levels);
    if (known && allows(known->permissions, access)) start = *known;
  }
  t.walk_level = static_cast<std::uint8_t>(start.level);
  const WalkResult result = walk(
      format_, start, iova, access, [this](Hpa a) { return read_table<std::uint64_t>(memory_, a); },
      [&](const WalkStart& table) {
        if (walk_cache_.insert(tag, iova, table)) ++t.walk_evicted;
      });
  t.walk_reads = static_cast<std::uint8_t>(result.reads);
  if (result.fault) return result.fault;
  t.iotlb_evicted = iotlb_.insert(tag, iova, result.mapping);
  answer_translated(t, iova, result.mapping);
  return std::nullopt;
}

Translation& VtdUnit::fault(Translation& t, vtd::FaultReason reason, SourceId sid, Iova iova, Access access,
                            bool fpd) {
  t.kind = Translation::Kind::fault;
  t.reason = reason;
  if (fpd && vtd::is_qualified(reason)) return t;
  vtd::FaultRecord record;
  record.fi = Iova::from_page(iova.page());
  record.sid = sid;
  record.fr = static_cast<std::uint8_t>(reason);
  record.type = access == Access::read ? vtd::RequestType::read : vtd::RequestType::write;
  const FaultLog::Recorded logged = faults_.record(record);
  t.recorded = logged.recorded;
  t.fault_event = logged.event;
  return t;
}

bool VtdUnit::scalable() const {
  return config_.scalable_mode && vtd::ttm_of(root_) == vtd::TranslationTableMode::scalable;
}

// Root table, then context table (section 3.4). `entry.fpd` is set only where a context entry was read.
VtdUnit::ContextFetch VtdUnit::fetch_context(SourceId sid) const {
  using vtd::FaultReason;
  ContextFetch r;
  if (vtd::ttm_of(root_) != vtd::TranslationTableMode::legacy) {
    r.fault = FaultReason::root_table_address_invalid;
    return r;
  }
  const unsigned bus = sid.value >> 8;
  const unsigned devfn = sid.value & 0xffu;
  r.reads = 1;
  const auto raw_root = read_table<vtd::Bits128>(memory_, root_table() + bus * sizeof(vtd::Bits128));
  if (!raw_root) {
    r.fault = FaultReason::root_table_inaccessible;
    return r;
  }
  const vtd::RootEntry root = vtd::decode_root_entry(*raw_root);
  if (!root.p) {
    r.fault = FaultReason::root_entry_not_present;
    return r;
  }
  if (vtd::root_entry_reserved_set(*raw_root, config_.host_address_width)) {
    r.fault = FaultReason::root_entry_reserved;
    return r;
  }
  r.reads = 2;
  const auto raw_context = read_table<vtd::Bits128>(memory_, root.ctp + devfn * sizeof(vtd::Bits128));
  if (!raw_context) {
    r.fault = FaultReason::context_table_inaccessible;
    return r;
  }
  r.entry = vtd::decode_context_entry(*raw_context);
  if (!r.entry.p) {
    r.fault = FaultReason::context_entry_not_present;
  } else if (vtd::context_entry_reserved_set(*raw_context, config_.host_address_width)) {
    r.fault = FaultReason::context_entry_reserved;
  } else {
    r.fault = check_context(r.entry);
  }
  return r;
}

std::optional<vtd::FaultReason> VtdUnit::check_context(const vtd::ContextEntry& entry) const {
  const bool type_supported = entry.tt != vtd::TranslationType::reserved &&
                              (entry.tt != vtd::TranslationType::with_device_tlb || config_.device_tlb);
  // SAGAW's bit n stands for AW encoding n.
  const bool width_supported = vtd::levels_of_aw(entry.aw) != 0 && (config_.sagaw >> entry.aw & 1) != 0;
  if (type_supported && width_supported) return std::nullopt;
  return vtd::FaultReason::context_entry_invalid;
}

unsigned VtdUnit::input_bits(const vtd::ContextEntry& entry) const {
  return std::min<unsigned>(config_.address_width, vtd::level_shift(vtd::levels_of_aw(entry.aw) + 1));
}

std::optional<pgtable::Mapping> VtdUnit::resolve(SourceId sid, Iova iova, Access access) const {
  if ((status_ & vtd::gcmd::te) == 0) return std::nullopt;
  if (in_interrupt_range(iova.value)) return std::nullopt;
  if (scalable()) return scalable_.resolve(root_table(), sid, iova, access);
  const ContextFetch context = fetch_context(sid);
  if (context.fault || context.entry.tt == vtd::TranslationType::pass_through) return std::nullopt;
  if ((iova.value >> input_bits(context.entry)) != 0) return std::nullopt;
  const WalkStart root{vtd::levels_of_aw(context.entry.aw), context.entry.ssptptr, pgtable::read_write};
  const WalkResult result = walk(
      format_, root, iova, access, [this](Hpa a) { return read_table<std::uint64_t>(memory_, a); },
      [](const WalkStart&) {});
  if (result.fault) return std::nullopt;
  return result.mapping;
}

}  // namespace gnomon::iommu
