// SPDX-License-Identifier: Apache-2.0
// IntelIommuDevice's view of the guest's tables: what translates an endpoint, walks, and what the host is told.
#include <algorithm>
#include <stdexcept>

#include "models/hypervisor/core/intel_iommu_device.hpp"
#include "models/spec/vtd/first_stage.hpp"
#include "models/spec/vtd/translation_tables.hpp"

namespace gnomon::hypervisor {

namespace {

constexpr std::uint64_t unreadable = ~std::uint64_t{0};
constexpr std::uint64_t word = sizeof(std::uint64_t);

DmaAccess access_of(bool read, bool write) {
  return static_cast<DmaAccess>((read ? static_cast<unsigned>(DmaAccess::read) : 0u) |
                                (write ? static_cast<unsigned>(DmaAccess::write) : 0u));
}
DmaAccess operator&(DmaAccess a, DmaAccess b) {
  return static_cast<DmaAccess>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}

}  // namespace

struct IntelIommuDevice::Entry {
  bool usable = false;  ///< readable, and no reserved bit is set
  bool leaf = false;
  DmaAccess access = DmaAccess::none;  ///< none: absent
  Gpa gpa{};
};

struct IntelIommuDevice::Walk {
  Endpoint& endpoint;
  const Translation& translation;
  VmmPort& port;
  bool first_level() const { return translation.kind == Translation::Kind::first_level; }
};

void IntelIommuDevice::add_endpoint(SourceId source, ShadowTarget& target) {
  for (const Endpoint& other : endpoints_) {
    if (other.source == source || other.target == &target) {
      throw std::invalid_argument("VT-d endpoint or its container is already there");
    }
  }
  endpoints_.emplace_back(source, target, pool_);
  target.set_bypass(true);
}

std::size_t IntelIommuDevice::mapping_count(SourceId source) const {
  for (const Endpoint& endpoint : endpoints_) {
    if (endpoint.source == source) return endpoint.mapped.size();
  }
  return 0;
}

void IntelIommuDevice::set_bypass(Endpoint& endpoint, bool on) {
  if (endpoint.bypass == on) return;
  if (on) unmap_all(endpoint);
  endpoint.bypass = on;
  endpoint.target->set_bypass(on);
}

// What translates the endpoint may have changed.
void IntelIommuDevice::bind(Endpoint& endpoint, VmmPort& port) {
  Translation translation{Translation::Kind::pass_through, {}, {}, 0, 0};
  if (registers_.translating()) translation = read_translation(endpoint.source, port);
  if (shadows_by_invalidation()) {
    bind_shadow(endpoint, translation, port);
  } else {
    bind_first_level(endpoint, translation, port);
  }
  endpoint.known = translation;
}

void IntelIommuDevice::bind_shadow(Endpoint& endpoint, const Translation& translation, VmmPort& port) {
  set_bypass(endpoint, translation.kind == Translation::Kind::pass_through);
  if (translation.has_table()) {
    synchronise(endpoint, translation, Iova{0}, Iova{unreadable}, port);
  } else {
    unmap_all(endpoint);
  }
}

void IntelIommuDevice::bind_first_level(Endpoint& endpoint, const Translation& translation, VmmPort& port) {
  if (translation == endpoint.known) return;
  if (config_.shadowing == IntelShadowing::nested) {
    if (translation.kind == Translation::Kind::pass_through) {
      endpoint.target->set_bypass(true);
    } else if (translation.has_table()) {
      endpoint.target->nest(translation.root, translation.levels);
    } else {
      endpoint.target->block();
    }
    return;
  }
  const Translation before = endpoint.known;
  endpoint.known = translation;
  set_bypass(endpoint, translation.kind == Translation::Kind::pass_through);
  const bool same_table = translation.has_table() && before.has_table() && before.root == translation.root;
  if (same_table) return;
  unmap_all(endpoint);
  if (before.has_table() && !root_in_use(before.root))
    release_tables(before.root, Iova{0}, Iova{unreadable}, ~0u, port);
  if (!translation.has_table()) return;
  protect({translation.root, translation.levels, Iova{0}, DmaAccess::read_write}, translation.root, port);
  synchronise(endpoint, translation, Iova{0}, Iova{unreadable}, port);
}

// As QEMU: the context is read anew for each endpoint.
void IntelIommuDevice::synchronise_all(const Scope& scope, Iova first, Iova last, VmmPort& port) {
  if (!registers_.translating()) return;
  for (Endpoint& endpoint : endpoints_) {
    const Translation translation = read_translation(endpoint.source, port);
    if (scope.covers(translation)) synchronise(endpoint, translation, first, last, port);
  }
}

void IntelIommuDevice::forward(const Scope& scope, Iova iova, std::uint64_t bytes, bool leaf_only) {
  if (config_.faults.drop_forwarded) return;
  for (Endpoint& endpoint : endpoints_) {
    if (scope.covers(endpoint.known)) endpoint.target->forward_invalidation(iova, bytes, leaf_only);
  }
}

void IntelIommuDevice::synchronise(Endpoint& endpoint, const Translation& translation, Iova first, Iova last,
                                   VmmPort& port) {
  const unsigned bits = std::min(config_.address_bits, vtd::level_shift(translation.levels + 1));
  const Iova limit{(std::uint64_t{1} << bits) - 1};
  if (first > limit) return;
  Walk walk{endpoint, translation, port};
  walk_table(walk, translation.root, translation.levels, first, std::min(last, limit), DmaAccess::read_write);
}

// Reserved bits as QEMU has them for both formats, but for the large-page PAT bit of the first level.
IntelIommuDevice::Entry IntelIommuDevice::decode(std::uint64_t raw, unsigned level, bool first_level) const {
  if (raw == unreadable) return {};
  const bool large = level > 1 && (raw & vtd::mask(7, 7)) != 0;
  std::uint64_t reserved = vtd::mask(51, config_.address_bits);
  if (!first_level) reserved |= vtd::mask(62, 62) | vtd::mask(11, 11);
  if (large && level <= 3) reserved |= vtd::mask(vtd::level_shift(level) - 1, first_level ? 13 : 12);
  if (level > 3) reserved |= vtd::mask(7, 7);
  if ((raw & reserved) != 0) return {};
  Entry entry;
  entry.usable = true;
  entry.leaf = level == 1 || large;
  if (first_level) {
    const vtd::FirstStagePte pte = vtd::decode_first_stage_pte(raw);
    entry.access = access_of(pte.p, pte.p && pte.rw);
    entry.gpa = Gpa{pte.addr};
  } else {
    const vtd::SecondStagePte pte = vtd::decode_second_stage_pte(raw);
    entry.access = access_of(pte.r, pte.w);
    entry.gpa = Gpa{pte.addr.value};
  }
  if (entry.leaf) entry.gpa.value &= ~(vtd::level_bytes(level) - 1);
  return entry;
}

void IntelIommuDevice::walk_table(Walk& walk, Gpa table, unsigned level, Iova first, Iova last, DmaAccess allowed) {
  const std::uint64_t size = vtd::level_bytes(level);
  for (Iova iova = first;;) {
    const Iova end{iova.value | (size - 1)};
    walk_entry(walk, table + vtd::table_index(iova, level) * word, level, iova, std::min(end, last), allowed);
    if (end >= last) return;
    iova = end + 1;
  }
}

void IntelIommuDevice::walk_entry(Walk& walk, Gpa at, unsigned level, Iova first, Iova last, DmaAccess allowed) {
  const Entry entry = decode(walk.port.read_entry(at), level, walk.first_level());
  if (!entry.usable) return;  // passed over: what was there stays
  allowed = allowed & entry.access;
  const std::uint64_t bytes = vtd::level_bytes(level);
  const Iova base{first.value & ~(bytes - 1)};
  if (allowed == DmaAccess::none) {
    absent_event(walk.endpoint, base, bytes, walk.port);
  } else if (entry.leaf) {
    leaf_event(walk.endpoint, base, bytes, {entry.gpa, allowed}, walk.port);
  } else {
    if (config_.shadowing == IntelShadowing::write_protect) {
      protect({walk.translation.root, level - 1, base, allowed}, entry.gpa, walk.port);
    }
    walk_table(walk, entry.gpa, level - 1, first, last, allowed);
  }
}

void IntelIommuDevice::leaf_event(Endpoint& endpoint, Iova first, std::uint64_t bytes, const Mapping& mapping,
                                  VmmPort& port) {
  const std::uint64_t last = first.value + (bytes - 1);
  port.look_up();
  if (const auto* known = endpoint.mapped.first_overlap(first.value, last)) {
    if (known->first == first.value && known->last == last && known->payload == mapping) return;
    ++replaced_;
    unmap_span(endpoint, first, bytes);
  }
  endpoint.mapped.insert(first.value, last, mapping);
  if (!endpoint.target->map(first, mapping.gpa, bytes, mapping.access)) ++refused_;
}

void IntelIommuDevice::absent_event(Endpoint& endpoint, Iova first, std::uint64_t bytes, VmmPort& port) {
  port.look_up();
  if (endpoint.mapped.first_overlap(first.value, first.value + (bytes - 1)) != nullptr)
    unmap_span(endpoint, first, bytes);
}

// One notification for the span, whatever is recorded in it. A record that reaches beyond it is forgotten whole, as
// in QEMU, while VFIO refuses to unmap a part of it.
void IntelIommuDevice::unmap_span(Endpoint& endpoint, Iova first, std::uint64_t bytes) {
  const std::uint64_t last = first.value + (bytes - 1);
  while (auto* known = endpoint.mapped.first_overlap(first.value, last)) endpoint.mapped.erase(known);
  if (!config_.faults.skip_unmap_events) endpoint.target->unmap(first, bytes);
}

void IntelIommuDevice::unmap_all(Endpoint& endpoint) {
  if (!endpoint.mapped.empty()) unmap_span(endpoint, Iova{0}, std::uint64_t{1} << config_.address_bits);
}

void IntelIommuDevice::protect(const ProtectedTable& table, Gpa page, VmmPort& port) {
  if (protected_.emplace(page.value, table).second) port.protect(page, true);
}

// Table pages of [first, last] below a level are tables no longer.
void IntelIommuDevice::release_tables(Gpa root, Iova first, Iova last, unsigned below_level, VmmPort& port) {
  for (auto it = protected_.begin(); it != protected_.end();) {
    const ProtectedTable& table = it->second;
    const bool inside =
        table.root == root && table.level < below_level && first <= table.base && table.base <= last;
    if (inside) port.protect(Gpa{it->first}, false);
    it = inside ? protected_.erase(it) : std::next(it);
  }
}

bool IntelIommuDevice::root_in_use(Gpa root) const {
  return std::any_of(endpoints_.begin(), endpoints_.end(),
                     [&](const Endpoint& e) { return e.known.has_table() && e.known.root == root; });
}

void IntelIommuDevice::table_written(Gpa entry, VmmPort& port) {
  const auto found = protected_.find(entry.value & ~(page_size - 1));
  if (found == protected_.end()) return;
  const ProtectedTable table = found->second;
  const std::uint64_t bytes = vtd::level_bytes(table.level);
  const Iova first = table.base + entry.offset_in_page() / word * bytes;
  const Iova last = first + (bytes - 1);
  if (table.level > 1)
    release_tables(table.root, first, last, table.level, port);  // the walk finds those there are
  for (Endpoint& endpoint : endpoints_) {
    if (!endpoint.known.has_table() || endpoint.known.root != table.root) continue;
    Walk walk{endpoint, endpoint.known, port};
    walk_entry(walk, entry, table.level, first, last, table.access);
  }
}

}  // namespace gnomon::hypervisor
