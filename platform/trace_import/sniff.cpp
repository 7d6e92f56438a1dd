// SPDX-License-Identifier: Apache-2.0
// Magic numbers, then the first line that one of the text formats can read.
#include "platform/trace_import/sniff.hpp"

#include "platform/gtrace/format.hpp"
#include "platform/trace_import/ftrace.hpp"
#include "platform/trace_import/io_logs.hpp"
#include "platform/trace_import/qemu_log.hpp"

namespace gnomon::trace_import {
namespace {

constexpr int tried_lines = 64;

bool is_qemu_event(std::string_view line) {
  std::uint64_t thread = 0, time = 0;
  bool timed = false;
  std::string_view name;
  std::size_t text = 0;
  if (!parse_qemu_prefix(line, thread, time, timed, name, text)) return false;
  if (timed) return true;
  for (const std::string_view start : {"vtd_", "amdvi_", "virtio_", "pci_nvme_", "memory_region_"})
    if (name.starts_with(start)) return true;
  return false;
}

std::optional<Format> format_of(std::string_view line) {
  FtracePrefix prefix;
  const char* expected = nullptr;
  std::size_t column = 0;
  if (line.starts_with("# tracer: ") || parse_ftrace_prefix(line, prefix, expected, column)) return Format::ftrace;
  if (is_qemu_event(line)) return Format::qemu_log;
  if (is_blkparse_event(line)) return Format::blkparse;
  return std::nullopt;
}

}  // namespace

Container container_of(std::string_view head) {
  if (head.starts_with("\x28\xb5\x2f\xfd")) return Container::zstd;
  if (head.starts_with("\x1f\x8b")) return Container::gzip;
  constexpr std::size_t magic_at = 257;  // POSIX ustar, and GNU tar's variant
  if (head.size() >= 512 && head.substr(magic_at, 5) == "ustar") return Container::tar;
  return Container::none;
}

Sniffed sniff(std::string_view head) {
  if (head.empty()) return {Content::empty, {}};
  if (head.starts_with(std::string_view{"\x17\x08\x44tracing", 10})) return {Content::trace_dat, {}};
  if (head.starts_with(gtrace::magic)) return {Content::gtrace, {}};
  if (head.starts_with("PERFILE2")) return {Content::perf_data, {}};
  if (head.starts_with("fio version 2 iolog")) return {Content::text, Format::fio_v2};
  if (head.starts_with("fio version 3 iolog")) return {Content::text, Format::fio_v3};
  for (int i = 0; i < tried_lines && !head.empty(); ++i) {
    const std::size_t end = head.find('\n');
    std::string_view line = head.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (const auto format = format_of(line)) return {Content::text, format};
    if (line.find('\0') != std::string_view::npos) break;
    head.remove_prefix(end == std::string_view::npos ? head.size() : end + 1);
  }
  return {};
}

std::string_view accepted_contents() {
  return "accepted: ftrace text (also of trace-cmd report and perf script), trace.dat, a QEMU trace log, a fio "
         "iolog "
         "of\nversion 2 or 3, blkparse text; also compressed by zstd or gzip, and in a tar archive";
}

}  // namespace gnomon::trace_import
