// SPDX-License-Identifier: Apache-2.0
// The text of one trace, line by line, into one stream of a gtrace.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "platform/gtrace/writer.hpp"
#include "platform/trace_import/assembler.hpp"
#include "platform/trace_import/findings.hpp"
#include "platform/trace_import/parser.hpp"
#include "platform/trace_import/unpack.hpp"

namespace gnomon::trace_import {

/// Memory does not grow with the text. Each line is an event, or noise of a documented kind, or a finding; so are a
/// time that runs backwards on its lane, a line repeated that cannot be, and an end within a line.
class LineImport final : public Pipe {
 public:
  /// `shown` names the text in findings. All references must outlive this. Begins a stream of the writer.
  LineImport(Format format, std::string shown, const Knowledge& knowledge, gtrace::GtraceWriter& writer,
             Findings& findings, const RunEvidence* earlier = nullptr);

  void push(std::string_view bytes) override;
  void finish() override;

  /// After finish(): the stream as the tools' output describes it, for GtraceWriter::end_stream().
  gtrace::Stream stream() const;

  RunEvidence take_evidence() { return assembler_.take_evidence(); }

  static constexpr std::size_t longest_line = 1 << 20;

 private:
  void line(std::string_view text);
  void use();
  bool in_order(std::string_view text);
  void finding(std::string_view text, std::size_t column, std::string message);

  std::string shown_;
  const Knowledge& knowledge_;
  gtrace::GtraceWriter& writer_;
  Findings& findings_;
  std::unique_ptr<TraceParser> parser_;
  Assembler assembler_;
  Parsed parsed_;
  std::string carry_;                                        // a line of which the end is still to come
  std::string repeatable_not_;                               // the line before, where it must not come again
  std::unordered_map<std::uint64_t, std::uint64_t> latest_;  // time of each lane
  std::uint64_t* last_time_ = nullptr;                       // of last_lane_, within latest_
  std::uint64_t last_lane_ = 0;
  std::uint64_t lines_ = 0;
  std::uint64_t device_ = 0;  // what Knowledge says, as a string's number
};

}  // namespace gnomon::trace_import
