// SPDX-License-Identifier: Apache-2.0
#include "models/iommu/s390/unit.hpp"

#include <algorithm>
#include <stdexcept>

#include "models/spec/pci/msix.hpp"
#include "models/spec/s390_pci/dma_table.hpp"

namespace gnomon::iommu {

namespace s390 = s390_pci;
using s390::ConditionCode;
using s390::EventCode;

S390PciUnit::S390PciUnit(const IommuConfig& config, PhysicalMemory& memory)
    : config_((validate(config), config)), memory_(memory), iotlb_(config.iotlb_sets, config.iotlb_ways) {}

void S390PciUnit::add_function(s390::FunctionHandle handle, SourceId source, DomainId tag) {
  for (const Function& f : functions_) {
    if (f.handle == handle || f.source == source || f.tag == tag) {
      throw std::invalid_argument("S390PciUnit: the handle, the source or the tag is there already");
    }
  }
  functions_.push_back({handle, source, tag});
}

S390PciUnit::Function* S390PciUnit::find(std::uint64_t function) {
  const auto found = std::find_if(functions_.begin(), functions_.end(),
                                  [&](const Function& f) { return f.handle == s390::handle_of(function); });
  return found == functions_.end() ? nullptr : &*found;
}

const S390PciUnit::Function* S390PciUnit::find(SourceId source) const {
  const auto found =
      std::find_if(functions_.begin(), functions_.end(), [&](const Function& f) { return f.source == source; });
  return found == functions_.end() ? nullptr : &*found;
}

s390::Outcome S390PciUnit::register_translation(std::uint64_t function, Iova first, Iova last, std::uint64_t iota) {
  Function* f = find(function);
  if (f == nullptr) return {ConditionCode::invalid_handle, s390::status::none};
  if (f->registered) return {ConditionCode::error, s390::status::sequence};
  const bool third =
      (iota & s390::anchor_translates) != 0 && s390::designation_type(iota) == s390::anchor_region_third;
  if (!third || first > last) return {ConditionCode::error, s390::status::address_space_invalid};
  f->registered = true;
  f->first = Iova{first.value & ~(page_size - 1)};
  f->last = Iova{last.value | (page_size - 1)};
  f->iota = iota;
  return {};
}

s390::Outcome S390PciUnit::deregister_translation(std::uint64_t function) {
  Function* f = find(function);
  if (f == nullptr) return {ConditionCode::invalid_handle, s390::status::none};
  if (!f->registered) return {ConditionCode::error, s390::status::address_space_invalid};
  f->registered = false;
  iotlb_.invalidate_domain(f->tag);
  return {};
}

S390PciUnit::Refreshed S390PciUnit::refresh(std::uint64_t function, Iova address, std::uint64_t bytes) {
  Function* f = find(function);
  if (f == nullptr) return {{ConditionCode::invalid_handle, s390::status::none}, {}, 0};
  const bool within =
      f->registered && bytes != 0 && address.value + (bytes - 1) >= f->first.value && address <= f->last;
  if (!within) return {{ConditionCode::error, s390::status::function_in_error}, f->tag, 0};
  const bool all = address <= f->first && address.value + (bytes - 1) >= f->last.value;
  std::uint32_t dropped = 0;
  if (all) {
    if (!config_.faults.ignore_domain_invalidation) dropped = iotlb_.invalidate_domain(f->tag);
  } else {
    dropped = iotlb_.invalidate_pages(f->tag, address, config_.faults.ignore_psi_mask ? page_size : bytes);
  }
  return {{}, f->tag, dropped};
}

std::uint64_t S390PciUnit::read_entry(std::uint64_t table, unsigned index, Walk& walk) const {
  ++walk.reads;
  const Hpa at{table + std::uint64_t{index} * sizeof(std::uint64_t)};
  if (at.value > memory_.size() - sizeof(std::uint64_t)) return 0;
  return s390::big_endian(memory_.read<std::uint64_t>(at));
}

S390PciUnit::Walk S390PciUnit::walk(const Function& f, Iova iova) const {
  Walk w;
  const auto ended = [&](EventCode event) {
    w.event = event;
    return w;
  };
  if (iova < f.first || iova > f.last) return ended(EventCode::out_of_range);
  const std::uint64_t region = read_entry(s390::anchor_origin(f.iota), s390::region_index(iova), w);
  if (region == 0 || !s390::directory_valid(region)) return ended(EventCode::invalid_table_entry);
  if (!s390::region_full_length(region)) return ended(EventCode::invalid_table_length);
  const std::uint64_t segment = read_entry(region & s390::region_origin_mask, s390::segment_index(iova), w);
  if (segment == 0 || !s390::directory_valid(segment)) return ended(EventCode::invalid_table_entry);
  if ((segment & s390::segment_frame_bit) != 0) {
    const Hpa target{(segment & s390::segment_frame_mask) + (iova.value & (s390::segment_bytes - 1))};
    w.leaf = {target, s390::segment_bytes, {true, s390::writable(f.iota | region | segment)}};
    return w;
  }
  const std::uint64_t page = read_entry(segment & s390::segment_origin_mask, s390::page_index(iova), w);
  if (page == 0 || !s390::page_valid(page)) return ended(EventCode::invalid_table_entry);
  const Hpa target{(page & s390::page_frame_mask) + iova.offset_in_page()};
  w.leaf = {target, page_size, {true, s390::writable(f.iota | region | segment | page)}};
  return w;
}

Translation S390PciUnit::translate(SourceId source, Iova iova, Access access) {
  Translation t;
  const auto fault = [&](EventCode event) {
    t.kind = Translation::Kind::fault;
    t.reason = event;
    t.recorded = t.fault_event = true;
    return t;
  };
  // The group's MSI address (CLP) lies outside every window; in this platform it is where its interrupts are.
  if (access == Access::write && pci::is_interrupt_message(iova.value)) {
    t.kind = Translation::Kind::interrupt_request;
    t.bytes = page_size - iova.offset_in_page();
    return t;
  }
  const Function* f = find(source);
  if (f == nullptr || !f->registered) return fault(EventCode::invalid_address_space);
  t.context_hit = true;
  t.domain = f->tag;
  auto leaf = iotlb_.lookup({f->tag}, iova);
  t.iotlb_hit = leaf.has_value();
  if (!leaf) {
    const Walk w = walk(*f, iova);
    t.walk_reads = w.reads;
    t.walk_level = 3;
    if (!w.leaf) return fault(w.event);
    leaf = w.leaf;
    t.iotlb_evicted = iotlb_.insert({f->tag}, iova, *leaf);
  }
  t.permissions = leaf->permissions;
  if (!allows(leaf->permissions, access)) return fault(EventCode::protection);
  t.kind = Translation::Kind::translated;
  t.hpa = leaf->hpa;
  t.bytes = leaf->page_bytes - (iova.value & (leaf->page_bytes - 1));
  return t;
}

std::optional<pgtable::Mapping> S390PciUnit::resolve(SourceId source, Iova iova, Access access) const {
  const Function* f = find(source);
  if (f == nullptr || !f->registered) return std::nullopt;
  const Walk w = walk(*f, iova);
  return w.leaf && allows(w.leaf->permissions, access) ? w.leaf : std::nullopt;
}

}  // namespace gnomon::iommu
