// SPDX-License-Identifier: Apache-2.0
#include "guest/intel_iommu/translation_tables.hpp"

#include <stdexcept>

namespace gnomon::guest {

namespace {

constexpr std::uint64_t word = sizeof(std::uint64_t);
constexpr std::uint64_t present = 1;
constexpr std::uint64_t page_of = ~(page_size - 1);
constexpr std::uint8_t directory_size = 2;  // PDTS: 2^(2 + 7) entries fill a page

}  // namespace

// The root entry's half, in scalable mode, is of 128 functions.
Gpa IntelTranslationTables::context_at(SourceId device) {
  const std::uint64_t bus = device.value >> 8;
  const std::uint64_t function = device.value & 0xffu;
  const bool upper = scalable_ && function >= 128;
  const Gpa root_entry = root_ + bus * sizeof(vtd::Bits128) + (upper ? word : 0);
  std::uint64_t raw = memory_.ram().read<std::uint64_t>(root_entry);
  if ((raw & present) == 0) {
    raw = memory_.allocate().value | present;
    memory_.ram().write(root_entry, raw);
  }
  const Gpa table{raw & page_of};
  return scalable_ ? table + function % 128 * sizeof(vtd::Bits256) : table + function * sizeof(vtd::Bits128);
}

// The word with the present bit is stored last.
void IntelTranslationTables::set_context(SourceId device, const vtd::ContextEntry& entry) {
  const vtd::Bits128 raw = encode(entry);
  const Gpa at = context_at(device);
  memory_.ram().write(at + word, raw.hi);
  memory_.ram().write(at, raw.lo);
}

void IntelTranslationTables::clear_context(SourceId device) {
  const Gpa at = context_at(device);
  memory_.ram().write<std::uint64_t>(at, 0);
  memory_.ram().write<std::uint64_t>(at + word, 0);
}

bool IntelTranslationTables::set_scalable_context(SourceId device, bool device_tlb) {
  const Gpa at = context_at(device);
  if ((memory_.ram().read<std::uint64_t>(at) & present) != 0) return false;
  const Gpa directory = memory_.allocate();
  vtd::PasidDirectoryEntry first;
  first.p = true;
  first.smptblptr = Hpa{memory_.allocate().value};
  memory_.ram().write(directory + vtd::pasid_directory_index(rid_pasid) * word, encode(first));
  vtd::ScalableContextEntry entry;
  entry.p = true;
  entry.dte = device_tlb;
  entry.pdts = directory_size;
  entry.pasiddirptr = Hpa{directory.value};
  entry.rid_pasid = rid_pasid;
  const vtd::Bits256 raw = encode(entry);
  for (unsigned i = 4; i-- > 0;) memory_.ram().write(at + i * word, raw.word[i]);
  return true;
}

Gpa IntelTranslationTables::pasid_entry_at(SourceId device) {
  const std::uint64_t context = memory_.ram().read<std::uint64_t>(context_at(device));
  if ((context & present) == 0) throw std::logic_error("a PASID of a device without a context");
  const Gpa directory{context & page_of};
  const auto raw = memory_.ram().read<std::uint64_t>(directory + vtd::pasid_directory_index(rid_pasid) * word);
  return Gpa{raw & page_of} + vtd::pasid_table_index(rid_pasid) * sizeof(vtd::Bits512);
}

void IntelTranslationTables::set_pasid(SourceId device, const vtd::PasidTableEntry& entry) {
  const vtd::Bits512 raw = encode(entry);
  const Gpa at = pasid_entry_at(device);
  for (unsigned i = 8; i-- > 0;) memory_.ram().write(at + i * word, raw.word[i]);
}

void IntelTranslationTables::clear_pasid(SourceId device) {
  const Gpa at = pasid_entry_at(device);
  for (unsigned i = 0; i < 8; ++i) memory_.ram().write<std::uint64_t>(at + i * word, 0);
}

}  // namespace gnomon::guest
