// SPDX-License-Identifier: Apache-2.0
#include "guest/tegra_smmu/maintenance.hpp"

namespace gnomon::guest {

TegraMaintenance::TegraMaintenance(Cpu& cpu, const TegraUnit& unit, std::uint32_t domain, trace::Sync kind)
    : cpu_(cpu), unit_(unit), account_{} {
  account_.domain = domain;
  account_.cpu = cpu.id();
  account_.kind = kind;
  cpu.processor().sync();
  began_ = cpu.now();
}

void TegraMaintenance::spend(std::uint64_t& on, Time cost) {
  cpu_.processor().spend(cost);
  on += cost.ps();
}

void TegraMaintenance::clean(CachedTable& table, std::uint32_t offset, std::uint32_t bytes) {
  cpu_.processor().sync();
  const unsigned lines = table.clean(offset, bytes);
  account_.lines_cleaned += lines;
  spend(account_.cache_ps, costs().clean_line * lines);
  barrier();
}

void TegraMaintenance::barrier() {
  ++account_.barriers;
  spend(account_.barrier_ps, costs().barrier);
}

void TegraMaintenance::flush_ptc(CachedTable& table, std::uint32_t offset) {
  const tegra::Soc& soc = *unit_.options.soc;
  const unsigned atom = offset / soc.atom_bytes;
  const Hpa at{table.page().value + std::uint64_t{atom} * soc.atom_bytes};
  table.flushed(atom);
  if (soc.has_ptc_flush_hi()) write(tegra::reg::ptc_flush_hi, tegra::ptc_flush_high(at));
  write(tegra::reg::ptc_flush, tegra::ptc_flush_address(at));
}

void TegraMaintenance::flush_tlb(const tegra::TlbFlush& which) {
  using tegra::TlbMatch;
  trace::GuestRequest note{
      which.iova.value, trace::whole_domain, 0, account_.domain, cpu_.id(), trace::RequestType::invalidate, 0};
  if (which.match == TlbMatch::section) note.bytes = tegra::section_bytes;
  if (which.match == TlbMatch::group) note.bytes = tegra::group_bytes;
  if (!which.one_asid) note.domain = trace::all_domains;
  note.iova = note.bytes == trace::whole_domain ? 0 : which.iova.value & ~(note.bytes - 1);
  cpu_.emit(note);
  write(tegra::reg::tlb_flush, encode(which, *unit_.options.soc));
}

void TegraMaintenance::write(std::uint32_t offset, std::uint32_t value) {
  ++account_.register_writes;
  spend(account_.tlb_ps, costs().register_write);
  cpu_.processor().sync();
  cpu_.processor().write_mmio(unit_.options.registers + offset, value, 4);
  posted_ = true;
}

std::uint32_t TegraMaintenance::read(std::uint32_t offset) {
  ++account_.register_reads;
  spend(account_.read_back_ps, costs().register_read);
  posted_ = false;
  return static_cast<std::uint32_t>(cpu_.processor().read_mmio(unit_.options.registers + offset, 4));
}

void TegraMaintenance::read_back() {
  if (posted_) read(tegra::reg::ptb_asid);
}

void TegraMaintenance::finish() {
  if (account_.barriers + account_.register_writes + account_.register_reads == 0) return;
  cpu_.emit(account_);
  cpu_.emit(trace::SyncDone{began_.ps(), account_.domain, cpu_.id(), account_.kind, 0});
}

}  // namespace gnomon::guest
