// SPDX-License-Identifier: Apache-2.0
// AmdviDevice's shadow: walks of the guest's tables, and what the host is told of their differences from the
// records.
#include <algorithm>
#include <stdexcept>

#include "models/hypervisor/core/amdvi_device.hpp"
#include "models/spec/amdvi/page_table.hpp"
#include "models/spec/amdvi/registers.hpp"

namespace gnomon::hypervisor {

using amdvi::DeviceTableEntry;
using amdvi::PageTableEntry;

namespace {

constexpr std::uint64_t unreadable = ~std::uint64_t{0};
constexpr std::uint64_t entry_bytes = sizeof(std::uint64_t);

DmaAccess access_of(bool ir, bool iw) {
  return static_cast<DmaAccess>((ir ? static_cast<unsigned>(DmaAccess::read) : 0u) |
                                (iw ? static_cast<unsigned>(DmaAccess::write) : 0u));
}
DmaAccess operator&(DmaAccess a, DmaAccess b) {
  return static_cast<DmaAccess>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}

}  // namespace

/// Where a walk ended.
struct AmdviDevice::Walk {
  enum class End {
    no_table,    ///< none for this address and all above it
    unreadable,  ///< an entry lies outside memory: nothing is known of `bytes`
    absent,      ///< nothing is mapped in `bytes`
    leaf,        ///< `bytes` are mapped
  };
  End end = End::no_table;
  std::uint64_t bytes = 0;  ///< a power of two: the naturally aligned block around the address
  Gpa gpa{};                ///< of the block's first byte
  DmaAccess access = DmaAccess::none;
};

void AmdviDevice::add_endpoint(SourceId source, ShadowTarget& target) {
  for (const Endpoint& other : endpoints_) {
    if (other.source == source || other.target == &target) {
      throw std::invalid_argument("AMD-Vi endpoint or its container is already there");
    }
  }
  endpoints_.emplace_back(source, target, pool_);
  if (config_.shadow) target.set_bypass(true);
}

std::size_t AmdviDevice::mapping_count(SourceId source) const {
  for (const Endpoint& endpoint : endpoints_) {
    if (endpoint.source == source) return endpoint.mapped.size();
  }
  return 0;
}

// The two words that decide. Not readable: beyond the device table or memory, or a reserved bit is set.
DeviceTableEntry AmdviDevice::read_device_entry(SourceId source, VmmPort& port, bool& readable) const {
  const std::uint64_t offset = source.value * amdvi::device_table_entry_bytes;
  if (offset >= amdvi::device_table_bytes(registers_.device_table)) return {};
  const Gpa at = Gpa{amdvi::device_table_base(registers_.device_table).value} + offset;
  amdvi::Bits256 raw;
  raw.qw[0] = port.read_entry(at);
  raw.qw[1] = port.read_entry(at + entry_bytes);
  readable = !amdvi::device_table_entry_reserved_set(raw);
  return amdvi::decode_device_table_entry(raw);
}

// As QEMU: an endpoint that is translated already is not looked at again, the guest flushes its domain anyway.
void AmdviDevice::translate(Endpoint& endpoint, const DeviceTableEntry& entry, VmmPort& port) {
  if (endpoint.translating) return;
  endpoint.translating = true;
  endpoint.target->set_bypass(false);
  synchronise(endpoint, entry, Iova{0}, Iova{~std::uint64_t{0}}, port);
}

void AmdviDevice::pass_through(Endpoint& endpoint) {
  if (!endpoint.translating) return;
  unmap_all(endpoint);
  endpoint.translating = false;
  endpoint.target->set_bypass(true);
}

void AmdviDevice::isolate(Endpoint& endpoint) {
  unmap_all(endpoint);
  if (endpoint.translating) return;
  endpoint.translating = true;
  endpoint.target->set_bypass(false);
}

AmdviDevice::Walk AmdviDevice::walk(const DeviceTableEntry& dte, Iova iova, VmmPort& port) const {
  DmaAccess allowed = access_of(dte.ir, dte.iw);
  const bool usable = dte.mode != 0 && dte.mode <= amdvi::max_levels && allowed != DmaAccess::none;
  if (!usable || !amdvi::in_span(iova, dte.mode)) return {};
  Gpa table{dte.root.value};
  for (unsigned level = dte.mode;; --level) {  // a next level that skips levels is taken for the one below
    const std::uint64_t raw = port.read_entry(table + amdvi::table_index(iova, level) * entry_bytes);
    if (raw == unreadable) {
      return {level == dte.mode ? Walk::End::no_table : Walk::End::unreadable, amdvi::level_bytes(level), {}, {}};
    }
    const PageTableEntry entry = amdvi::decode_page_table_entry(raw);
    allowed = allowed & access_of(entry.ir, entry.iw);
    const unsigned taken_for = config_.short_steps && level > 1 ? level - 1 : level;
    if (!entry.pr || allowed == DmaAccess::none) return {Walk::End::absent, amdvi::level_bytes(taken_for), {}, {}};
    if (entry.leaf() || level == 1) {
      const bool any_size = entry.next_level == amdvi::leaf_of_any_size;
      const std::uint64_t bytes = any_size ? amdvi::leaf_bytes(entry, level) : amdvi::level_bytes(taken_for);
      return {Walk::End::leaf, bytes, Gpa{entry.addr.value & ~(bytes - 1)}, allowed};
    }
    table = Gpa{entry.addr.value};
  }
}

void AmdviDevice::synchronise(Endpoint& endpoint, const DeviceTableEntry& entry, Iova first, Iova last,
                              VmmPort& port) {
  for (Iova iova = first; iova <= last;) {
    const Walk found = walk(entry, iova, port);
    if (found.end == Walk::End::no_table) return;
    std::uint64_t bytes = found.bytes;
    const Iova base{iova.value & ~(bytes - 1)};
    if (found.end == Walk::End::leaf) record(endpoint, base, found, port);
    if (found.end == Walk::End::absent) {  // perhaps of far more than is invalidated
      const Iova end = std::min(base + (bytes - 1), last);
      bytes = std::max(bytes, forget(endpoint, std::max(base, first), end, port));
    }
    const Iova next = Iova{iova.value & ~(bytes - 1)} + bytes;
    if (next <= iova) return;  // the end of the address space
    iova = next;
  }
}

void AmdviDevice::record(Endpoint& endpoint, Iova first, const Walk& leaf, VmmPort& port) {
  const std::uint64_t last = first.value + (leaf.bytes - 1);
  const Mapping mapping{leaf.gpa, leaf.access};
  port.look_up();
  if (const Record* known = endpoint.mapped.first_overlap(first.value, last)) {
    if (known->first == first.value && known->last == last && known->payload == mapping) return;
    ++conflicts_;  // a missing invalidation of the guest's: QEMU complains, tells the host, and keeps the old
                   // record
  } else {
    endpoint.mapped.insert(first.value, last, mapping);
  }
  endpoint.target->map(first, leaf.gpa, leaf.bytes, leaf.access);  // refused: QEMU's record stays nevertheless
}

// Returns the bytes of the record that covered all of [first, last], or 0. Smaller ones, which the guest leaves
// behind by taking a table away, go one by one; QEMU 10.2 gives up there.
std::uint64_t AmdviDevice::forget(Endpoint& endpoint, Iova first, Iova last, VmmPort& port) {
  port.look_up();
  while (Record* known = endpoint.mapped.first_overlap(first.value, last.value)) {
    const bool covers = known->first <= first.value && known->last >= last.value;
    const std::uint64_t gone = known->bytes();
    unmap(endpoint, *known);
    if (covers) return gone;
    port.look_up();
  }
  return 0;
}

void AmdviDevice::unmap(Endpoint& endpoint, Record& mapping) {
  const Iova first{mapping.first};
  const std::uint64_t bytes = mapping.bytes();
  endpoint.mapped.erase(&mapping);
  if (!config_.faults.skip_unmap_events) endpoint.target->unmap(first, bytes);
}

void AmdviDevice::unmap_all(Endpoint& endpoint) {
  while (!endpoint.mapped.empty()) unmap(endpoint, *endpoint.mapped.begin());
}

}  // namespace gnomon::hypervisor
