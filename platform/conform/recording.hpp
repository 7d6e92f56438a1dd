// SPDX-License-Identifier: Apache-2.0
// The guest's side of a recording: maps, unmaps and flushes in the order of the trace.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "guest/replay/script.hpp"
#include "platform/gtrace/reader.hpp"

namespace gnomon::conform {

struct RecordedStep {
  enum class Kind : std::uint8_t {
    map,
    unmap,
    flush_timer,  ///< fq_flush_timeout was entered
    flush_seen,   ///< the IOMMU was told to flush the domain: by the timer, or by a queue that was full
  };
  Kind kind = Kind::map;
  std::uint16_t cpu = 0;
  std::uint64_t time_ns = 0;
  std::uint64_t iova = 0;
  std::uint64_t bytes = 0;
  std::uint32_t mapping = 0;  ///< of map and unmap, into Recording::mappings
};

struct RecordedMapping {
  std::uint64_t iova = 0;
  std::uint64_t bytes = 0;
  gtrace::Direction direction = gtrace::Direction::unknown;
  std::vector<gtrace::Run> runs;
};

struct Recording {
  std::vector<RecordedStep> steps;
  std::vector<RecordedMapping> mappings;
  unsigned cpus = 1;
  std::string device;           ///< "0000:00:03.0"; empty: not told, or of more than one
  std::uint64_t unnamed = 0;    ///< maps and unmaps left out: the trace has several devices, and these name none
  bool flushes_marked = false;  ///< the trace shows the flush queue at work
  std::uint64_t mapped_before = 0;
};

/// Events whose times tell about the flush queue: kprobes on the functions of that name, which an import keeps.
inline constexpr const char* timer_mark = "k_fqtimeout";
inline constexpr const char* flush_mark = "k_fqiotlb";

/// Of the stream with most mappings, whatever devices they are of. Throws gtrace::GtraceError where there is none.
Recording read_recording(gtrace::GtraceReader& file);

/// The same, each device by itself where the trace names several: each has its domain, and IOVAs of its own. Marks
/// of flushes tell no device, and are then left out.
std::vector<Recording> read_recordings(gtrace::GtraceReader& file);

}  // namespace gnomon::conform
