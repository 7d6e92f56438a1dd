// SPDX-License-Identifier: Apache-2.0
// Every fixed word of the timeline, numbered at compile time: a word that is not listed here does not compile.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "platform/observe/perfetto_writer.hpp"

namespace gnomon::observe::perfetto {

inline constexpr std::array<std::string_view, 55> event_words = {"window opened",
                                                                 "window closed",
                                                                 "submit read",
                                                                 "submit write",
                                                                 "dispatch",
                                                                 "complete",
                                                                 "reap read",
                                                                 "reap write",
                                                                 "requeue",
                                                                 "unfinished",
                                                                 "map",
                                                                 "map (failed)",
                                                                 "unmap",
                                                                 "unmap (deferred)",
                                                                 "flush queue drain (full)",
                                                                 "flush queue drain (timer)",
                                                                 "sync after unmap",
                                                                 "sync after map",
                                                                 "early sync",
                                                                 "flush all",
                                                                 "request attach",
                                                                 "request detach",
                                                                 "request map",
                                                                 "request unmap",
                                                                 "request probe",
                                                                 "request invalidate",
                                                                 "request wait",
                                                                 "request configure",
                                                                 "kick (suppressed)",
                                                                 "task",
                                                                 "interrupt",
                                                                 "softirq",
                                                                 "idle",
                                                                 "host",
                                                                 "held",
                                                                 "pending interrupt",
                                                                 "VFIO_IOMMU_MAP_DMA",
                                                                 "VFIO_IOMMU_UNMAP_DMA",
                                                                 "eventfd wake-up",
                                                                 "DMA read",
                                                                 "DMA write",
                                                                 "DMA read, page walk",
                                                                 "DMA write, page walk",
                                                                 "DMA fault",
                                                                 "invalidate page",
                                                                 "invalidate range",
                                                                 "invalidate domain",
                                                                 "invalidate global",
                                                                 "wait descriptor",
                                                                 "submission doorbell",
                                                                 "completion doorbell",
                                                                 "fetch",
                                                                 "media busy",
                                                                 "post completion",
                                                                 "flushed"};

inline constexpr std::array<std::string_view, 7> verdict_words = {
    "stale DMA",   "missing invalidation", "shadow divergence", "map not visible",
    "early reuse", "spurious fault",       "pin leak"};

inline constexpr std::array<std::string_view, 29> annotation_words = {"io",
                                                                      "offset",
                                                                      "bytes",
                                                                      "job",
                                                                      "device",
                                                                      "status",
                                                                      "latency (ns)",
                                                                      "queue",
                                                                      "command",
                                                                      "iova",
                                                                      "gpa",
                                                                      "hpa",
                                                                      "domain",
                                                                      "runs",
                                                                      "cpu",
                                                                      "vector",
                                                                      "requests",
                                                                      "source id",
                                                                      "page-walk reads",
                                                                      "entries evicted",
                                                                      "entries dropped",
                                                                      "leaf only",
                                                                      "value",
                                                                      "channel",
                                                                      "jobs",
                                                                      "ioctl status",
                                                                      "request status",
                                                                      "NVMe status",
                                                                      "reason"};

namespace detail {
template <std::size_t n>
consteval std::uint64_t number_of(const std::array<std::string_view, n>& words, std::string_view word) {
  for (std::size_t i = 0; i < n; ++i) {
    if (words[i] == word) return i + 1;
  }
  throw "not a word of the timeline";
}
}  // namespace detail

/// The interned id of an event's name. Ids from 1; 0 is not one.
consteval std::uint64_t name(std::string_view word) {
  return detail::number_of(event_words, word);
}
inline constexpr std::uint64_t first_verdict_name = event_words.size() + 1;
inline constexpr std::uint64_t first_free_name = first_verdict_name + verdict_words.size();

/// The interned id of an annotation's name.
struct Key {
  consteval Key(const char* word)
      : iid(detail::number_of(annotation_words, word)) {}  // implicit: it reads as the word
  std::uint64_t iid;
};
constexpr Annotation number(Key key, std::uint64_t value) {
  return {key.iid, value, Annotation::Kind::number};
}
constexpr Annotation pointer(Key key, std::uint64_t value) {
  return {key.iid, value, Annotation::Kind::pointer};
}
constexpr Annotation truth(Key key, std::uint64_t value) {
  return {key.iid, value, Annotation::Kind::truth};
}

}  // namespace gnomon::observe::perfetto
