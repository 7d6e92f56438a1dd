// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/csv_trace.hpp"

#include <zstd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "platform/observe/event_fields.hpp"
#include "platform/observe/trace_file.hpp"

namespace gnomon::observe {

namespace {

constexpr std::size_t buffer_bytes = 128 * 1024;
constexpr std::size_t row_room = 4 * 1024;  // a row is far shorter
constexpr int level = 3;

/// The column of every field of every kind of event, and the fields of a kind in the order of their columns.
class Columns {
 public:
  Columns() { collect(std::make_index_sequence<trace::event_kinds>{}); }

  struct Place {
    std::uint16_t column, field;
  };
  const std::vector<std::string_view>& names() const { return names_; }
  const std::vector<Place>& places(std::size_t kind) const { return places_[kind]; }

 private:
  template <std::size_t... kinds>
  void collect(std::index_sequence<kinds...>) {
    (collect_kind<kinds>(), ...);
  }
  template <std::size_t kind>
  void collect_kind() {
    const auto& described = fields::of<std::variant_alternative_t<kind, trace::Event>>;
    std::uint16_t number = 0;
    std::apply(
        [&](const auto&... field) {
          (places_[kind].push_back({column(field.name), number++}), ...);
        },
        described.fields);
    std::erase_if(places_[kind], [](const Place& place) { return place.column == 0; });
    std::sort(places_[kind].begin(), places_[kind].end(), [](Place a, Place b) { return a.column < b.column; });
  }
  /// 0: a field that only fills the event up.
  std::uint16_t column(std::string_view name) {
    if (name == "reserved") return 0;
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) {
      names_.push_back(name);
      return static_cast<std::uint16_t>(names_.size() - 1);
    }
    return static_cast<std::uint16_t>(found - names_.begin());
  }

  std::vector<std::string_view> names_{"time_ps", "event"};
  std::array<std::vector<Place>, trace::event_kinds> places_;
};

template <class T>
char* put(char* at, T value) {
  if constexpr (std::is_enum_v<T>) {
    constexpr auto& words = words_of<T>;
    const auto index = static_cast<std::size_t>(value);
    if (index < words.size()) {
      std::memcpy(at, words[index].data(), words[index].size());
      return at + words[index].size();
    }
    return put(at, static_cast<std::uint32_t>(value));
  } else {
    return std::to_chars(at, at + 20, value).ptr;
  }
}

}  // namespace

struct CsvTrace::State {
  explicit State(std::filesystem::path path) : file(std::move(path)), stream(ZSTD_createCStream()) {
    ZSTD_CCtx_setParameter(stream, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(stream, ZSTD_c_checksumFlag, 1);
    in.resize(buffer_bytes + row_room);
    out.resize(ZSTD_CStreamOutSize());
    std::string header;
    for (const std::string_view name : columns.names()) header.append(header.empty() ? "" : ",").append(name);
    header += '\n';
    std::memcpy(in.data(), header.data(), header.size());
    used = header.size();
  }
  ~State() { ZSTD_freeCStream(stream); }

  template <class E>
  void row(Time at, const E& event, std::size_t kind) {
    const auto& described = fields::of<E>;
    char* to = put(in.data() + used, at.ps());
    *to++ = ',';
    std::memcpy(to, described.name.data(), described.name.size());
    to += described.name.size();
    std::size_t column = 1;
    for (const Columns::Place place : columns.places(kind)) {
      std::memset(to, ',', place.column - column);
      to += place.column - column;
      column = place.column;
      std::size_t number = 0;
      std::apply(
          [&](const auto&... field) {
            ((number++ == place.field ? (to = put(to, event.*field.member)) : to), ...);
          },
          described.fields);
    }
    const std::size_t rest = columns.names().size() - 1 - column;
    std::memset(to, ',', rest);
    to += rest;
    *to++ = '\n';
    used = static_cast<std::size_t>(to - in.data());
    if (used >= buffer_bytes) compress(ZSTD_e_continue);
  }

  void compress(ZSTD_EndDirective how) {
    ZSTD_inBuffer from{in.data(), used, 0};
    for (bool more = true; more;) {
      ZSTD_outBuffer to{out.data(), out.size(), 0};
      const std::size_t left = ZSTD_compressStream2(stream, &to, &from, how);
      if (ZSTD_isError(left)) {
        file.fail(std::make_error_code(std::errc::not_enough_memory));
        break;
      }
      file.write({out.data(), to.pos});
      more = how == ZSTD_e_end ? left != 0 : from.pos != from.size;
    }
    used = 0;
  }

  Columns columns;
  TraceFile file;
  ZSTD_CStream* stream;
  std::vector<char> in, out;
  std::size_t used = 0;
};

CsvTrace::CsvTrace(std::filesystem::path path) : state_(std::make_unique<State>(std::move(path))) {}
CsvTrace::~CsvTrace() = default;

void CsvTrace::on_event(Time at, const trace::Event& event) {
  std::visit([&](const auto& e) { state_->row(at, e, event.index()); }, event);
}

std::error_code CsvTrace::close() {
  state_->compress(ZSTD_e_end);
  return state_->file.close();
}

}  // namespace gnomon::observe
