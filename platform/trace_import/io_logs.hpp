// SPDX-License-Identifier: Apache-2.0
// Logs of block requests alone: fio's write_iolog, versions 2 and 3 (fio 3.33), and blkparse's default text
// (1.2.0).
#pragma once

#include "platform/trace_import/cursor.hpp"
#include "platform/trace_import/event_names.hpp"
#include "platform/trace_import/parser.hpp"

namespace gnomon::trace_import {

/// "fio version 2 iolog", then FILE ACTION [OFFSET LENGTH]; version 3 has a time in microseconds before the file.
/// Version 2 has no times but those of its wait lines, which are added up.
class FioLogParser final : public TraceParser {
 public:
  FioLogParser(gtrace::StringTable& strings, unsigned version);
  void parse(std::string_view line, Parsed& parsed) override;
  void describe(gtrace::Stream& stream) const override;

 private:
  void action(Cursor& in, std::string_view what, Parsed& parsed);

  gtrace::StringTable& strings_;
  unsigned version_;
  EventNames<bool> names_;
  std::uint64_t waited_us_ = 0;
  bool headed_ = false;
};

/// "  8,0    3   11     0.009507758   697  C   W 223490 + 8 [0]". Sectors are 512 bytes.
class BlkparseParser final : public TraceParser {
 public:
  explicit BlkparseParser(gtrace::StringTable& strings);
  void parse(std::string_view line, Parsed& parsed) override;
  void describe(gtrace::Stream& stream) const override;

 private:
  gtrace::StringTable& strings_;
  EventNames<bool> names_;
  EventNames<bool> noise_;
  bool in_summary_ = false;
};

/// True where a line starts as an event of blkparse's text does.
bool is_blkparse_event(std::string_view line);

}  // namespace gnomon::trace_import
