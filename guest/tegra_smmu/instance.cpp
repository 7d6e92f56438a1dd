// SPDX-License-Identifier: Apache-2.0
#include "guest/tegra_smmu/instance.hpp"

#include <bit>
#include <cerrno>

namespace gnomon::guest {

using namespace tegra;

void TegraSmmuInstance::probe(Cpu& cpu) {
  const Soc& soc = *unit_.options.soc;
  TegraMaintenance m(cpu, unit_, trace::all_domains, trace::Sync::all);
  m.write(reg::ptc_config, ptc_enable | ptc_index_map(0x3f) | (soc.request_limit ? ptc_request_limit(8) : 0));
  // As many lines as there are, within the bits of their number: 2^fls(n) - 1.
  const std::uint32_t lines = soc.tlb_lines & ((1u << std::bit_width(soc.tlb_lines)) - 1);
  m.write(reg::tlb_config, tlb_hit_under_miss | lines | (soc.round_robin_arbitration ? tlb_round_robin : 0));
  m.write(reg::ptc_flush, ptc_flush_all);
  m.flush_tlb({});
  m.write(reg::smmu_config, smmu_enable);
  m.read_back();
  m.finish();
}

std::unique_ptr<IommuDriver> TegraSmmuInstance::make_domain(Cpu& cpu, std::uint32_t id) {
  cpu.work(unit_.options.costs.table_page);
  return std::make_unique<TegraDomain>(unit_, id);
}

int TegraSmmuInstance::attach(Cpu& cpu, IommuDriver& domain, SourceId device) {
  const Client* client = find_client(device);
  if (client == nullptr) return ENODEV;
  auto& joined = static_cast<TegraDomain&>(domain);
  if (joined.domain() > unit_.options.soc->asids) return ENOSPC;
  joined.prepare(cpu);
  TegraMaintenance m(cpu, unit_, joined.domain(), trace::Sync::all);
  const std::uint32_t group = m.read(client->swgroup_register) & ~asid_mask;
  m.write(client->swgroup_register, group | joined.asid() | swgroup_enable);
  for (const Client& member : clients) {
    if (member.swgroup_register != client->swgroup_register) continue;
    const std::uint32_t enable = m.read(enable_register(member.id));
    m.write(enable_register(member.id), enable | enable_bit(member.id));
  }
  m.finish();
  return 0;
}

}  // namespace gnomon::guest
