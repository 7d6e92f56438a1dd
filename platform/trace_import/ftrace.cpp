// SPDX-License-Identifier: Apache-2.0
// Lines of ftrace's text: prefix, name, and the handler of the name.
#include "platform/trace_import/ftrace.hpp"

#include <algorithm>

namespace gnomon::trace_import {

FtraceParser::FtraceParser(gtrace::StringTable& strings, const Knowledge& knowledge)
    : strings_(strings), knowledge_(knowledge) {
  know_iommu_events(names_);
  know_device_events(names_);
  noise_.know("blank lines", nullptr, "not events");
  noise_.know("header lines", nullptr, "not events");
  noise_.know("call chains", nullptr, "not events");
  noise_.know("lost events", nullptr, "the recorder says that it lost events here");
}

// "# entries-in-buffer/entries-written: 16000/16000   #P:2" starts a section.
void FtraceParser::header(std::string_view line) {
  Cursor in{line};
  if (!in.literal("# entries-in-buffer/entries-written: ")) return;
  std::uint64_t kept = 0, written = 0;
  if (!in.decimal(kept) || !in.literal("/") || !in.decimal(written)) return;
  end_of_section();
  has_header_ = true;
  promised_ = kept;
  if (written > kept) overrun_ += written - kept;
}

void FtraceParser::end_of_section() {
  if (has_header_ && met_ < promised_) short_of_ += promised_ - met_;
  met_ = 0;
}

void FtraceParser::parse(std::string_view line, Parsed& parsed) {
  const std::string_view noise = ftrace_noise(line);
  if (!noise.empty()) {
    parsed.tally = &noise_[noise].tally;
    if (noise == "header lines") header(line);
    if (noise == "lost events") {
      Cursor in{line.substr(line.find('[') + 1)};
      static_cast<void>(in.literal("LOST "));
      std::uint64_t count = 1;  // "[EVENTS DROPPED]" does not say how many
      static_cast<void>(in.decimal(count));
      lost_ += count;
    }
    return;
  }
  FtracePrefix prefix;
  const char* expected = nullptr;
  std::size_t column = 0;
  if (!parse_ftrace_prefix(line, prefix, expected, column)) return parsed.fail(column, expected);
  ++met_;
  parsed.timed = true;
  parsed.event.time_ns = prefix.time_ns;
  parsed.event.lane = prefix.cpu;
  parsed.event.task = prefix.pid;
  parsed.context = prefix.context;
  auto& entry = names_[prefix.event];
  parsed.tally = &entry.tally;
  if (entry.handler == nullptr) {
    const auto& keep = knowledge_.keep;
    if (std::find(keep.begin(), keep.end(), prefix.event) == keep.end()) return;
    parsed.outcome = Outcome::event;
    parsed.event.kind = gtrace::EventKind::mark;
    parsed.event.name = strings_.intern(prefix.event);
    return;
  }
  FtraceText text{Cursor{line}, parsed, strings_, knowledge_};
  text.cursor.move_to(prefix.text);
  if (text.cursor.rest().starts_with("[FAILED TO PARSE]")) {  // libtraceevent could not print it
    entry.tally.why = "the reporting tool could not print it";
    return;
  }
  parsed.outcome = Outcome::event;
  if (const char* missing = entry.handler(text)) parsed.fail(text.cursor.position(), missing);
}

void FtraceParser::describe(gtrace::Stream& stream) const {
  stream.format = "ftrace";
  stream.clock = "trace clock of the kernel that recorded it";
  stream.lane = "cpu";
  stream.tallies = names_.tallies();
  for (const auto& tally : noise_.tallies()) stream.tallies.push_back(tally);
  if (overrun_ != 0)
    stream.notes.push_back({"events written and overwritten before the buffer was read", overrun_});
  if (lost_ != 0) stream.notes.push_back({"events lost, as the recorder says", lost_});
}

std::string FtraceParser::missing() const {
  std::uint64_t gap = short_of_;
  if (has_header_ && met_ < promised_) gap += promised_ - met_;
  return gap == 0 ? ""
                  : std::to_string(gap) + " events that the header counts are not there: is the file truncated?";
}

}  // namespace gnomon::trace_import
