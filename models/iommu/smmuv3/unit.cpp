// SPDX-License-Identifier: Apache-2.0
// Smmuv3Unit's translation path. IHI 0070, sections 3.3 to 3.5 and 7.3.
#include "models/iommu/smmuv3/unit.hpp"

#include <algorithm>
#include <stdexcept>
#include <type_traits>

namespace gnomon::iommu {
namespace {

using smmuv3::Event;
using smmuv3::EventClass;
using smmuv3::EventCode;

constexpr std::uint64_t interrupt_first = 0xfee00000;
constexpr std::uint64_t interrupt_end = 0xfef00000;

constexpr bool in_interrupt_range(Iova iova) {
  return iova.value - interrupt_first < interrupt_end - interrupt_first;
}
/// Bytes from `iova` to `last`, cut where the interrupt range begins.
std::uint64_t up_to_interrupt_range(Iova iova, std::uint64_t last) {
  return (iova.value < interrupt_first ? std::min(last, interrupt_first - 1) : last) - iova.value + 1;
}
void pass_through(Translation& t, Iova iova) {
  t.kind = Translation::Kind::pass_through;
  t.hpa = Hpa{iova.value};
  t.bytes = up_to_interrupt_range(iova, ~std::uint64_t{0});
  t.permissions = pgtable::read_write;
}
void translated(Translation& t, Iova iova, const pgtable::Mapping& m) {
  t.kind = Translation::Kind::translated;
  t.hpa = m.hpa;
  t.bytes = up_to_interrupt_range(iova, iova.value | (m.page_bytes - 1));
  t.permissions = m.permissions;
}

const IommuConfig& validated(const IommuConfig& config) {
  validate(config);
  return config;
}
const Smmuv3Config& validated(const Smmuv3Config& c) {
  if (!c.stage1 && !c.stage2) throw std::invalid_argument("stage1 or stage2 must be there");
  if (c.stream_bits > 32) throw std::invalid_argument("stream_bits must be at most 32");
  if (c.command_log2 > 19 || c.event_log2 > 19) throw std::invalid_argument("queues have at most 2^19 entries");
  if (c.output_size > 5) throw std::invalid_argument("output_size must be at most 5, 48 bits");
  return c;
}

/// 4 KiB granule: SL0 2 begins at the architecture's level 0. What contradicts it is ILLEGAL (section 5.2).
bool legal_stage2(const smmuv3::StreamTableEntry& e) {
  if (!e.s2aa64 || e.s2endi || e.s2tg != 0) return false;
  switch (e.s2sl0) {
    case 2: return e.s2t0sz >= 16 && e.s2t0sz <= 24;
    case 1: return e.s2t0sz >= 21 && e.s2t0sz <= 33;
    case 0: return e.s2t0sz >= 30 && e.s2t0sz <= 39;
    default: return false;
  }
}
EventCode code_of(LpaeWalk::End end) {
  switch (end) {
    case LpaeWalk::End::address_size: return EventCode::f_addr_size;
    case LpaeWalk::End::access_flag: return EventCode::f_access;
    case LpaeWalk::End::permission: return EventCode::f_permission;
    case LpaeWalk::End::inaccessible: return EventCode::f_walk_eabt;
    case LpaeWalk::End::translation:
    case LpaeWalk::End::leaf: break;
  }
  return EventCode::f_translation;
}

}  // namespace

/// One transaction on its way through configuration and both stages. Of a const unit caches are neither asked nor
/// filled: what memory says now.
template <class Self>
struct Smmuv3Unit::Path {
  static constexpr bool caching = !std::is_const_v<Self>;
  enum class Way : std::uint8_t { translate, bypass, silent_abort };

  Path(Self& u, smmuv3::StreamId s, Iova i, Access a) : unit(u), sid(s), iova(i), access(a) {
    event.sid = sid;
    event.read = access == Access::read;
    event.input = iova.value;
  }

  Self& unit;
  smmuv3::StreamId sid;
  Iova iova;
  Access access;
  Translation t{};
  smmuv3::StreamTableEntry ste{};
  smmuv3::ContextDescriptor cd{};
  Event event{};
  Way way = Way::translate;

  bool fail(EventCode code, std::uint64_t address = 0) {
    event.code = code;
    event.address = address;
    return false;
  }
  CacheTag stage2_tag() const { return {DomainId{ste.s2vmid}, no_pasid}; }
  CacheTag tag() const {
    return smmuv3::has_stage1(ste.config) ? CacheTag{DomainId{ste.s2vmid}, Pasid{cd.asid}} : stage2_tag();
  }
  DomainId domain() const {
    return smmuv3::has_stage1(ste.config) && ste.s2vmid == 0 ? DomainId{cd.asid} : DomainId{ste.s2vmid};
  }
  /// Faults are recorded unless software has turned that off for the stage.
  bool recorded() const {
    if (event.code < EventCode::f_walk_eabt) return true;
    return event.stage2 || !smmuv3::has_stage1(ste.config) ? ste.s2r : cd.r;
  }

  bool fetch_stream() {
    const auto config = smmuv3::decode_stream_table_config(unit.stream_table_config_);
    const unsigned bits = std::min<unsigned>(config.log2size, unit.smmu_.stream_bits);
    if ((std::uint64_t{sid} >> bits) != 0) return fail(EventCode::c_bad_streamid);
    std::uint64_t table = unit.stream_table_ & smmuv3::table_address_mask;
    std::uint64_t index = sid;
    if (config.two_level && config.split < config.log2size) {
      ++t.context_reads;
      const Hpa at{table + (sid >> config.split) * sizeof(std::uint64_t)};
      const auto raw = unit.template read_memory<std::uint64_t>(at);
      if (!raw) return fail(EventCode::f_ste_fetch, at.value);
      const auto first = smmuv3::decode_stream_table_l1(*raw);
      index = sid & ((1u << config.split) - 1);
      if (first.span == 0 || first.span > config.split + 1u || (index >> (first.span - 1)) != 0) {
        return fail(EventCode::c_bad_streamid);
      }
      table = first.l2_ptr;
    }
    ++t.context_reads;
    const Hpa at{table + index * smmuv3::stream_table_entry_bytes};
    const auto raw = unit.template read_memory<smmuv3::Bits512>(at);
    if (!raw) return fail(EventCode::f_ste_fetch, at.value);
    ste = smmuv3::decode_stream_table_entry(*raw);
    const bool stages_there = (unit.smmu_.stage1 || !smmuv3::has_stage1(ste.config)) &&
                              (unit.smmu_.stage2 || !smmuv3::has_stage2(ste.config));
    const bool legal = ste.v && stages_there && (!smmuv3::has_stage2(ste.config) || legal_stage2(ste)) &&
                       (!smmuv3::has_stage1(ste.config) || (ste.strw == 0 && ste.s1cdmax == 0));
    return legal || fail(EventCode::c_bad_ste);
  }

  bool fetch_context() {
    std::uint64_t address = ste.s1_context_ptr;
    if (ste.config == smmuv3::StreamConfig::nested) {
      const unsigned before = t.walk_reads;
      const auto located = stage_two(address, Access::read, EventClass::cd);
      t.context_reads = static_cast<std::uint8_t>(t.context_reads + t.walk_reads - before);
      t.walk_reads = static_cast<std::uint8_t>(before);
      if (!located) return false;
      address = located->hpa.value;
    }
    ++t.context_reads;
    const auto raw = unit.template read_memory<smmuv3::Bits512>(Hpa{address});
    if (!raw) return fail(EventCode::f_cd_fetch, address);
    cd = smmuv3::decode_context_descriptor(*raw);
    const bool legal = cd.v && cd.aa64 && !cd.endi && cd.t0sz >= 16 && cd.t0sz <= 39 && cd.tg0 == 0;
    return legal || fail(EventCode::c_bad_cd);
  }

  /// Stream table entry and context descriptor.
  bool configure() {
    const smmuv3::StreamTableEntry* stream = nullptr;
    if constexpr (caching) stream = unit.streams_.lookup(sid);
    if (stream != nullptr) {
      ste = *stream;
      t.context_hit = true;
    } else if (!fetch_stream()) {
      return false;
    } else if constexpr (caching) {
      unit.streams_.insert(sid, ste);
    }
    if (ste.config == smmuv3::StreamConfig::abort) way = Way::silent_abort;
    if (ste.config == smmuv3::StreamConfig::bypass) way = Way::bypass;
    if (!smmuv3::has_stage1(ste.config)) return true;
    const smmuv3::ContextDescriptor* context = nullptr;
    if constexpr (caching) context = unit.contexts_.lookup(sid);
    if (context != nullptr) {
      cd = *context;
      return true;
    }
    t.context_hit = false;
    if (!fetch_context()) return false;
    if constexpr (caching) unit.contexts_.insert(sid, cd);
    return true;
  }

  std::optional<WalkStart> cached_start(CacheTag with, std::uint64_t address, unsigned levels) {
    if constexpr (caching) {
      const auto known = unit.walk_cache_.lookup(with, Iova{address}, levels);
      if (known && allows(known->permissions, access)) return known;
    }
    return std::nullopt;
  }
  void cache_table(CacheTag with, std::uint64_t address, const WalkStart& table) {
    if constexpr (caching) {
      if (unit.walk_cache_.insert(with, Iova{address}, table)) ++t.walk_evicted;
    }
  }

  std::optional<pgtable::Mapping> stage_two(std::uint64_t ipa, Access wanted, EventClass what) {
    const auto failed = [&](EventCode code, std::uint64_t address) {
      event.stage2 = true;
      event.what = what;
      fail(code, address);
      return std::nullopt;
    };
    LpaeFormat format{smmuv3::Stage::two, 64u - ste.s2t0sz, output_bits(ste.s2ps),
                      2u + ste.s2sl0,     !ste.s2affd,      false};
    if ((ipa >> format.input_bits) != 0) return failed(EventCode::f_translation, ipa);
    bool use_walk_cache = true;
    if constexpr (caching) {
      if (const auto cached = unit.iotlb_.lookup(stage2_tag(), Iova{ipa})) {
        if (allows(cached->permissions, wanted)) return cached;
        use_walk_cache = false;  // a cached translation that denies is looked up again
      }
    }
    WalkStart start{format.root_level, Hpa{ste.s2ttb}, pgtable::read_write};
    if (use_walk_cache) start = cached_start(stage2_tag(), ipa, format.root_level).value_or(start);
    if (!smmuv3::has_stage1(ste.config)) t.walk_level = static_cast<std::uint8_t>(start.level);
    const LpaeWalk walk = walk_lpae(
        format, start, ipa, wanted, [&](Hpa a) { return unit.template read_memory<std::uint64_t>(a); },
        [&](const WalkStart& table) { cache_table(stage2_tag(), ipa, table); });
    t.walk_reads = static_cast<std::uint8_t>(t.walk_reads + walk.reads);
    if (walk.end != LpaeWalk::End::leaf) {
      return failed(code_of(walk.end), walk.end == LpaeWalk::End::inaccessible ? walk.entry.value : ipa);
    }
    if constexpr (caching) t.iotlb_evicted |= unit.iotlb_.insert(stage2_tag(), Iova{ipa}, walk.mapping);
    return walk.mapping;
  }

  unsigned output_bits(unsigned code) const {
    return std::min(smmuv3::address_bits(code), smmuv3::address_bits(unit.smmu_.output_size));
  }

  std::optional<pgtable::Mapping> stage_one(bool use_walk_cache) {
    const bool nested = ste.config == smmuv3::StreamConfig::nested;
    LpaeFormat format{smmuv3::Stage::one, 64u - cd.t0sz, output_bits(cd.ips), 0, !cd.affd, !cd.hpd0};
    format.root_level = smmuv3::levels_of(format.input_bits);
    if ((iova.value >> format.input_bits) != 0 || cd.epd0) {
      fail(EventCode::f_translation);
      return std::nullopt;
    }
    WalkStart start{format.root_level, Hpa{cd.ttb0}, pgtable::read_write};
    if (use_walk_cache) start = cached_start(tag(), iova.value, format.root_level).value_or(start);
    t.walk_level = static_cast<std::uint8_t>(start.level);
    bool below_failed = false;
    const auto read = [&](Hpa at) -> std::optional<std::uint64_t> {
      if (nested) {
        const auto located = stage_two(at.value, Access::read, EventClass::ttd);
        below_failed = !located;
        if (!located) return std::nullopt;
        at = located->hpa;
      }
      ++t.walk_reads;
      return unit.template read_memory<std::uint64_t>(at);
    };
    const LpaeWalk walk = walk_lpae(format, start, iova.value, access, read,
                                    [&](const WalkStart& table) { cache_table(tag(), iova.value, table); });
    if (below_failed) return std::nullopt;
    if (walk.end != LpaeWalk::End::leaf) {
      event.what = walk.end == LpaeWalk::End::inaccessible ? EventClass::ttd : EventClass::in;
      fail(code_of(walk.end), walk.end == LpaeWalk::End::inaccessible ? walk.entry.value : 0);
      return std::nullopt;
    }
    if (!nested) return walk.mapping;
    const auto located = stage_two(walk.mapping.hpa.value, access, EventClass::in);
    if (!located) return std::nullopt;
    return pgtable::Mapping{located->hpa, std::min(walk.mapping.page_bytes, located->page_bytes),
                            walk.mapping.permissions & located->permissions};
  }
};

Smmuv3Unit::Smmuv3Unit(const IommuConfig& config, PhysicalMemory& memory, const Smmuv3Config& smmu)
    : config_(validated(config)),
      smmu_(validated(smmu)),
      memory_(memory),
      iotlb_(config.iotlb_sets, config.iotlb_ways),
      walk_cache_(config),
      streams_(config.context_cache_entries),
      contexts_(config.context_cache_entries),
      events_(memory) {}

Translation Smmuv3Unit::translate(SourceId source, Iova iova, Access access) {
  Path<Smmuv3Unit> path(*this, smmuv3::stream_of(source), iova, access);
  using Way = Path<Smmuv3Unit>::Way;
  Translation& t = path.t;
  if (in_interrupt_range(iova)) {
    const bool write = access == Access::write;
    t.bytes = interrupt_end - iova.value;
    t.kind = write ? Translation::Kind::interrupt_request : Translation::Kind::unsupported_request;
    return t;
  }
  if ((cr0_ & smmuv3::cr0::smmuen) == 0) {
    if ((gbpa_ & smmuv3::gbpa::abort) == 0) pass_through(t, iova);
    return t;  // aborted without an event otherwise
  }
  if (!path.configure()) return record(t, path.event, path.recorded());
  if (path.way == Way::silent_abort) return t;
  if (path.way == Way::bypass) {
    pass_through(t, iova);
    return t;
  }
  t.domain = path.domain();
  const auto cached = iotlb_.lookup(path.tag(), iova);
  if (cached && allows(cached->permissions, access)) {
    t.iotlb_hit = true;
    translated(t, iova, *cached);
    return t;
  }
  const bool stage1 = smmuv3::has_stage1(path.ste.config);
  // A cached translation that does not permit the access is not trusted to deny it: the walk starts at the root.
  const auto found = stage1 ? path.stage_one(!cached) : path.stage_two(iova.value, access, smmuv3::EventClass::in);
  if (!found) return record(t, path.event, path.recorded());
  if (stage1) t.iotlb_evicted |= iotlb_.insert(path.tag(), iova, *found);
  translated(t, iova, *found);
  return t;
}

Translation& Smmuv3Unit::record(Translation& t, const Event& event, bool wanted) {
  t.kind = Translation::Kind::fault;
  t.reason = event.code;
  if (!wanted) return t;
  const EventQueue::Recorded recorded = events_.record(event);
  const bool pending = ((event_error_ ^ event_errorn_) & smmuv3::gerror::eventq_abt_err) != 0;
  if (recorded.abort && !pending) event_error_ ^= smmuv3::gerror::eventq_abt_err;
  t.recorded = recorded.recorded;
  t.fault_event = recorded.interrupt && (irq_ctrl_ & smmuv3::irq_ctrl::eventq) != 0;
  return t;
}

std::optional<pgtable::Mapping> Smmuv3Unit::resolve(SourceId source, Iova iova, Access access) const {
  if ((cr0_ & smmuv3::cr0::smmuen) == 0 || in_interrupt_range(iova)) return std::nullopt;
  Path<const Smmuv3Unit> path(*this, smmuv3::stream_of(source), iova, access);
  if (!path.configure() || path.way != Path<const Smmuv3Unit>::Way::translate) return std::nullopt;
  if (smmuv3::has_stage1(path.ste.config)) return path.stage_one(false);
  return path.stage_two(iova.value, access, smmuv3::EventClass::in);
}

}  // namespace gnomon::iommu
