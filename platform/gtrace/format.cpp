// SPDX-License-Identifier: Apache-2.0
// zstd and XXH3.
#include "platform/gtrace/format.hpp"

#include <xxhash.h>
#include <zstd.h>

namespace gnomon::gtrace {

void compress(std::string& out, std::string_view raw) {
  constexpr int level = 3;
  const std::size_t before = out.size();
  out.resize(before + ZSTD_compressBound(raw.size()));
  const std::size_t size = ZSTD_compress(out.data() + before, out.size() - before, raw.data(), raw.size(), level);
  if (ZSTD_isError(size) != 0) throw std::runtime_error{ZSTD_getErrorName(size)};
  out.resize(before + size);
}

void decompress(std::string& out, std::string_view stored, std::size_t raw_size) {
  out.resize(raw_size);
  const std::size_t size = ZSTD_decompress(out.data(), out.size(), stored.data(), stored.size());
  if (ZSTD_isError(size) != 0 || size != raw_size) throw GtraceError{"a block does not decompress"};
}

std::uint64_t hash_of(std::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace gnomon::gtrace
