// SPDX-License-Identifier: Apache-2.0
// fio's logs of single requests; the version is that of the first line.
#include "tests/fuzz/trace_text.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const bool third = text.starts_with("fio version 3");
  gnomon::fuzz::check_text(third ? gnomon::trace_import::Format::fio_v3 : gnomon::trace_import::Format::fio_v2,
                           text);
  return 0;
}
