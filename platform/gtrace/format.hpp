// SPDX-License-Identifier: Apache-2.0
// What is fixed of a .gtrace file; docs/gtrace-format.md describes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace gnomon::gtrace {

/// The bytes are not those of a whole, undamaged gtrace.
class GtraceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The first byte is not ASCII, and both ends of line follow: a transfer as text is noticed.
inline constexpr std::string_view magic{"\x89GTR\r\n\x1a\n", 8};
inline constexpr std::string_view end_magic{"GTRACEnd", 8};
inline constexpr std::uint32_t format_version = 1;

inline constexpr std::size_t header_size = 16;  ///< magic, version, zero
inline constexpr std::size_t block_header_size =
    32;                                          ///< stream, events, raw size, stored size; hash; hash of these
inline constexpr std::size_t trailer_size = 40;  ///< footer: offset, stored size, raw size, hash; end magic

inline constexpr std::size_t block_target = 256 * 1024;  ///< a block is written when its events take so many bytes
inline constexpr std::size_t most_block_bytes = 4 * 1024 * 1024;
inline constexpr std::size_t most_footer_bytes = 64 * 1024 * 1024;
inline constexpr std::size_t most_strings = 65'536;
inline constexpr std::size_t longest_string = 4096;
inline constexpr std::size_t most_streams = 4096;

/// One zstd frame. Level 3: at 1, files of events were a fifth larger and no faster to make.
void compress(std::string& out, std::string_view raw);
/// Replaces `out`. Throws GtraceError where the frame is damaged or does not hold `raw_size` bytes.
void decompress(std::string& out, std::string_view stored, std::size_t raw_size);
std::uint64_t hash_of(std::string_view bytes);  ///< XXH3, 64 bits

}  // namespace gnomon::gtrace
