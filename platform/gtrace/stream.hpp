// SPDX-License-Identifier: Apache-2.0
// One source of a recording: a file of one tool, with its own clock.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "platform/gtrace/event.hpp"

namespace gnomon::gtrace {

/// How many lines of one kind there were in the source, and what became of them.
struct Tally {
  std::string name;
  std::uint64_t used = 0;
  std::uint64_t ignored = 0;
  std::string why;  ///< they were ignored; empty where none was
  bool operator==(const Tally&) const = default;
};

/// A finding about the source as a whole that a user should know of: lost events, doubtful boundaries.
struct Note {
  std::string text;
  std::uint64_t count = 0;
  bool operator==(const Note&) const = default;
};

struct Stream {
  std::string name;    ///< of the source's file, without its folder
  std::string format;  ///< "ftrace", "qemu-log", "fio-iolog-v2", ...
  std::string clock;   ///< whose clock the times are by; streams are never aligned
  std::string lane;    ///< what a lane is: "cpu", "thread", "none"
  std::vector<Tally> tallies;
  std::vector<Note> notes;
  std::uint64_t lines = 0;
  std::uint64_t events = 0;
  std::uint64_t first_ns = 0, last_ns = 0;  ///< earliest and latest time; 0 where there is no event
  std::array<std::uint64_t, event_kinds> by_kind{};
  bool operator==(const Stream&) const = default;
};

}  // namespace gnomon::gtrace
