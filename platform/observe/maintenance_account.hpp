// SPDX-License-Identifier: Apache-2.0
// Where the time of maps and unmaps goes on an IOMMU whose driver tells: registers, cache lines, barriers, the
// rest.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "models/trace/events.hpp"

namespace gnomon::observe {

class MaintenanceAccount {
 public:
  void add(const trace::SmmuMaintained& e) {
    told_ = true;
    tlb_ps_ += e.tlb_ps;
    cache_ps_ += e.cache_ps;
    barrier_ps_ += e.barrier_ps;
    read_back_ps_ += e.read_back_ps;
    lines_cleaned_ += e.lines_cleaned;
    barriers_ += e.barriers;
    register_writes_ += e.register_writes;
    register_reads_ += e.register_reads;
  }
  /// The metrics of `calls` maps and unmaps that took `whole` picoseconds, flushes by hand included; none where no
  /// driver told.
  void append(std::vector<std::pair<std::string, double>>& out, std::uint64_t calls, std::uint64_t whole) const {
    if (!told_) return;
    const std::uint64_t rest = whole - (tlb_ps_ + cache_ps_ + barrier_ps_ + read_back_ps_);
    const auto mean = [&](std::uint64_t ps) { return calls == 0 ? 0 : number(ps) * 1e-3 / number(calls); };
    out.emplace_back("api.call_ns.mean", mean(whole));
    const std::array<std::pair<const char*, std::uint64_t>, 5> parts{{{"tlb", tlb_ps_},
                                                                      {"cache", cache_ps_},
                                                                      {"barrier", barrier_ps_},
                                                                      {"read_back", read_back_ps_},
                                                                      {"software", rest}}};
    for (const auto& [name, ps] : parts) out.emplace_back(std::string("api.") + name + "_ns.mean", mean(ps));
    for (const auto& [name, ps] : parts) {
      out.emplace_back(std::string("api.") + name + "_share", whole == 0 ? 0 : number(ps) / number(whole));
    }
    out.emplace_back("api.lines_cleaned", number(lines_cleaned_));
    out.emplace_back("api.barriers", number(barriers_));
    out.emplace_back("api.register_writes", number(register_writes_));
    out.emplace_back("api.register_reads", number(register_reads_));
  }

 private:
  static double number(std::uint64_t v) { return static_cast<double>(v); }

  bool told_ = false;
  std::uint64_t tlb_ps_ = 0, cache_ps_ = 0, barrier_ps_ = 0, read_back_ps_ = 0;
  std::uint64_t lines_cleaned_ = 0, barriers_ = 0, register_writes_ = 0, register_reads_ = 0;
};

}  // namespace gnomon::observe
