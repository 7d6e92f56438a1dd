// SPDX-License-Identifier: Apache-2.0
// The last part of a gtrace: strings, streams with their counts, and where the blocks are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform/gtrace/stream.hpp"

namespace gnomon::gtrace {

struct BlockPlace {
  std::uint64_t offset = 0;  ///< of its header in the file
  std::uint64_t stored = 0;  ///< bytes after the header
  std::uint64_t raw = 0;
  std::uint32_t stream = 0;
  std::uint32_t events = 0;
  bool operator==(const BlockPlace&) const = default;
};

struct Footer {
  std::vector<std::string> strings;  ///< the first is ""
  std::vector<Stream> streams;
  std::vector<BlockPlace> blocks;
  bool operator==(const Footer&) const = default;
};

std::string encode(const Footer& footer);
/// Throws GtraceError unless counts agree and the blocks lie one after the other from the header to
/// `footer_offset`.
Footer decode_footer(std::string_view bytes, std::uint64_t footer_offset);

}  // namespace gnomon::gtrace
