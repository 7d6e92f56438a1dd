// SPDX-License-Identifier: Apache-2.0
#include "guest/amd_iommu/instance.hpp"

#include <algorithm>
#include <cerrno>

#include "models/spec/amdvi/capability.hpp"
#include "models/spec/amdvi/registers.hpp"

namespace gnomon::guest {

AmdIommuInstance::AmdIommuInstance(const AmdIommuParts& parts, const AmdIommuOptions& options)
    : parts_(parts),
      options_(options),
      devices_(parts.memory, options.last_device),
      commands_({parts.memory, parts.monitor, parts.lock, options.registers}, options.driver.completion),
      event_log_(parts.memory.allocate_ring(event_log_bytes)),
      unit_{parts.memory,
            commands_,
            devices_,
            {amdvi::decode_capability(options.capability).np_cache, 52},
            options.driver} {}

void AmdIommuInstance::write(Cpu& cpu, std::uint32_t offset, std::uint64_t value, unsigned bytes) {
  cpu.processor().write_mmio(options_.registers + offset, value, bytes);
}

void AmdIommuInstance::set_control(Cpu& cpu, std::uint64_t bits, bool on) {
  const std::uint64_t now = cpu.processor().read_mmio(options_.registers + amdvi::reg::control, 8);
  write(cpu, amdvi::reg::control, on ? now | bits : now & ~bits, 8);
}

void AmdIommuInstance::probe(Cpu& cpu) {
  namespace control = amdvi::control;
  namespace reg = amdvi::reg;
  cpu.processor().sync();
  set_control(cpu, control::cmd_buf_en | control::event_int_en | control::event_log_en | control::iommu_en, false);
  write(cpu, reg::device_table, amdvi::device_table_register(Hpa{devices_.base().value}, devices_.bytes()), 8);

  write(cpu, reg::command_buffer, amdvi::ring_register(Hpa{commands_.base().value}, AmdCommandQueue::log2_entries),
        8);
  write(cpu, reg::command_head, 0, 4);
  write(cpu, reg::command_tail, 0, 4);
  commands_.reset();
  set_control(cpu, control::cmd_buf_en, true);

  write(cpu, reg::event_log, amdvi::ring_register(Hpa{event_log_.value}, 9), 8);
  write(cpu, reg::event_head, 0, 4);
  write(cpu, reg::event_tail, 0, 4);
  set_control(cpu, control::event_log_en, true);
  set_control(cpu, control::iommu_en, true);
  flush_all_caches(cpu);
}

void AmdIommuInstance::flush_all_caches(Cpu& cpu) {
  const std::uint64_t features = cpu.processor().read_mmio(options_.registers + amdvi::reg::extended_features, 8);
  if (amdvi::decode_extended_features(features).ia_sup) {
    commands_.submit(cpu, amdvi::InvalidateIommuAll{}, trace::all_domains);
    commands_.wait(cpu);
    return;
  }
  for (std::uint32_t id = 0; id <= options_.last_device.value; ++id) {
    commands_.submit(cpu, amdvi::InvalidateDevtabEntry{{static_cast<std::uint16_t>(id)}}, trace::all_domains);
  }
  commands_.wait(cpu);
  for (std::uint32_t id = 0; id <= options_.last_device.value; ++id) {  // as many domains as devices
    const DomainId domain{static_cast<std::uint16_t>(id)};
    commands_.submit(cpu, amdvi::InvalidateIommuPages{domain, amdvi::every_page, true, false, 0}, id);
  }
  commands_.wait(cpu);
}

std::unique_ptr<IommuDriver> AmdIommuInstance::make_domain(Cpu& cpu, std::uint32_t id) {
  cpu.work(cpu.costs().table_page);
  return std::make_unique<AmdDomain>(unit_, id, parts_.make_domain_lock());
}

int AmdIommuInstance::attach(Cpu& cpu, IommuDriver& domain, SourceId device) {
  if (!devices_.contains(device)) return ENODEV;
  auto& joined = static_cast<AmdDomain&>(domain);
  const auto same = [&](const Attachment& a) { return a.device == device; };
  auto found = std::find_if(attachments_.begin(), attachments_.end(), same);
  if (found == attachments_.end()) {
    attachments_.push_back({device, &joined});
  } else if (found->domain != &joined) {
    found->domain->detach(cpu, device);
    found->domain = &joined;
  } else {
    return 0;
  }
  joined.attach(cpu, device);
  return 0;
}

}  // namespace gnomon::guest
