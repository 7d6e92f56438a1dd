// SPDX-License-Identifier: Apache-2.0
#include "guest/intel_iommu/instance.hpp"

#include <algorithm>

#include "guest/kernel/panic.hpp"

namespace gnomon::guest {

namespace reg = vtd::reg;

void IntelGlobalCommand::write(Cpu& cpu, std::uint32_t bit, bool wait_for_set) {
  constexpr unsigned most_looks = 100'000;  // Linux gives the unit 10 s
  Processor& processor = cpu.processor();
  processor.write_mmio(registers_ + reg::gcmd, on_ | bit, 4);
  for (unsigned look = 0; look < most_looks; ++look) {
    const auto status = static_cast<std::uint32_t>(processor.read_mmio(registers_ + reg::gsts, 4));
    if (((status & bit) != 0) == wait_for_set) return;
    cpu.work(cpu.costs().intel_relax);
  }
  throw GuestPanic("DMAR hardware is malfunctioning");
}

void IntelGlobalCommand::enable(Cpu& cpu, std::uint32_t bit) {
  write(cpu, bit, true);
  on_ |= bit;
}

void IntelGlobalCommand::set(Cpu& cpu, std::uint32_t bit) {
  write(cpu, bit, true);
}

void IntelGlobalCommand::flush_write_buffer(Cpu& cpu) {
  write(cpu, vtd::gcmd::wbf, false);
}

void IntelIommuInstance::write(Cpu& cpu, std::uint32_t offset, std::uint64_t value, unsigned bytes) {
  cpu.processor().write_mmio(options_.registers + offset, value, bytes);
}

void IntelIommuInstance::probe(Cpu& cpu) {
  cpu.processor().sync();
  find_out(cpu);
  enable_queue(cpu);
  set_root(cpu);
  command_.enable(cpu, vtd::gcmd::te);
}

void IntelIommuInstance::find_out(Cpu& cpu) {
  Processor& processor = cpu.processor();
  const auto cap = vtd::decode_capability(processor.read_mmio(options_.registers + reg::cap, 8));
  const auto ecap = vtd::decode_extended_capability(processor.read_mmio(options_.registers + reg::ecap, 8));
  const bool scalable = options_.scalable_mode && ecap.smts;
  tables_.emplace(parts_.memory, scalable);
  queue_.emplace(IntelInvalidationQueue::Parts{parts_.memory, parts_.monitor, parts_.lock, options_.registers,
                                               options_.registers_trap},
                 ecap.smts);
  const FlushUnit flush{cap.cm, cap.psi ? static_cast<unsigned>(page_shift) + cap.mamv : 0};
  unit_.emplace(IntelUnit{parts_.memory, *queue_, *tables_, command_, parts_.store_trap, cap, ecap, scalable,
                          options_.device_tlb && ecap.dt, flush, options_.driver});
}

void IntelIommuInstance::enable_queue(Cpu& cpu) {
  Processor& processor = cpu.processor();
  const std::uint64_t faults = processor.read_mmio(options_.registers + reg::fsts, 4);
  write(cpu, reg::fsts, faults, 4);  // of whoever had the unit before
  write(cpu, reg::iqt, 0, 4);
  write(cpu, reg::iqa, queue_->iqa(), 8);
  command_.enable(cpu, vtd::gcmd::qie);
}

void IntelIommuInstance::set_root(Cpu& cpu) {
  const auto submit = [&](const vtd::InvalidationDescriptor& descriptor) {
    queue_->submit(cpu, {&descriptor, 1}, trace::all_domains);
  };
  write(cpu, reg::rtaddr, tables_->rtaddr(), 8);
  command_.set(cpu, vtd::gcmd::srtp);
  submit(vtd::ContextCacheInvalidate{});
  if (unit().scalable) submit(vtd::PasidCacheInvalidate{});
  submit(vtd::IotlbInvalidate{vtd::Granularity::global, unit().cap.dwd, unit().cap.drd, {}, 0, false, {}});
}

bool IntelIommuInstance::first_level_by_default() const {
  if (!unit().scalable || !unit().ecap.fsts) return false;
  return options_.driver.kernel.first_level_default || !unit().ecap.ssts;
}

// Second level: as many as the unit's address width needs, or more where it has no tables of so many
// (guestwidth_to_adjustwidth). First level: 4, or 5 where the width needs them.
unsigned IntelIommuInstance::levels(bool first_level) const {
  const unsigned width = unit().cap.mgaw + 1u;
  const unsigned needed = (width - 12 + 8) / 9;
  if (first_level) return needed >= 5 && unit().cap.fs5lp ? 5 : 4;
  for (unsigned levels = std::max(needed, 3u); levels <= 5; ++levels) {
    if ((unit().cap.sagaw >> (levels - 2) & 1) != 0) return levels;
  }
  throw GuestPanic("DMAR: IOMMU with no second-level table of its address width");
}

std::unique_ptr<IommuDriver> IntelIommuInstance::make_domain(Cpu& cpu, std::uint32_t id) {
  cpu.work(cpu.costs().table_page);
  const bool first_level = first_level_by_default();
  return std::make_unique<IntelDomain>(unit(), id, first_level, levels(first_level), parts_.make_domain_lock());
}

int IntelIommuInstance::attach(Cpu& cpu, IommuDriver& domain, SourceId device) {
  auto& joined = static_cast<IntelDomain&>(domain);
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
