// SPDX-License-Identifier: Apache-2.0
// blkparse's text: device, CPU, sequence, seconds, pid, action, RWBS, and what the action adds.
#include "platform/trace_import/io_logs.hpp"

namespace gnomon::trace_import {
namespace {

using gtrace::EventKind;
using gtrace::Operation;

struct Columns {
  std::string_view device, action, rwbs;
  std::uint64_t cpu = 0, pid = 0, time_ns = 0;
};

bool device_number(Cursor& in, std::string_view line, std::string_view& device) {
  std::uint64_t major = 0, minor = 0;
  in.spaces();
  const std::size_t start = in.position();
  if (!in.decimal(major) || !in.literal(",") || !in.decimal(minor)) return false;
  device = line.substr(start, in.position() - start);
  return true;
}

const char* columns(Cursor& in, std::string_view line, Columns& c) {
  std::uint64_t sequence = 0;
  if (!device_number(in, line, c.device)) return "MAJOR,MINOR";
  in.spaces();
  if (!in.decimal(c.cpu)) return "the CPU";
  in.spaces();
  if (!in.decimal(sequence)) return "the sequence number";
  in.spaces();
  if (!in.seconds(c.time_ns)) return "SECONDS.NANOSECONDS";
  in.spaces();
  if (!in.decimal(c.pid)) return "the pid";
  in.spaces();
  if (!in.word(c.action) || c.action.size() > 2) return "an action, of one or two letters";
  in.spaces();
  return nullptr;
}

/// RWBS: F before is a flush, then R, W, D or N; the rest are hints.
Operation operation_of(std::string_view rwbs) {
  for (const char c : rwbs) {
    if (c == 'R') return Operation::read;
    if (c == 'W') return Operation::write;
    if (c == 'D') return Operation::trim;
    if (c == 'N') return Operation::other;
  }
  return rwbs.find('F') != std::string_view::npos ? Operation::flush : Operation::unknown;
}

// "SECTOR + COUNT [COMM]", or only "[COMM]" of a flush that carries no data.
const char* extent(Cursor& in, gtrace::Event& e) {
  in.spaces();
  if (in.decimal(e.lba)) {
    if (!in.literal(" + ") || !in.decimal(e.blocks)) return "SECTOR + COUNT";
    in.spaces();
  }
  if (in.peek() == '(') {  // a pass-through command's bytes, or a completion's elapsed time
    std::string_view skipped;
    if (!in.before(')', skipped) || !in.literal(")")) return "')'";
    in.spaces();
  }
  return in.peek() == '[' && in.rest().ends_with(']') ? nullptr : "[COMM] or [ERROR]";
}

bool is_summary(std::string_view line) {
  for (const std::string_view start : {"CPU", "Total (", "Throughput (", "Events (", "Skips:", "Input file "})
    if (line.starts_with(start)) return true;
  return line.starts_with(" ") && line.find(':') != std::string_view::npos;
}

}  // namespace

bool is_blkparse_event(std::string_view line) {
  Cursor in{line};
  Columns c;
  return columns(in, line, c) == nullptr;
}

BlkparseParser::BlkparseParser(gtrace::StringTable& strings) : strings_(strings) {
  for (const char* name : {"Q", "D", "C"}) names_.know(name, true);
  for (const char* name : {"G", "I", "M", "F", "S", "P", "U", "UT", "X", "A", "B", "R", "m"})
    names_.know(name, false, "a step between Q, D and C");
  noise_.know("summary lines", false, "not events");
}

void BlkparseParser::parse(std::string_view line, Parsed& parsed) {
  Cursor in{line};
  Columns c;
  const char* missing = columns(in, line, c);
  if (missing != nullptr) {
    in_summary_ = in_summary_ || is_summary(line);
    if (line.empty() || in_summary_)
      parsed.tally = &noise_["summary lines"].tally;
    else
      parsed.fail(in.position(), missing);
    return;
  }
  if (in_summary_) return parsed.fail(0, "nothing but the summary at the end");
  auto& e = parsed.event;
  parsed.timed = true;
  e.time_ns = c.time_ns;
  e.lane = c.cpu;
  e.task = c.pid;
  auto& entry = names_[c.action];
  parsed.tally = &entry.tally;
  if (!entry.handler) return;
  if (!in.word(c.rwbs)) return parsed.fail(in.position(), "RWBS letters");
  e.kind = c.action == "Q" ? EventKind::io_queue : c.action == "D" ? EventKind::io_submit : EventKind::io_complete;
  e.device = strings_.intern(c.device);
  e.operation = operation_of(c.rwbs);
  e.queue = e.command = gtrace::unknown;
  constexpr std::uint64_t sector = 512;
  e.block_bytes = sector;
  if ((missing = extent(in, e)) != nullptr) return parsed.fail(in.position(), missing);
  static_cast<void>(in.literal("["));
  if (e.kind == EventKind::io_complete) static_cast<void>(in.decimal(e.status));
  parsed.outcome = Outcome::event;
}

void BlkparseParser::describe(gtrace::Stream& stream) const {
  stream.format = "blkparse";
  stream.clock = "since the start of blktrace";
  stream.lane = "cpu";
  stream.tallies = names_.tallies();
  for (const auto& tally : noise_.tallies()) stream.tallies.push_back(tally);
}

}  // namespace gnomon::trace_import
