// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/core/s390_pci_device.hpp"

#include <algorithm>
#include <stdexcept>

#include "models/base/natural_split.hpp"
#include "models/spec/s390_pci/dma_table.hpp"

namespace gnomon::hypervisor {

namespace s390 = s390_pci;
using s390::ConditionCode;

const S390PciDevice::Function* S390PciDevice::find(s390::FunctionHandle handle) const {
  const auto same = [&](const Function& f) { return f.handle == handle; };
  const auto found = std::find_if(functions_.begin(), functions_.end(), same);
  return found == functions_.end() ? nullptr : &*found;
}

S390PciDevice::Function* S390PciDevice::find(std::uint64_t function) {
  const auto* self = this;
  return const_cast<Function*>(self->find(s390::handle_of(function)));
}

void S390PciDevice::add_function(s390::FunctionHandle handle, ShadowTarget& target,
                                 std::optional<std::uint32_t> slots) {
  if (find(handle) != nullptr) throw std::invalid_argument("S390PciDevice: the function is there already");
  functions_.emplace_back();
  Function& added = functions_.back();
  added.handle = handle;
  added.target = &target;
  added.slots = slots;
}

s390::Outcome S390PciDevice::register_translation(std::uint64_t function, Iova first, Iova last,
                                                  std::uint64_t iota) {
  Function* f = find(function);
  if (f == nullptr) return {ConditionCode::invalid_handle, s390::status::none};
  if (f->registered) return {ConditionCode::error, s390::status::sequence};
  first.value &= ~(page_size - 1);
  last.value |= page_size - 1;
  const bool third =
      (iota & s390::anchor_translates) != 0 && s390::designation_type(iota) == s390::anchor_region_third;
  if (!third || first > last || first < config_.window.first || last > config_.window.last) {
    return {ConditionCode::error, s390::status::address_space_invalid};
  }
  f->registered = true;
  f->first = first;
  f->last = last;
  f->iota = iota;
  return {};
}

s390::Outcome S390PciDevice::deregister_translation(std::uint64_t function) {
  Function* f = find(function);
  if (f == nullptr) return {ConditionCode::invalid_handle, s390::status::none};
  if (!f->registered) return {ConditionCode::error, s390::status::address_space_invalid};
  f->registered = false;
  f->in_error = false;
  if (f->mapped.size() != 0) {  // the function's memory region goes, and VFIO unmaps what it had of it
    const auto segments = NaturalSplit(f->first.value, f->last.value);
    for (const auto [base, size] : segments) f->target->unmap(Iova{base}, size);
  }
  if (f->slots) *f->slots += static_cast<std::uint32_t>(f->mapped.size());
  f->mapped.clear();
  return {};
}

std::uint64_t S390PciDevice::mapped_pages(s390::FunctionHandle handle) const {
  const Function* f = find(handle);
  return f == nullptr ? 0 : f->mapped.size();
}

std::uint32_t S390PciDevice::free_slots(s390::FunctionHandle handle) const {
  const Function* f = find(handle);
  return f == nullptr ? 0 : f->slots.value_or(1);
}

}  // namespace gnomon::hypervisor
