// SPDX-License-Identifier: Apache-2.0
// fio's iolog. Actions: iolog.c of fio 3.33.
#include "platform/trace_import/io_logs.hpp"

namespace gnomon::trace_import {
namespace {

using gtrace::Operation;

struct Action {
  std::string_view name;
  Operation operation;
};
constexpr Action transfers[] = {{"read", Operation::read},
                                {"write", Operation::write},
                                {"trim", Operation::trim},
                                {"sync", Operation::flush},
                                {"datasync", Operation::flush}};

}  // namespace

FioLogParser::FioLogParser(gtrace::StringTable& strings, unsigned version) : strings_(strings), version_(version) {
  names_.know("header", false, "not a request");
  for (const Action& action : transfers) names_.know(action.name, true);
  if (version == 2) names_.know("wait", true);
  for (const char* name : {"add", "open", "close"}) names_.know(name, false, "moves no data");
}

void FioLogParser::parse(std::string_view line, Parsed& parsed) {
  Cursor in{line};
  if (!headed_) {
    headed_ = true;
    const bool right = line == (version_ == 2 ? "fio version 2 iolog" : "fio version 3 iolog");
    if (right)
      parsed.tally = &names_["header"].tally;
    else
      parsed.fail(0, "fio version 2 iolog, or 3");
    return;
  }
  auto& e = parsed.event;
  std::uint64_t us = waited_us_;
  if (version_ == 3 && (!in.decimal(us) || !in.literal(" ")))
    return parsed.fail(in.position(), "MICROSECONDS FILE");
  if (__builtin_mul_overflow(us, std::uint64_t{1000}, &e.time_ns)) return parsed.fail(0, "a time within 64 bits");
  std::string_view file, what;
  if (!in.word(file) || !in.literal(" ") || !in.word(what)) return parsed.fail(in.position(), "FILE ACTION");
  e.device = strings_.intern(file);
  parsed.timed = true;
  action(in, what, parsed);
}

void FioLogParser::action(Cursor& in, std::string_view what, Parsed& parsed) {
  auto& e = parsed.event;
  const std::size_t column = in.position() - what.size();
  if (what == "add" || what == "open" || what == "close") {
    parsed.tally = &names_[what].tally;
    if (!in.at_end()) parsed.fail(in.position(), "the end of the line");
    return;
  }
  const Action* transfer = nullptr;
  for (const Action& each : transfers)
    if (each.name == what) transfer = &each;
  const bool wait = what == "wait" && version_ == 2;
  if (transfer == nullptr && !wait)
    return parsed.fail(column, "add, open, close, read, write, trim, sync, datasync or (version 2) wait");
  std::uint64_t offset = 0, length = 0;
  if (!in.literal(" ") || !in.decimal(offset) || !in.literal(" ") || !in.decimal(length) || !in.at_end())
    return parsed.fail(in.position(), "OFFSET LENGTH in bytes");
  parsed.tally = &names_[what].tally;
  if (wait) {
    parsed.outcome = Outcome::part;
    if (__builtin_add_overflow(waited_us_, offset, &waited_us_)) parsed.fail(column, "waits within 64 bits");
    return;
  }
  parsed.outcome = Outcome::event;
  e.kind = gtrace::EventKind::io_submit;
  e.operation = transfer->operation;
  e.queue = e.command = gtrace::unknown;
  e.lba = offset;
  e.blocks = length;
  e.block_bytes = 1;
}

void FioLogParser::describe(gtrace::Stream& stream) const {
  stream.format = version_ == 2 ? "fio-iolog-v2" : "fio-iolog-v3";
  stream.clock = version_ == 2 ? "the log's own waits, added up" : "since the start of the fio job";
  stream.lane = "none";
  stream.tallies = names_.tallies();
}

}  // namespace gnomon::trace_import
