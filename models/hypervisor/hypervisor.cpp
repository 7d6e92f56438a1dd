// SPDX-License-Identifier: Apache-2.0
#include "models/hypervisor/hypervisor.hpp"

#include <cstring>
#include <variant>

namespace gnomon {

using hypervisor::QueueService;

namespace {

trace::RequestServed note_of(const hypervisor::ServedRequest& served, std::uint32_t thread) {
  trace::RequestServed note{0, 0, 0, thread, trace::RequestType::probe,
                            static_cast<std::uint32_t>(served.outcome.status)};
  if (const auto* map = std::get_if<virtio_iommu::Map>(&served.request)) {
    note.type = trace::RequestType::map;
    note.iova = map->virt_start;
    note.bytes = map->virt_end - map->virt_start + 1;
    note.domain = map->domain;
  } else if (const auto* unmap = std::get_if<virtio_iommu::Unmap>(&served.request)) {
    note.type = trace::RequestType::unmap;
    note.iova = unmap->virt_start;
    note.bytes = unmap->virt_end - unmap->virt_start + 1;
    note.domain = unmap->domain;
  } else if (const auto* attach = std::get_if<virtio_iommu::Attach>(&served.request)) {
    note.type = trace::RequestType::attach;
    note.domain = attach->domain;
  } else if (const auto* detach = std::get_if<virtio_iommu::Detach>(&served.request)) {
    note.type = trace::RequestType::detach;
    note.domain = detach->domain;
  }
  return note;
}

}  // namespace

Hypervisor::Hypervisor(const sc_core::sc_module_name& name, const hypervisor::HypervisorConfig& config,
                       const hypervisor::HypervisorCosts& costs, const HypervisorParts& parts, Lock& big_lock,
                       const MakeHostIommu& make_host_iommu)
    : sc_module(name), config_(config), costs_(costs), parts_(parts), big_lock_(big_lock),
      host_iommu_(make_host_iommu(*this)), pins_(parts.memory.size()) {
  trapped.register_b_transport(this, &Hypervisor::on_trapped);
}

AssignedDevice& Hypervisor::assign(SourceId source) {
  const auto number = static_cast<std::uint32_t>(devices_.size() + 1);
  const AssignedDevice::Host host{parts_.memory, parts_.host_pages, parts_.ram, pins_, *host_iommu_, costs_,
                                  parts_.tracer};
  devices_.push_back(std::make_unique<AssignedDevice>(number, source, config_.vfio, host));
  return *devices_.back();
}

void Hypervisor::add_viommu(const hypervisor::VirtioIommuDeviceConfig& device, const virtio::SplitQueueLayout& queue) {
  viommu_ = std::make_unique<hypervisor::VirtioIommuDevice>(device);
  for (const auto& assigned : devices_) viommu_->add_endpoint(assigned->source().value, assigned.get());
  requests_ = std::make_unique<hypervisor::VirtqueueDevice>(
      parts_.ram, queue, hypervisor::VirtqueueDevice::Features{config_.indirect, config_.event_idx});
  used_index_ = parts_.ram.to_hpa(queue.used_index());
}

void Hypervisor::add_viommu(std::unique_ptr<hypervisor::EmulatedIommu> device) {
  emulated_ = std::move(device);
  for (const auto& assigned : devices_) emulated_->add_endpoint(assigned->source(), *assigned);
}

PciInstructionPort& Hypervisor::add_s390_functions(
    const hypervisor::S390PciDeviceConfig& config,
    const std::function<s390_pci::FunctionHandle(SourceId)>& handle_of) {
  s390_ = std::make_unique<S390PciHypervisor>(parts_.ram, config, costs_, big_lock_, parts_.tracer);
  for (const auto& assigned : devices_) {
    s390_->add_function(handle_of(assigned->source()), *assigned, config_.vfio.dma_entry_limit);
  }
  return *s390_;
}

void Hypervisor::start_of_simulation() {
  host_iommu_->enable();
  for (const auto& device : devices_) {
    host_iommu_->attach(device->source(), device->domain(), device->table());
    if ((!viommu_ && !emulated_ && !s390_) || device->bypass()) device->map_guest_memory();
  }
}

void Hypervisor::close() {
  for (const auto& device : devices_) {
    device->serve_on(nullptr);
    device->close();
  }
}

void Hypervisor::write(std::uint32_t offset, std::uint64_t value, unsigned bytes) {
  sc_core::sc_time delay = sc_core::SC_ZERO_TIME;
  iommu_registers->b_transport(access_.prepare(tlm::TLM_WRITE_COMMAND, offset, &value, bytes), delay);
}

void Hypervisor::on_trapped(tlm::tlm_generic_payload& payload, sc_core::sc_time& delay) {
  Processor& vcpu = *requester_of(payload).processor;
  emulated_ ? handle_register(vcpu, payload) : handle_kick(vcpu);
  delay = sc_core::SC_ZERO_TIME;
  payload.set_response_status(tlm::TLM_OK_RESPONSE);
}

void Hypervisor::handle_kick(Processor& vcpu) {
  const Time began = vcpu.now();
  vcpu.spend(costs_.exit);
  if (config_.service == QueueService::on_kick) {
    vcpu.spend(costs_.to_user + costs_.mmio_dispatch);
    {
      LockGuard guard(big_lock_, vcpu);
      serve_requests(vcpu);
    }
    vcpu.spend(costs_.from_user);
  } else {
    vcpu.spend(costs_.eventfd_signal);
    vcpu.sync();
    if (!signalled_) signalled_at_ = vcpu.now();
    signalled_ = true;
    if (io_thread_idle_) io_thread_->unpark(vcpu.now() + costs_.eventfd_wake);
    io_thread_idle_ = false;
  }
  vcpu.spend(costs_.entry);
  vcpu.sync();
  parts_.tracer.emit(vcpu.now(), trace::VmExit{began.ps(), vcpu.id(), trace::ExitReason::ept_misconfig});
}

void Hypervisor::handle_register(Processor& vcpu, tlm::tlm_generic_payload& payload) {
  const Time began = vcpu.now();
  const auto offset = static_cast<std::uint32_t>(payload.get_address());
  const unsigned bytes = payload.get_data_length();
  vcpu.spend(costs_.exit + costs_.to_user + costs_.mmio_dispatch);
  {
    LockGuard guard(big_lock_, vcpu);
    if (payload.is_read()) {
      const std::uint64_t value = emulated_->read_register(offset, bytes);
      std::memcpy(payload.get_data_ptr(), &value, bytes);
    } else {
      std::uint64_t value = 0;
      std::memcpy(&value, payload.get_data_ptr(), bytes);
      emulated_->write_register(offset, value, bytes);
      serve_commands(vcpu);
    }
  }
  vcpu.spend(costs_.from_user + costs_.entry);
  vcpu.sync();
  parts_.tracer.emit(vcpu.now(), trace::VmExit{began.ps(), vcpu.id(), trace::ExitReason::ept_misconfig});
}

void Hypervisor::serve_commands(Processor& core) {
  using Kind = hypervisor::ServedCommand::Kind;
  for (const auto& device : devices_) device->serve_on(&core);
  serving_ = &core;
  while (emulated_->pending()) {
    core.spend(costs_.command);
    entries_read_ = 0;
    const hypervisor::ServedCommand served = emulated_->serve(*this);
    core.sync();
    auto type = trace::RequestType::configure;
    if (served.kind == Kind::invalidate) type = trace::RequestType::invalidate;
    if (served.kind == Kind::wait) type = trace::RequestType::wait;
    parts_.tracer.emit(core.now(), trace::RequestServed{served.iova.value, served.bytes, served.domain, core.id(), type,
                                                        served.kind == Kind::illegal ? 1u : 0u});
    if (entries_read_ > 0) parts_.tracer.emit(core.now(), trace::GuestTableRead{entries_read_});
  }
  serving_ = nullptr;
}

std::uint64_t Hypervisor::read_entry(Gpa address) {
  serving_->spend(costs_.table_read);
  ++entries_read_;
  if (!parts_.ram.contains(address, sizeof(std::uint64_t))) return ~std::uint64_t{0};
  return parts_.ram.read<std::uint64_t>(address);
}

void Hypervisor::protect(Gpa page, bool on) {
  on ? static_cast<void>(protected_.insert(page.page())) : static_cast<void>(protected_.erase(page.page()));
}

void Hypervisor::stored(Processor& vcpu, Gpa address) {
  if (!protected_.contains(address.page())) return;
  vcpu.sync();
  const Time began = vcpu.now();
  vcpu.spend(costs_.exit + costs_.to_user + costs_.mmio_dispatch);
  {
    LockGuard guard(big_lock_, vcpu);
    for (const auto& device : devices_) device->serve_on(&vcpu);
    serving_ = &vcpu;
    emulated_->table_written(address, *this);
    serving_ = nullptr;
  }
  vcpu.spend(costs_.from_user + costs_.entry);
  vcpu.sync();
  parts_.tracer.emit(vcpu.now(), trace::VmExit{began.ps(), vcpu.id(), trace::ExitReason::ept_violation});
}

void Hypervisor::look_up() { serving_->spend(costs_.tree_lookup); }

void Hypervisor::write_guest(Gpa address, std::uint64_t value, unsigned bytes) {
  if (!parts_.ram.contains(address, bytes)) return;  // a guest's mistake: QEMU's write goes nowhere too
  serving_->sync();
  parts_.ram.write_bytes(address, &value, bytes);
  parts_.monitor.written(parts_.ram.to_hpa(address), serving_->now());
}

void Hypervisor::run_io_thread(Processor& core) {
  io_thread_ = &core;
  for (;;) {
    core.sync();
    if (!signalled_) {
      io_thread_idle_ = true;
      core.park();
    }
    signalled_ = false;
    parts_.tracer.emit(core.now(), trace::IoThreadWoken{signalled_at_.ps(), core.id(), 0});
    if (config_.service == QueueService::worker) {
      serve_requests(core);
    } else {
      LockGuard guard(big_lock_, core);
      serve_requests(core);
    }
  }
}

void Hypervisor::serve_requests(Processor& core) {
  for (const auto& device : devices_) device->serve_on(&core);
  while (requests_->has_available()) {
    core.spend(costs_.request);
    core.sync();
    const auto served = hypervisor::serve_request(*requests_, *viommu_);
    if (!served) break;  // a broken ring: the device wants a reset, and says nothing more
    core.spend(costs_.descriptor_read * served->descriptors_read + costs_.mapping_lookup * served->outcome.mappings);
    core.sync();
    parts_.tracer.emit(core.now(), note_of(*served, core.id()));
    if (config_.service != QueueService::on_kick) parts_.monitor.written(used_index_, core.now());
  }
}

}  // namespace gnomon
