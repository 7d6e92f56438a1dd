// SPDX-License-Identifier: Apache-2.0
// A hash table of live runs by address, with linear probing.
#include "platform/trace_import/run_evidence.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "models/base/address.hpp"

namespace gnomon::trace_import {

RunEvidence::RunEvidence() : slots_(1 << 10) {}

std::size_t RunEvidence::home(std::uint64_t address) const {
  return static_cast<std::size_t>((address >> page_shift) * 0x9e3779b97f4a7c15 >> 32) & (slots_.size() - 1);
}

std::size_t RunEvidence::find(std::uint64_t address) const {
  std::size_t i = home(address);
  while (slots_[i].bytes_in_pages != 0 && slots_[i].address != address) i = (i + 1) & (slots_.size() - 1);
  return i;
}

void RunEvidence::remove(std::size_t at) {
  --live_;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = (at + 1) & mask; slots_[i].bytes_in_pages != 0; i = (i + 1) & mask) {
    if (((i - home(slots_[i].address)) & mask) < ((i - at) & mask)) continue;
    slots_[at] = slots_[i];
    at = i;
  }
  slots_[at] = {};
}

void RunEvidence::grow() {
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots_.size() * 2));
  for (const Slot& slot : old)
    if (slot.bytes_in_pages != 0) slots_[find(slot.address)] = slot;
}

void RunEvidence::prove(std::uint32_t run, Boundary boundary) {
  proven_[run] = static_cast<std::uint8_t>((proven_[run] & was_joined) | static_cast<std::uint8_t>(boundary));
}

void RunEvidence::map(std::uint64_t address, std::uint64_t bytes, bool joined) {
  const std::size_t run = proven_.size();
  proven_.push_back(joined ? was_joined : 0);
  constexpr std::uint64_t most_pages = std::numeric_limits<std::uint32_t>::max();
  const std::uint64_t pages = bytes >> page_shift;
  if (pages == 0 || pages > most_pages || bytes % page_size != 0 || run > most_pages) return;
  std::size_t at = find(address);
  if (slots_[at].bytes_in_pages == 0) {
    if (live_ == most_live) return;
    if (++live_ * 2 > slots_.size()) {
      grow();
      at = find(address);
    }
  }
  slots_[at] = {address, static_cast<std::uint32_t>(pages), static_cast<std::uint32_t>(run)};
}

void RunEvidence::unmap(std::uint64_t address, std::uint64_t bytes) {
  const std::uint64_t end = address + bytes;
  bool first = true;
  for (std::uint64_t next = address; next - address < bytes;) {
    const std::size_t at = find(next);
    const Slot slot = slots_[at];
    if (slot.bytes_in_pages == 0) break;
    prove(slot.run, first ? Boundary::starts : Boundary::continues);
    first = false;
    next += std::uint64_t{slot.bytes_in_pages} << page_shift;
    remove(at);
  }
  // What begins where this mapping ended was none of it.
  if (const Slot& after = slots_[find(end)]; after.bytes_in_pages != 0) prove(after.run, Boundary::starts);
}

void RunEvidence::confirm(std::uint64_t address, std::uint64_t bytes) {
  for (std::uint64_t next = address; next - address < bytes;) {
    const Slot& slot = slots_[find(next)];
    if (slot.bytes_in_pages == 0) break;
    prove(slot.run, next == address ? Boundary::starts : Boundary::continues);
    next += std::uint64_t{slot.bytes_in_pages} << page_shift;
  }
}

std::uint64_t RunEvidence::unproven_joins() const {
  return static_cast<std::uint64_t>(std::count(proven_.begin(), proven_.end(), was_joined));
}

std::uint64_t RunEvidence::contradictions() const {
  std::uint64_t count = 0;
  for (const std::uint8_t each : proven_) {
    const auto boundary = static_cast<Boundary>(each & 3);
    count += boundary != Boundary::unproven && ((each & was_joined) != 0) != (boundary == Boundary::continues);
  }
  return count;
}

}  // namespace gnomon::trace_import
