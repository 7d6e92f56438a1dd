// SPDX-License-Identifier: Apache-2.0
// The stream table as the SMMUv3 driver keeps it in the kernel's memory: two levels where the unit has them, a
// second-level table a PCI bus, made when a device of it appears; else one table for all.
#pragma once

#include <cstdint>
#include <vector>

#include "guest/kernel/kernel_memory.hpp"
#include "models/spec/smmuv3/registers.hpp"
#include "models/spec/smmuv3/stream_table.hpp"

namespace gnomon::guest {

class SmmuStreamTable {
 public:
  static constexpr unsigned split = 8;  ///< STRTAB_SPLIT

  /// For StreamIDs of `stream_bits`. Entries that are there abort. Throws std::bad_alloc.
  SmmuStreamTable(KernelMemory& memory, unsigned stream_bits, bool two_level)
      : memory_(memory),
        config_{static_cast<std::uint8_t>(stream_bits), split, two_level && stream_bits > split},
        base_(memory.allocate_ring(bytes(), rounded(bytes()))) {
    if (config_.two_level) {
      second_.resize(std::size_t{1} << (stream_bits - split));
    } else {
      for (smmuv3::StreamId sid = 0; sid != smmuv3::StreamId{1} << stream_bits; ++sid) block(entry(sid));
    }
  }

  Gpa base() const { return base_; }
  const smmuv3::StreamTableConfig& config() const { return config_; }
  bool contains(smmuv3::StreamId sid) const { return (std::uint64_t{sid} >> config_.log2size) == 0; }

  /// Makes the second-level table of `sid`, which must be contained. True where it was not there.
  bool prepare(smmuv3::StreamId sid) {
    if (!config_.two_level || second_[sid >> split] != Gpa{}) return false;
    constexpr std::uint64_t table_bytes = smmuv3::stream_table_entry_bytes << split;
    const Gpa table = memory_.allocate_ring(table_bytes, table_bytes);
    for (unsigned i = 0; i != 1u << split; ++i) block(table + i * smmuv3::stream_table_entry_bytes);
    second_[sid >> split] = table;
    memory_.ram().write(base_ + (sid >> split) * sizeof(std::uint64_t),
                        smmuv3::encode(smmuv3::StreamTableL1{split + 1, table.value}));
    return true;
  }
  /// Everything but the first word, which makes an entry valid and says what it is. `sid` must be prepared.
  void write_rest(smmuv3::StreamId sid, const smmuv3::StreamTableEntry& e) {
    const smmuv3::Bits512 raw = encode(e);
    for (unsigned word = 8; word-- > 1;)
      memory_.ram().write(entry(sid) + word * sizeof(std::uint64_t), raw.qw[word]);
  }
  void write_first(smmuv3::StreamId sid, const smmuv3::StreamTableEntry& e) {
    memory_.ram().write(entry(sid), encode(e).qw[0]);
  }

 private:
  std::uint64_t bytes() const {
    return config_.two_level ? sizeof(std::uint64_t) << (config_.log2size - split)
                             : smmuv3::stream_table_entry_bytes << config_.log2size;
  }
  static std::uint64_t rounded(std::uint64_t bytes) { return bytes < page_size ? page_size : bytes; }
  Gpa entry(smmuv3::StreamId sid) const {
    if (!config_.two_level) return base_ + sid * smmuv3::stream_table_entry_bytes;
    return second_[sid >> split] + (sid & ((1u << split) - 1)) * smmuv3::stream_table_entry_bytes;
  }
  void block(Gpa at) {
    smmuv3::StreamTableEntry e;
    e.v = true;
    memory_.ram().write(at, encode(e));
  }

  KernelMemory& memory_;
  smmuv3::StreamTableConfig config_;
  Gpa base_;
  std::vector<Gpa> second_;
};

}  // namespace gnomon::guest
