// SPDX-License-Identifier: Apache-2.0
// ftrace's text, as the kernel's trace file, trace_pipe, `trace-cmd report` and `perf script` print it. Printed
// formats: include/trace/events/{iommu,dma,intel_iommu,kvm}.h, drivers/nvme/host/trace.h, Linux 6.1 and 6.12.
#pragma once

#include "platform/trace_import/cursor.hpp"
#include "platform/trace_import/event_names.hpp"
#include "platform/trace_import/parser.hpp"

namespace gnomon::trace_import {

/// "comm-pid [cpu] flags time: event: text", up to the text.
struct FtracePrefix {
  std::uint64_t cpu = 0, pid = 0, time_ns = 0;
  Context context = Context::task;
  std::string_view event;  ///< without its group
  std::size_t text = 0;    ///< where it starts
};

/// False where the line does not start so; `expected` and `column` then say what is missing.
bool parse_ftrace_prefix(std::string_view line, FtracePrefix& prefix, const char*& expected, std::size_t& column);

/// Lines of a trace that are no event: headers, "CPU:1 [LOST 5 EVENTS]", call chains of perf. Else "".
std::string_view ftrace_noise(std::string_view line);

/// What an event's handler may use.
struct FtraceText {
  Cursor cursor;
  Parsed& parsed;
  gtrace::StringTable& strings;
  const Knowledge& knowledge;
};
/// Null where the text is as expected; else what was expected where the cursor stands.
using FtraceHandler = const char* (*)(FtraceText&);

/// Registers the handlers of a group of events, and the known events nobody needs.
void know_iommu_events(EventNames<FtraceHandler>& names);   ///< iommu, dma, intel_iommu
void know_device_events(EventNames<FtraceHandler>& names);  ///< nvme, kvm

class FtraceParser final : public TraceParser {
 public:
  FtraceParser(gtrace::StringTable& strings, const Knowledge& knowledge);
  void parse(std::string_view line, Parsed& parsed) override;
  void describe(gtrace::Stream& stream) const override;
  std::string missing() const override;

 private:
  void header(std::string_view line);
  void end_of_section();

  gtrace::StringTable& strings_;
  const Knowledge& knowledge_;
  EventNames<FtraceHandler> names_;
  EventNames<FtraceHandler> noise_;
  std::uint64_t promised_ = 0;  // entries, by the header of this section
  std::uint64_t met_ = 0;       // events of this section
  bool has_header_ = false;
  std::uint64_t short_of_ = 0;  // entries missing from sections
  std::uint64_t overrun_ = 0;   // events written and no longer in the buffer
  std::uint64_t lost_ = 0;      // as "[LOST n EVENTS]" says
};

}  // namespace gnomon::trace_import
