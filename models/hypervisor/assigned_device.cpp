// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/assigned_device.hpp"

#include <cerrno>

#include "models/fabric/payload.hpp"

namespace gnomon {

using hypervisor::VfioStatus;

namespace {

std::uint32_t error_of(VfioStatus status) {
  switch (status) {
    case VfioStatus::ok: return 0;
    case VfioStatus::einval: return EINVAL;
    case VfioStatus::eexist: return EEXIST;
    case VfioStatus::enospc: return ENOSPC;
    case VfioStatus::enomem: return ENOMEM;
    case VfioStatus::efault: return EFAULT;
  }
  return EIO;
}

}  // namespace

AssignedDevice::AssignedDevice(std::uint32_t number, SourceId source, const hypervisor::VfioConfig& config,
                               const Host& host)
    : number_(number), source_(source), host_(host), table_(host.iommu.make_table(domain())),
      container_(*table_, host.ram, host.pins, config) {}

void AssignedDevice::spend(Time work) {
  if (core_ != nullptr) core_->spend(work);
}

bool AssignedDevice::map(Iova iova, Gpa gpa, std::uint64_t bytes, hypervisor::DmaAccess access) {
  const hypervisor::HypervisorCosts& costs = host_.costs;
  core_->sync();
  const Time began = core_->now();
  spend(costs.notifier);
  const auto done = container_.map(iova, gpa, bytes, access, *this);
  if (done.status == VfioStatus::ok) {
    spend(costs.ioctl_map + costs.pin_batch * done.pin_batches + costs.pin_page * done.pages_pinned +
          costs.map_run * done.runs + costs.pte_write * done.ptes_written + costs.table_page * done.tables_allocated);
    if (table_->map_needs_flush()) {
      host_.iommu.invalidate(*core_, domain(), iova, iova + (bytes - 1), false);
      table_->free_unlinked();
    }
  } else {
    spend(costs.ioctl_refused);
  }
  core_->sync();
  const Time now = core_->now();
  host_.tracer.emit(now, trace::ShadowMapped{iova.value, gpa.value, bytes, (now - began).ps(), number_,
                                             error_of(done.status)});
  if (done.pages_pinned > 0) host_.tracer.emit(now, trace::PagesPinned{done.pages_pinned, host_.pins.pins()});
  return done.status == VfioStatus::ok;
}

void AssignedDevice::unmap(Iova iova, std::uint64_t bytes) {
  const hypervisor::HypervisorCosts& costs = host_.costs;
  core_->sync();
  const Time began = core_->now();
  spend(costs.notifier + costs.ioctl_unmap);
  const auto done = container_.unmap(iova, bytes, *this);
  core_->sync();
  const Time now = core_->now();
  host_.tracer.emit(now, trace::ShadowUnmapped{iova.value, bytes, (now - began).ps(), number_, error_of(done.status)});
  if (done.pages_unpinned > 0) host_.tracer.emit(now, trace::PagesUnpinned{done.pages_unpinned, host_.pins.pins()});
}

void AssignedDevice::sync(const hypervisor::IotlbSyncRange& range) {
  const hypervisor::HypervisorCosts& costs = host_.costs;
  if (core_ == nullptr) {
    table_->free_unlinked();
    return;
  }
  spend(costs.unmap_region * range.regions + costs.software_walk * range.walk_steps + costs.pte_write * range.ptes_cleared);
  host_.iommu.invalidate(*core_, domain(), range.first, range.last, !table_->tables_unlinked());
  table_->free_unlinked();
  spend(costs.unpin_page * range.pages_to_unpin);
}

/// At the host's boot no time passes; at run time the VMM maps or unmaps all of guest memory with one ioctl.
void AssignedDevice::set_bypass(bool on) {
  if (on == bypass_) return;
  bypass_ = on;
  if (on && core_ == nullptr) return;  // start_of_simulation() maps it
  const hypervisor::HypervisorCosts& costs = host_.costs;
  if (on) {
    const auto done = container_.map(Iova{0}, Gpa{0}, host_.ram.size(), hypervisor::DmaAccess::read_write, *this);
    spend(costs.ioctl_map + costs.pin_batch * done.pin_batches + costs.pin_page * done.pages_pinned);
    host_.tracer.emit(core_->now(), trace::PagesPinned{done.pages_pinned, host_.pins.pins()});
  } else {
    spend(costs.ioctl_unmap);
    const auto done = container_.unmap_all(*this);
    core_->sync();
    host_.tracer.emit(core_->now(), trace::PagesUnpinned{done.pages_unpinned, host_.pins.pins()});
  }
}

void AssignedDevice::nest(Gpa root, unsigned levels) {
  spend(host_.costs.ioctl_nest);
  host_.iommu.nest(*core_, source_, domain(), *table_, {false, root, levels});
}

void AssignedDevice::block() {
  spend(host_.costs.ioctl_nest);
  host_.iommu.nest(*core_, source_, domain(), *table_, {true, {}, 0});
}

void AssignedDevice::forward_invalidation(Iova iova, std::uint64_t bytes, bool leaf_only) {
  spend(host_.costs.ioctl_invalidate);
  host_.iommu.invalidate_nested(*core_, domain(), iova, bytes, leaf_only);
}

void AssignedDevice::map_guest_memory() {
  bypass_ = true;
  const auto done = container_.map(Iova{0}, Gpa{0}, host_.ram.size(), hypervisor::DmaAccess::read_write, *this);
  host_.tracer.emit(global_time(), trace::PagesPinned{done.pages_pinned, host_.pins.pins()});
}

void AssignedDevice::close() {
  const auto done = container_.unmap_all(*this);
  host_.tracer.emit(global_time(), trace::PagesUnpinned{done.pages_unpinned, host_.pins.pins()});
}

}  // namespace gnomon
