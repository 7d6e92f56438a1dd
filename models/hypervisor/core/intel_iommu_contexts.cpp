// SPDX-License-Identifier: Apache-2.0
// How IntelIommuDevice finds what translates an endpoint: root, context and PASID entries, as QEMU reads them.
#include "models/hypervisor/core/intel_iommu_device.hpp"
#include "models/spec/vtd/pasid_table_entry.hpp"
#include "models/spec/vtd/translation_tables.hpp"

namespace gnomon::hypervisor {

namespace {

constexpr std::uint64_t unreadable = ~std::uint64_t{0};
constexpr std::uint64_t word = sizeof(std::uint64_t);

}  // namespace

// Section 3.4. Kind::none where an entry on the way is absent, out of reach or has a reserved bit set.
IntelIommuDevice::Translation IntelIommuDevice::read_translation(SourceId source, VmmPort& port) const {
  const bool scalable = vtd::ttm_of(registers_.root()) == vtd::TranslationTableMode::scalable;
  const std::uint64_t function = source.value & 0xffu;
  const bool upper = scalable && function >= 128;
  const Gpa root_entry = Gpa{registers_.root() & vtd::mask(63, 12)} + (source.value >> 8) * sizeof(vtd::Bits128);
  const std::uint64_t root = port.read_entry(root_entry + (upper ? word : 0));
  const std::uint64_t reserved = vtd::mask(11, 1) | vtd::above_haw(config_.address_bits);
  if (root == unreadable || (root & 1) == 0 || (root & reserved) != 0) return {};
  const std::uint64_t offset = scalable ? function % 128 * sizeof(vtd::Bits256) : function * sizeof(vtd::Bits128);
  const Gpa context = Gpa{root & vtd::mask(63, 12)} + offset;
  const std::uint64_t low = port.read_entry(context);
  const std::uint64_t high = port.read_entry(context + word);
  if (low == unreadable || (low & 1) == 0) return {};
  return scalable ? scalable_translation(low, high, port) : legacy_translation(low, high);
}

IntelIommuDevice::Translation IntelIommuDevice::legacy_translation(std::uint64_t low, std::uint64_t high) const {
  const vtd::Bits128 raw{low, high};
  if (vtd::context_entry_reserved_set(raw, config_.address_bits)) return {};
  const vtd::ContextEntry entry = vtd::decode_context_entry(raw);
  if (entry.tt == vtd::TranslationType::pass_through) return {Translation::Kind::pass_through, entry.did, {}, 0, 0};
  const bool supported = entry.tt != vtd::TranslationType::reserved && has_width(entry.aw);
  if (!supported) return {};
  return {Translation::Kind::second_level, entry.did, Gpa{entry.ssptptr.value}, vtd::levels_of_aw(entry.aw), 0};
}

// By the PASID of requests without one.
IntelIommuDevice::Translation IntelIommuDevice::scalable_translation(std::uint64_t low, std::uint64_t high,
                                                                     VmmPort& port) const {
  const vtd::Bits256 raw_context{{low, high, 0, 0}};
  if (vtd::scalable_context_entry_reserved_set(raw_context, config_.address_bits)) return {};
  const vtd::ScalableContextEntry context = vtd::decode_scalable_context_entry(raw_context);
  const std::uint32_t pasid = context.rid_pasid;
  const std::uint32_t index = vtd::pasid_directory_index(pasid);
  if (index >= vtd::pasid_directory_entries(context.pdts)) return {};
  const std::uint64_t directory = port.read_entry(Gpa{context.pasiddirptr.value} + index * word);
  if (directory == unreadable || (directory & 1) == 0) return {};
  if (vtd::pasid_directory_entry_reserved_set(directory, config_.address_bits)) return {};
  const Gpa table{vtd::decode_pasid_directory_entry(directory).smptblptr.value};
  vtd::Bits512 raw;
  for (unsigned i = 0; i < 3; ++i) {
    raw.word[i] = port.read_entry(table + vtd::pasid_table_index(pasid) * sizeof(vtd::Bits512) + i * word);
  }
  if (raw.word[0] == unreadable || vtd::pasid_table_entry_reserved_set(raw, config_.address_bits)) return {};
  return translation_of(vtd::decode_pasid_table_entry(raw), pasid);
}

IntelIommuDevice::Translation IntelIommuDevice::translation_of(const vtd::PasidTableEntry& entry,
                                                               std::uint32_t pasid) const {
  if (!entry.p) return {};
  switch (entry.pgtt) {
    case vtd::TranslationGranularity::pass_through:
      return {Translation::Kind::pass_through, entry.did, {}, 0, pasid};
    case vtd::TranslationGranularity::second_stage:
      if (!shadows_by_invalidation() || !has_width(entry.aw)) return {};
      return {Translation::Kind::second_level, entry.did, Gpa{entry.ssptptr.value}, vtd::levels_of_aw(entry.aw),
              pasid};
    case vtd::TranslationGranularity::first_stage:
      if (shadows_by_invalidation() || entry.fspm != 0) return {};  // no 5-level tables
      return {Translation::Kind::first_level, entry.did, Gpa{entry.fsptptr}, vtd::levels_of_fspm(entry.fspm),
              pasid};
    default: return {};
  }
}

}  // namespace gnomon::hypervisor
