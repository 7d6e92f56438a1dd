// SPDX-License-Identifier: Apache-2.0
#include "platform/scenario/workload_tables.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <sstream>

namespace gnomon::scenario {

using config::EnumName;
using config::QuantityError;
using config::range;
using config::Unit;
using guest::ApiOperation;

namespace {

using Kind = ApiOperation::Kind;

constexpr std::array unmap_names{EnumName{"runs", VfioUnmap::runs}, EnumName{"pages", VfioUnmap::pages}};
constexpr std::array pacing_names{EnumName{"closed", guest::ReplayPacing::closed},
                                  EnumName{"open", guest::ReplayPacing::open}};
constexpr std::array verbs{EnumName{"map", Kind::map}, EnumName{"unmap", Kind::unmap},
                           EnumName{"unmap_fast", Kind::unmap_fast}, EnumName{"sync", Kind::sync},
                           EnumName{"flush_all", Kind::flush_all}};
constexpr const char* grammar =
    "accepted: map ADDRESS SIZE [each=SIZE] [runs=N] [phase=SIZE], unmap ADDRESS SIZE [each=SIZE],\n"
    "unmap_fast ADDRESS SIZE [each=SIZE], sync, flush_all; for instance \"map 0x200000 64KiB runs=2\"";

QuantityError wrong(std::string message) { return {std::move(message), grammar}; }

std::optional<std::uint64_t> hexadecimal(std::string_view text) {
  if (!text.starts_with("0x")) return std::nullopt;
  text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::variant<std::uint64_t, QuantityError> whole_pages(const std::string& text) {
  const auto size = config::parse_quantity(text, Unit::bytes);
  if (const auto* error = std::get_if<QuantityError>(&size)) return wrong(fmt::format("'{}' {}", text, error->message));
  const std::uint64_t bytes = std::get<std::uint64_t>(size);
  if (bytes % page_size != 0) return wrong(fmt::format("'{}' is no multiple of 4KiB", text));
  return bytes;
}

/// One word of the form key=value behind an operation.
std::optional<QuantityError> apply_option(const std::string& word, ApiOperation& operation) {
  const std::size_t equals = word.find('=');
  const std::string key = word.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
  if (key == "runs" && operation.kind == Kind::map) {
    const auto read = std::from_chars(value.data(), value.data() + value.size(), operation.runs);
    const bool whole = read.ec == std::errc{} && read.ptr == value.data() + value.size();
    const bool fits = whole && operation.runs > 0 && operation.bytes % (operation.runs * page_size) == 0;
    if (!fits) return wrong(fmt::format("'{}': the size is not so many runs of whole pages", word));
    return std::nullopt;
  }
  const bool each = key == "each";
  if (!each && !(key == "phase" && operation.kind == Kind::map)) return wrong(fmt::format("unknown '{}'", word));
  const auto size = whole_pages(value);
  if (const auto* error = std::get_if<QuantityError>(&size)) return *error;
  (each ? operation.each : operation.phase) = std::get<std::uint64_t>(size);
  return std::nullopt;
}

}  // namespace

std::variant<ApiOperation, QuantityError> parse_api_operation(const std::string& text) {
  std::istringstream words{text};
  std::string verb;
  words >> verb;
  ApiOperation operation;
  const auto known = std::find_if(verbs.begin(), verbs.end(), [&](const auto& v) { return v.name == verb; });
  if (known == verbs.end()) return wrong(fmt::format("'{}' is no operation", verb));
  operation.kind = known->value;
  std::string word;
  if (operation.kind == Kind::sync || operation.kind == Kind::flush_all) {
    if (words >> word) return wrong(fmt::format("'{}' takes nothing behind it", verb));
    return operation;
  }
  if (!(words >> word)) return wrong("an address is missing");
  const auto address = hexadecimal(word);
  if (!address || *address % page_size != 0) return wrong(fmt::format("'{}' is no page-aligned address", word));
  operation.iova = Iova{*address};
  if (!(words >> word)) return wrong("a size is missing");
  const auto size = whole_pages(word);
  if (const auto* error = std::get_if<QuantityError>(&size)) return *error;
  operation.bytes = std::get<std::uint64_t>(size);
  if (operation.bytes == 0 || operation.bytes > std::uint64_t{1} << 40) return wrong("sizes are from 4KiB to 1TiB");
  while (words >> word) {
    if (const auto error = apply_option(word, operation)) return *error;
  }
  return operation;
}

void describe(config::Description& d, ApiTable& t) {
  d.field("prepare", t.prepare, "operations before the measured window, once");
  d.field("operations", t.operations,
          "calls of the IOMMU API, in order: map ADDRESS SIZE [each=SIZE] [runs=N] [phase=SIZE], unmap ADDRESS SIZE "
          "[each=SIZE], unmap_fast likewise into an open gather, sync, flush_all")
      .required()
      .not_empty();
  d.field("repeat", t.repeat, range(1, 1'000'000), "times the operations are done");
}

void describe(config::Description& d, VfioWorkloadSpec& t) {
  d.field("memory", t.memory, Unit::bytes, "of the guest whose memory is mapped; its backing is guest.memory_backing")
      .within(range(std::uint64_t{2} << 20, std::uint64_t{1} << 40));
  d.choice("unmap", t.unmap, unmap_names,
           "runs: each physically contiguous run with one unmap (since 2013); pages: page by page");
}

void describe(config::Description& d, ReplayTable& t) {
  d.choice("mode", t.mode, pacing_names,
           "closed: each CPU's next operation waits as it did after the one before; open: operations start at the "
           "recorded times");
  d.field("rate", t.rate, "how much faster than recorded, from 0.001 to 1000");
}

}  // namespace gnomon::scenario

namespace gnomon::guest {

namespace {
constexpr std::array direction_names{config::EnumName{"bidirectional", DmaDirection::bidirectional},
                                     config::EnumName{"to_device", DmaDirection::to_device},
                                     config::EnumName{"from_device", DmaDirection::from_device}};
}

void describe(config::Description& d, MapBenchmarkSpec& t) {
  using config::range;
  d.field("threads", t.threads, range(1, 1024), "threads that map and unmap, dealt to the CPUs in turn");
  d.field("seconds", t.runtime, "how long they do, in simulated time; a tenth of a second is plenty")
      .within(range(Time::us(100), Time::s(300)));
  d.field("ramp_time", t.ramp_time, "before it is measured").within(range(Time{}, Time::s(300)));
  d.field("node", t.node, range(0, 0), "NUMA node of buffers and threads; by default any. Machines here have one");
  d.choice("direction", t.direction, direction_names, "of the transfer that is pretended");
  d.field("granule", t.granule, range(1, 1024), "pages a buffer");
  d.field("delay", t.delay, "from the map to the unmap, as the transfer would take").within(range(Time{}, Time::s(1)));
  d.field("sg", t.sg, range(0, 1024), "0: dma_map_single; else dma_map_sg of so many runs");
}

void describe(config::Description& d, DmaMasterSpec& t) {
  using config::range;
  using config::Unit;
  constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
  d.field("buffer", t.buffer, Unit::bytes, "of a frame, whole pages").within(range(page_size, 1024 * mebibyte));
  d.field("rate", t.rate, Unit::bytes_per_second, "at which the device streams").within(range(1000, 100'000'000'000));
  d.field("duration", t.duration, "of the stream").within(range(Time::us(10), Time::s(100)));
  d.field("write", t.write, "the device writes memory, as a camera; else it reads, as a display");
  d.field("runs", t.runs, range(1, 1u << 18), "equal, physically scattered runs of a frame, at most one a page");
  d.field("flip", t.flip,
          "each frame is new memory: mapped while the device streams the one before, and unmapped when the next has taken "
          "its place");
  d.field("churn", t.churn, Unit::bytes, "of another buffer that is mapped and unmapped meanwhile, over and over; 0: none")
      .within(range(0, 1024 * mebibyte));
}

}  // namespace gnomon::guest

namespace gnomon::iperf {

void describe(config::Description& d, IperfSpec& t) {
  using config::range;
  using config::Unit;
  constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
  d.field("parallel", t.parallel, range(1, 64), "streams, each on a CPU and a queue pair of its own in turn");
  d.field("length", t.length, Unit::bytes, "of one read or write").within(range(1024, 64 * mebibyte));
  d.field("time", t.time, "measured, in simulated time").within(range(Time::us(100), Time::s(1000)));
  d.field("omit", t.omit, "before that").within(range(Time{}, Time::s(1000)));
  d.field("interval", t.interval, "of the report").within(range(Time::us(100), Time::s(1000)));
  d.field("reverse", t.reverse, "the guest sends");
  d.field("bitrate", t.bitrate, range(0, 1'000'000'000'000), "bits per second of a stream; 0: no limit");
  d.field("window", t.window, Unit::bytes, "of a socket's buffer").within(range(4096, 1024 * mebibyte));
  d.field("mtu", t.mtu, range(576, 9000), "bytes of the link's largest packet");
  d.field("ack_every", t.ack_every, range(0, 1u << 30), "bytes received that are acknowledged; 0: as Linux does");
  d.field("recycled_ppm", t.recycled_ppm, range(0, 1'000'000), "receive pages in a million that the page pool keeps");
  d.field("live_mapping", t.live_mapping, Unit::bytes,
          "a buffer held mapped in the NIC's domain all the while, in 4 KiB leaves")
      .within(range(0, std::uint64_t{1} << 36));
}

}  // namespace gnomon::iperf
