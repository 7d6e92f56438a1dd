// SPDX-License-Identifier: Apache-2.0
// What a file is, by its first bytes; its name says nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "platform/trace_import/parser.hpp"

namespace gnomon::trace_import {

inline constexpr std::size_t sniffed_bytes = 64 * 1024;

enum class Container : std::uint8_t { none, zstd, gzip, tar };
/// Of at least 512 bytes, or all there are.
Container container_of(std::string_view head);

enum class Content : std::uint8_t { text, trace_dat, gtrace, perf_data, empty, foreign };
struct Sniffed {
  Content content = Content::foreign;
  std::optional<Format> format;  ///< of text
};
/// Of at least `sniffed_bytes` bytes, or all there are.
Sniffed sniff(std::string_view head);

/// "ftrace text, trace.dat, ...": what would have been accepted.
std::string_view accepted_contents();

}  // namespace gnomon::trace_import
