// SPDX-License-Identifier: Apache-2.0
// A fuzz target: any bytes at all must leave what it promises in force. libFuzzer drives it with inputs it makes
// up, replay.cpp with those of the corpus.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace gnomon::fuzz {

/// A promise. A broken one ends the process, as libFuzzer wants it. The place is the caller's: g++ and clang++ have
/// the builtins, clang++ 14 has no <source_location>.
inline void promise(bool kept, const char* what, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (kept) return;
  std::fprintf(stderr, "%s:%d: broken: %s\n", file, line, what);
  std::abort();
}

}  // namespace gnomon::fuzz
