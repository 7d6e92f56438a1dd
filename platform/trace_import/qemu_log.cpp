// SPDX-License-Identifier: Apache-2.0
// Lines of QEMU's log: prefix, name, and the handler of the name.
#include "platform/trace_import/qemu_log.hpp"

#include <algorithm>

namespace gnomon::trace_import {
namespace {

bool is_event_name(std::string_view name) {
  return name.find('_') != std::string_view::npos && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
         });
}

}  // namespace

bool parse_qemu_prefix(std::string_view line, std::uint64_t& thread, std::uint64_t& time_ns, bool& timed,
                       std::string_view& name, std::size_t& text) {
  Cursor in{line};
  timed = in.decimal(thread);
  if (timed && (!in.literal("@") || !in.seconds(time_ns) || !in.literal(":"))) return false;
  // A name without arguments has its blank too: a list of events, as -trace events= takes it, is no log.
  if (!in.word(name) || !is_event_name(name) || !in.literal(" ")) return false;
  text = in.position();
  return true;
}

QemuLogParser::QemuLogParser(gtrace::StringTable& strings, const Knowledge& knowledge)
    : strings_(strings), knowledge_(knowledge) {
  know_qemu_iommu_events(names_);
  know_qemu_device_events(names_);
  noise_.know("messages of QEMU", nullptr, "not events");
  noise_.know("blank lines", nullptr, "not events");
}

void QemuLogParser::parse(std::string_view line, Parsed& parsed) {
  if (line.empty() || line.starts_with("qemu-system-") || line.starts_with("qemu: ")) {
    parsed.tally = &noise_[line.empty() ? "blank lines" : "messages of QEMU"].tally;
    return;
  }
  bool timed = false;
  std::string_view name;
  std::size_t text_at = 0;
  auto& e = parsed.event;
  if (!parse_qemu_prefix(line, e.lane, e.time_ns, timed, name, text_at))
    return parsed.fail(0, "THREAD@SECONDS.MICROSECONDS:EVENT TEXT");
  if (started_ && timed != timed_) return parsed.fail(0, timed_ ? "a time, as in the lines before" : "no time");
  started_ = true;
  parsed.timed = timed_ = timed;
  if (!timed) e.lane = e.time_ns = 0;
  auto& entry = names_[name];
  parsed.tally = &entry.tally;
  if (entry.handler == nullptr) {
    const auto& keep = knowledge_.keep;
    if (std::find(keep.begin(), keep.end(), name) == keep.end()) return;
    parsed.outcome = Outcome::event;
    e.kind = gtrace::EventKind::mark;
    e.name = strings_.intern(name);
    return;
  }
  QemuText text{Cursor{line}, parsed, strings_, knowledge_, in_flight_};
  text.cursor.move_to(text_at);
  parsed.outcome = Outcome::event;
  if (const char* missing = entry.handler(text)) return parsed.fail(text.cursor.position(), missing);
  if (!text.cursor.at_end()) parsed.fail(text.cursor.position(), "the end of the line");
}

void QemuLogParser::describe(gtrace::Stream& stream) const {
  stream.format = "qemu-log";
  stream.clock = timed_ ? "real-time clock of QEMU's host, since 1970" : "none: the order of the lines";
  stream.lane = timed_ ? "thread" : "none";
  stream.tallies = names_.tallies();
  for (const auto& tally : noise_.tallies()) stream.tallies.push_back(tally);
}

}  // namespace gnomon::trace_import
