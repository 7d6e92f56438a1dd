// SPDX-License-Identifier: Apache-2.0
// Kind, common fields, then the fields of the kind.
#include "platform/gtrace/block.hpp"

#include <type_traits>

#include "platform/gtrace/fields.hpp"
#include "platform/gtrace/format.hpp"
#include "platform/gtrace/wire.hpp"

namespace gnomon::gtrace {
namespace {

// A run is stored against the end of the run before: memory often continues there.
void put_runs(std::string& out, const std::vector<Run>& runs, std::uint64_t& last) {
  put_varint(out, runs.size());
  for (const Run& run : runs) {
    put_varint(out, difference(run.address, last));
    put_varint(out, run.bytes);
    last = run.address + run.bytes;
  }
}

[[noreturn]] void damaged(const char* what) {
  throw GtraceError{std::string{"damaged: "} + what};
}

std::uint64_t taken(std::string_view& in) {
  std::uint64_t value = 0;
  if (!get_varint(in, value)) damaged("an event ends early");
  return value;
}

void get_runs(std::string_view& in, std::vector<Run>& runs, std::uint64_t& last) {
  const std::uint64_t count = taken(in);
  if (count > most_runs || count > in.size()) damaged("more runs than bytes");
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t address = sum(last, taken(in));
    runs.push_back({address, taken(in)});
    last = address + runs.back().bytes;
  }
}

}  // namespace

void BlockEncoder::clear() {
  state_ = {};
  bytes_.clear();
  events_ = 0;
}

void BlockEncoder::add(const Event& event) {
  bytes_ += static_cast<char>(event.kind);
  put_varint(bytes_, difference(event.time_ns, state_.time_ns));
  put_varint(bytes_, difference(event.lane, state_.lane));
  put_varint(bytes_, difference(event.task, state_.task));
  state_.time_ns = event.time_ns;
  state_.lane = event.lane;
  state_.task = event.task;
  auto* last = state_.last[static_cast<std::size_t>(event.kind)].data();
  for_each_field(event, [&](const char*, Style style, const auto& field) {
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (std::is_same_v<Field, std::vector<Run>>) {
      put_runs(bytes_, field, *last);
    } else if constexpr (std::is_enum_v<Field>) {
      bytes_ += static_cast<char>(field);
    } else if (style == Style::address) {
      put_varint(bytes_, difference(field, *last));
      *last = field;
    } else {
      put_varint(bytes_, style == Style::maybe ? field + 1 : field);  // unknown becomes 0
    }
    ++last;
  });
  ++events_;
}

bool BlockDecoder::next(Event& event) {
  if (rest_.empty()) return false;
  clear(event);
  const auto kind = static_cast<std::uint8_t>(rest_.front());
  if (kind >= event_kinds) damaged("no such kind of event");
  rest_.remove_prefix(1);
  event.kind = static_cast<EventKind>(kind);
  event.time_ns = state_.time_ns = sum(state_.time_ns, taken(rest_));
  event.lane = state_.lane = sum(state_.lane, taken(rest_));
  event.task = state_.task = sum(state_.task, taken(rest_));
  auto* last = state_.last[kind].data();
  for_each_field(event, [&](const char*, Style style, auto& field) {
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (std::is_same_v<Field, std::vector<Run>>) {
      get_runs(rest_, field, *last);
    } else if constexpr (std::is_enum_v<Field>) {
      const std::uint64_t choice = taken(rest_);
      if (choice >= (std::is_same_v<Field, Direction> ? directions : operations)) damaged("no such choice");
      field = static_cast<Field>(choice);
    } else {
      field = taken(rest_);
      if (style == Style::address) field = *last = sum(*last, field);
      if (style == Style::maybe) --field;
      if (style == Style::string && field >= strings_) damaged("no such string");
    }
    ++last;
  });
  return true;
}

}  // namespace gnomon::gtrace
