// SPDX-License-Identifier: Apache-2.0
#include "models/iommu/tegra/tlb.hpp"

#include <algorithm>

namespace gnomon::iommu {

using namespace tegra;

namespace {

constexpr std::uint32_t present_bits = tegra::readable | tegra::writable;

constexpr std::uint64_t group_of(Iova iova) {
  return iova.value / group_bytes;
}

}  // namespace

std::optional<std::uint32_t> TegraTlb::lookup(std::uint8_t asid, Iova iova) {
  const std::uint64_t group = group_of(iova);
  for (std::uint32_t i = 0; i < active_; ++i) {
    Line& line = lines_[i];
    if (!line.is(asid, group)) continue;
    const std::uint32_t entry = line.entries[iova.page() % 4];
    if ((entry & present_bits) == 0) return std::nullopt;
    line.used = ++clock_;
    return entry;
  }
  return std::nullopt;
}

bool TegraTlb::fill(std::uint8_t asid, Iova iova, const Group& entries) {
  const std::uint64_t group = group_of(iova);
  Line* victim = nullptr;
  for (std::uint32_t i = 0; i < active_; ++i) {
    Line& line = lines_[i];
    if (line.is(asid, group)) {
      victim = &line;
      break;
    }
    if (victim == nullptr || line.used < victim->used) victim = &line;
  }
  if (victim == nullptr) return false;  // no line is active
  const bool evicted = victim->used != 0 && !victim->is(asid, group);
  *victim = {group, ++clock_, entries, asid};
  return evicted;
}

std::uint32_t TegraTlb::flush(const TlbFlush& which) {
  const auto hit = [&](const Line& line) {
    if (which.one_asid && line.asid != which.asid) return false;
    switch (which.match) {
      case TlbMatch::all: return true;
      case TlbMatch::section: return line.group * group_bytes / section_bytes == which.iova.value / section_bytes;
      case TlbMatch::group: return line.group == group_of(which.iova);
    }
    return false;
  };
  std::uint32_t dropped = 0;
  for (Line& line : lines_) {
    if (line.used == 0 || !hit(line)) continue;
    line.used = 0;
    ++dropped;
  }
  return dropped;
}

void TegraTlb::set_active(std::uint32_t lines) {
  active_ = std::min(lines, static_cast<std::uint32_t>(lines_.size()));
  for (std::size_t i = active_; i < lines_.size(); ++i) lines_[i].used = 0;
}

std::uint32_t TegraTlb::size() const {
  return static_cast<std::uint32_t>(
      std::count_if(lines_.begin(), lines_.end(), [](const Line& line) { return line.used != 0; }));
}

}  // namespace gnomon::iommu
