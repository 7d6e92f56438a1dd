// SPDX-License-Identifier: Apache-2.0
// A hash table with linear probing; what follows a removed entry moves up.
#include "platform/trace_import/live_mappings.hpp"

namespace gnomon::trace_import {
namespace {

constexpr std::size_t slots = 1 << 17;
constexpr std::uint64_t most_live = slots / 2;

}  // namespace

LiveMappings::LiveMappings() : slots_(slots) {}

std::size_t LiveMappings::home(std::uint64_t address) const {
  return static_cast<std::size_t>((address >> 12) * 0x9e3779b97f4a7c15 >> 47) & (slots - 1);
}

std::size_t LiveMappings::find(std::uint64_t address, std::uint64_t device) const {
  std::size_t i = home(address);
  for (; slots_[i].bytes != 0; i = (i + 1) & (slots - 1)) {
    const Slot& s = slots_[i];
    if (s.address == address && (s.device == device || s.device == 0 || device == 0)) break;
  }
  return i;
}

void LiveMappings::remove(std::size_t at) {
  --counts_.live;
  for (std::size_t i = (at + 1) & (slots - 1); slots_[i].bytes != 0; i = (i + 1) & (slots - 1)) {
    const std::size_t from_home = (i - home(slots_[i].address)) & (slots - 1);
    if (from_home >= ((i - at) & (slots - 1))) {
      slots_[at] = slots_[i];
      at = i;
    }
  }
  slots_[at] = {};
}

void LiveMappings::add(const gtrace::Event& e) {
  if (e.kind == gtrace::EventKind::map) {
    if (e.bytes == 0) return;
    const std::size_t at = find(e.address, e.device);
    if (slots_[at].bytes != 0) {
      ++counts_.mapped_again;
    } else if (counts_.live == most_live) {
      ++counts_.not_held;
      return;
    } else {
      ++counts_.live;
    }
    slots_[at] = {e.address, e.bytes, e.device};
  } else if (e.kind == gtrace::EventKind::unmap) {
    const std::size_t at = find(e.address, e.device);
    if (slots_[at].bytes == 0) {
      if (counts_.not_held == 0) ++counts_.never_mapped;
      return;
    }
    if (slots_[at].bytes != e.bytes) ++counts_.other_size;
    remove(at);
  }
}

}  // namespace gnomon::trace_import
