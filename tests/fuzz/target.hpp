// SPDX-License-Identifier: Apache-2.0
// A fuzz target: any bytes at all must leave what it promises in force. libFuzzer drives it with inputs it makes
// up, replay.cpp with those of the corpus.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <source_location>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace gnomon::fuzz {

/// A promise. A broken one ends the process, as libFuzzer wants it.
inline void promise(bool kept, const char* what, std::source_location at = std::source_location::current()) {
  if (kept) return;
  std::fprintf(stderr, "%s:%u: broken: %s\n", at.file_name(), static_cast<unsigned>(at.line()), what);
  std::abort();
}

}  // namespace gnomon::fuzz
