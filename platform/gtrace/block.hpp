// SPDX-License-Identifier: Apache-2.0
// The events of one block as bytes, and back. A block stands alone: it is decoded without those before it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "platform/gtrace/event.hpp"

namespace gnomon::gtrace {

/// What differences are taken to: the common fields of the event before, and for each field stored so, its value in
/// the last event of the kind.
struct BlockState {
  static constexpr std::size_t most_fields = 10;
  std::uint64_t time_ns = 0, lane = 0, task = 0;
  std::array<std::array<std::uint64_t, most_fields>, event_kinds> last{};
};

class BlockEncoder {
 public:
  /// The event has at most `most_runs` runs.
  void add(const Event& event);
  std::string_view bytes() const { return bytes_; }
  std::uint32_t events() const { return events_; }
  void clear();

 private:
  BlockState state_;
  std::string bytes_;
  std::uint32_t events_ = 0;
};

class BlockDecoder {
 public:
  BlockDecoder() = default;
  /// `bytes` must live as long as this reads them. `strings`: how many there are to refer to.
  BlockDecoder(std::string_view bytes, std::uint64_t strings) : rest_(bytes), strings_(strings) {}

  /// False after the last event. Throws GtraceError on bytes no encoder wrote.
  bool next(Event& event);

 private:
  std::string_view rest_;
  std::uint64_t strings_ = 0;
  BlockState state_;
};

}  // namespace gnomon::gtrace
