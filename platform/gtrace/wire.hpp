// SPDX-License-Identifier: Apache-2.0
// Integers as bytes: LEB128 varints, zigzag for what may be negative, little-endian words of fixed size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gnomon::gtrace {

inline void put_varint(std::string& out, std::uint64_t value) {
  char bytes[10];
  std::size_t length = 0;
  for (; value >= 0x80; value >>= 7) bytes[length++] = static_cast<char>(value | 0x80);
  bytes[length++] = static_cast<char>(value);
  out.append(bytes, length);
}

/// Takes a varint off the front. False where there is none: the bytes end, or it is longer than 64 bits.
[[nodiscard]] inline bool get_varint(std::string_view& in, std::uint64_t& value) {
  value = 0;
  for (unsigned i = 0; i < 10 && i < in.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(in[i]);
    if (i == 9 && byte > 1) return false;
    value |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      in.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

/// The difference of two unsigned numbers, modulo 2^64, small where they are near; and back.
constexpr std::uint64_t difference(std::uint64_t value, std::uint64_t base) {
  const auto d = value - base;
  return (d << 1) ^ (0 - (d >> 63));
}
constexpr std::uint64_t sum(std::uint64_t base, std::uint64_t encoded) {
  return base + ((encoded >> 1) ^ (0 - (encoded & 1)));
}

template <class Word>
void put_word(std::string& out, Word value) {
  for (unsigned i = 0; i < sizeof(Word); ++i)
    out += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
}

/// The word at `offset`, which must lie within.
template <class Word>
Word word_at(std::string_view in, std::size_t offset) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < sizeof(Word); ++i)
    value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(in[offset + i])) << (8 * i);
  return static_cast<Word>(value);
}

}  // namespace gnomon::gtrace
