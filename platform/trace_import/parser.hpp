// SPDX-License-Identifier: Apache-2.0
// What every format does for the import: it turns one line into an event, or says why there is none.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "platform/gtrace/event.hpp"
#include "platform/gtrace/stream.hpp"
#include "platform/gtrace/string_table.hpp"

namespace gnomon::trace_import {

/// What the user knows of a trace and the trace does not tell.
struct Knowledge {
  std::string device;             ///< of mappings and requests whose device is not in the trace
  std::uint64_t block_bytes = 0;  ///< of an NVMe namespace's logical block
  std::vector<std::string> keep;  ///< names of events that become marks
};

enum class Outcome : std::uint8_t {
  event,    ///< `event` is filled in
  part,     ///< used together with another line
  ignored,  ///< nothing of a workload
  bad,      ///< not what `expected` says, at `column`
};

/// In which context of its CPU the kernel was; each nests in those before it.
enum class Context : std::uint8_t { task, soft_interrupt, interrupt, unmaskable };
inline constexpr std::size_t contexts = 4;

/// Kinds of map and unmap that are not an event of their own yet: assembler.hpp.
enum class Piece : std::uint8_t {
  whole,      ///< stands alone
  iommu_run,  ///< iommu:map: one run, maybe of a mapping of several
  iommu_unmap,
  dma_map,        ///< the DMA API's view of the mapping just made
  dma_unmap,      ///< of the unmap just made
  dma_unmapping,  ///< of the unmap about to be made; without bytes, its address is not told
};

/// What a line said. Reused from line to line.
struct Parsed {
  Outcome outcome = Outcome::ignored;
  gtrace::Event event;
  bool timed = false;      ///< event.time_ns and event.lane are set, whatever the outcome
  bool repeatable = true;  ///< false: the same line twice in a row is a damaged file
  Context context = Context::task;
  Piece piece = Piece::whole;
  gtrace::Tally* tally = nullptr;  ///< of its kind of line; not for bad ones
  const char* expected = nullptr;
  std::size_t column = 0;  ///< bytes from the line's start

  void start() {
    outcome = Outcome::ignored;
    gtrace::clear(event);
    timed = false;
    repeatable = true;
    context = Context::task;
    piece = Piece::whole;
    tally = nullptr;
    expected = nullptr;
    column = 0;
  }
  void fail(std::size_t at, const char* what) {
    outcome = Outcome::bad;
    column = at;
    expected = what;
  }
};

class TraceParser {
 public:
  TraceParser() = default;
  TraceParser(const TraceParser&) = delete;
  TraceParser& operator=(const TraceParser&) = delete;
  virtual ~TraceParser() = default;

  /// `line` has no end of line. `parsed` was started.
  virtual void parse(std::string_view line, Parsed& parsed) = 0;

  /// Name of the format, clock and lane; tallies in the order of first use; notes.
  virtual void describe(gtrace::Stream& stream) const = 0;

  /// After the last line: what is missing, or "".
  virtual std::string missing() const { return ""; }
};

enum class Format : std::uint8_t { ftrace, qemu_log, fio_v2, fio_v3, blkparse };

/// Markdown: which events of ftrace and of QEMU are used, and which are known and ignored, and why.
std::string markdown_events();

std::unique_ptr<TraceParser> make_parser(Format format, gtrace::StringTable& strings, const Knowledge& knowledge);

}  // namespace gnomon::trace_import
