// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/perfetto_encoding.hpp"

#include <array>

namespace gnomon::observe::perfetto {

/// Eight bytes are stored at once, however many of them count.
char* put_long(char* out, std::uint64_t value) {
  if (value >> 56 != 0) {
    for (; value > 127; value >>= 7) *out++ = static_cast<char>(value | 128);
    *out++ = static_cast<char>(value);
    return out;
  }
  const unsigned bytes = (static_cast<unsigned>(std::bit_width(value)) * 9 + 64) / 64;  // of seven bits each
  value = spread(static_cast<std::uint32_t>(value)) |
          std::uint64_t{spread(static_cast<std::uint32_t>(value >> 28))} << 32;
  value |= 0x8080'8080'8080'8080 & ((std::uint64_t{1} << 8 * (bytes - 1)) - 1);
  store(out, value);
  return out + bytes;
}

char* close_long_message(char* length, std::size_t bytes) {
  const auto more = static_cast<std::size_t>((std::bit_width(bytes) + 6) / 7 - 1);
  std::memmove(length + 1 + more, length + 1, bytes);
  char* const end = length + 1 + more + bytes;
  for (; bytes > 127; bytes >>= 7) *length++ = static_cast<char>(bytes | 128);  // nothing beyond it: not put()
  *length = static_cast<char>(bytes);
  return end;
}

void TimeEncoding::note(std::uint64_t upper) {
  std::array<char, 16> bytes{};
  length_ = static_cast<std::size_t>(put(bytes.data(), upper) - bytes.data());
  std::memcpy(&bytes_, bytes.data(), sizeof bytes_);
  upper_ = upper;
}

}  // namespace gnomon::observe::perfetto
