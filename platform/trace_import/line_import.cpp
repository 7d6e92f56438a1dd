// SPDX-License-Identifier: Apache-2.0
// Cuts text into lines, has each parsed, and checks what holds for the lines of every format.
#include "platform/trace_import/line_import.hpp"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "platform/trace_import/ftrace.hpp"
#include "platform/trace_import/io_logs.hpp"
#include "platform/trace_import/qemu_log.hpp"

namespace gnomon::trace_import {
namespace {

constexpr std::size_t most_lanes = 65'536;

std::string seconds(std::uint64_t ns) {
  return fmt::format("{}.{:09} s", ns / 1'000'000'000, ns % 1'000'000'000);
}

}  // namespace

std::unique_ptr<TraceParser> make_parser(Format format, gtrace::StringTable& strings, const Knowledge& knowledge) {
  switch (format) {
    case Format::ftrace: return std::make_unique<FtraceParser>(strings, knowledge);
    case Format::qemu_log: return std::make_unique<QemuLogParser>(strings, knowledge);
    case Format::fio_v2: return std::make_unique<FioLogParser>(strings, 2);
    case Format::fio_v3: return std::make_unique<FioLogParser>(strings, 3);
    case Format::blkparse: return std::make_unique<BlkparseParser>(strings);
  }
  return nullptr;
}

LineImport::LineImport(Format format, std::string shown, const Knowledge& knowledge, gtrace::GtraceWriter& writer,
                       Findings& findings, const RunEvidence* earlier)
    : shown_(std::move(shown)),
      knowledge_(knowledge),
      writer_(writer),
      findings_(findings),
      parser_(make_parser(format, writer.strings(), knowledge)),
      assembler_([this](const gtrace::Event& event) { writer_.add(event); }, earlier) {
  writer_.begin_stream();
  if (!knowledge_.device.empty()) device_ = writer_.strings().intern(knowledge_.device);
}

void LineImport::finding(std::string_view text, std::size_t column, std::string message) {
  findings_.add(shown_, lines_, column, std::move(message), text);
}

void LineImport::push(std::string_view bytes) {
  while (!bytes.empty()) {
    const void* end = std::memchr(bytes.data(), '\n', bytes.size());
    if (end == nullptr) {
      carry_ += bytes;
      if (carry_.size() > longest_line) {
        ++lines_;
        finding({}, 0, "a line of more than 1 MiB: this is no trace");
        throw TooManyFindings{};
      }
      return;
    }
    const auto size = static_cast<std::size_t>(static_cast<const char*>(end) - bytes.data());
    if (carry_.empty()) {
      line(bytes.substr(0, size));
    } else {
      carry_ += bytes.substr(0, size);
      line(carry_);
      carry_.clear();
    }
    bytes.remove_prefix(size + 1);
  }
}

void LineImport::line(std::string_view text) {
  ++lines_;
  if (text.ends_with('\r')) text.remove_suffix(1);
  parsed_.start();
  try {
    parser_->parse(text, parsed_);
  } catch (const std::length_error& error) {
    return finding(text, 0, error.what());
  }
  if (parsed_.outcome == Outcome::bad)
    return finding(text, parsed_.column, std::string{"expected "} + parsed_.expected);
  if (parsed_.timed && !in_order(text)) return;
  if (!parsed_.repeatable && text == repeatable_not_)
    return finding(text, 0, "this line repeats the line before it");
  if (parsed_.repeatable)
    repeatable_not_.clear();
  else
    repeatable_not_ = text;
  use();
}

void LineImport::use() {
  gtrace::Tally& tally = *parsed_.tally;
  switch (parsed_.outcome) {
    case Outcome::ignored: ++tally.ignored; return;
    case Outcome::part: ++tally.used; return;
    default: break;
  }
  gtrace::Event& e = parsed_.event;
  if (e.device == 0 && (e.kind == gtrace::EventKind::map || e.kind == gtrace::EventKind::unmap)) e.device = device_;
  ++tally.used;
  assembler_.add(parsed_);
}

bool LineImport::in_order(std::string_view text) {
  const gtrace::Event& e = parsed_.event;
  if (last_time_ == nullptr || e.lane != last_lane_) {
    if (latest_.size() >= most_lanes && !latest_.contains(e.lane)) {
      finding(text, 0, "more than 65,536 CPUs or threads: this is no trace");
      return false;
    }
    last_time_ = &latest_.try_emplace(e.lane, e.time_ns).first->second;
    last_lane_ = e.lane;
  }
  if (e.time_ns >= *last_time_) {
    *last_time_ = e.time_ns;
    return true;
  }
  finding(text, 0,
          fmt::format("time runs backwards here: {} comes after {}; lines are missing, repeated or out of order",
                      seconds(e.time_ns), seconds(*last_time_)));
  return false;
}

void LineImport::finish() {
  if (!carry_.empty()) {
    ++lines_;
    finding(carry_, carry_.size(), "the file ends within this line: it is truncated");
  }
  const std::string missing = parser_->missing();
  if (!missing.empty()) findings_.add(shown_, lines_ == 0 ? 1 : lines_, 0, missing, {});
  assembler_.finish();
}

gtrace::Stream LineImport::stream() const {
  gtrace::Stream stream;
  parser_->describe(stream);
  stream.lines = lines_;
  for (gtrace::Note& note : assembler_.notes()) stream.notes.push_back(std::move(note));
  return stream;
}

}  // namespace gnomon::trace_import
