// SPDX-License-Identifier: Apache-2.0
// QEMU's log of trace events.
#include "tests/fuzz/trace_text.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  gnomon::fuzz::check_text(gnomon::trace_import::Format::qemu_log, text);
  return 0;
}
