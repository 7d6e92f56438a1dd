// SPDX-License-Identifier: Apache-2.0
// Writes a Perfetto trace file in constant memory: one buffer, interned names, no allocation for an event.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace gnomon::observe::perfetto {

/// One key and value shown beside an event. A pointer is shown in hexadecimal. Names of keys are numbered below 128.
struct Annotation {
  enum class Kind : std::uint8_t { number, pointer, truth };
  std::uint64_t name_iid;
  std::uint64_t value;
  Kind kind = Kind::number;
};

/// The arrow an event belongs to; id 0 is none.
struct Flow {
  std::uint64_t id = 0;
  bool ends = false;  ///< no later event continues it
};

/// What an event says besides when and where.
struct Label {
  std::uint64_t name_iid = 0;
  std::span<const Annotation> annotations;
  Flow flow{};
  std::span<const Flow> more_flows{};  ///< at most most_more_flows
};
inline constexpr std::size_t most_more_flows = 256;

/// Writes to `<path>.part`, renamed to `path` by close(): the file is there whole or not at all. Nothing throws for
/// a failed write; the first failure is kept, what follows is dropped, and close() returns it.
///
/// The caller keeps the format's rules: a track is declared before its events, slices of one track nest, and of two
/// events of one track at one instant the one written first comes first. Times are in ns.
class Writer {
 public:
  explicit Writer(std::filesystem::path path);
  ~Writer();  ///< without close(): the unfinished file is removed
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void intern_event_name(std::uint64_t iid, std::string_view name);
  void intern_annotation_name(std::uint64_t iid, std::string_view name);

  void declare_process(std::uint64_t uuid, std::int32_t pid, std::string_view name);
  void declare_thread(std::uint64_t uuid, std::uint64_t parent, std::int32_t pid, std::int64_t tid,
                      std::string_view name);
  void declare_track(std::uint64_t uuid, std::uint64_t parent, std::string_view name);
  void declare_counter(std::uint64_t uuid, std::uint64_t parent, std::string_view name, std::string_view unit);

  void slice(std::uint64_t track, std::uint64_t began, std::uint64_t ended, const Label& label);
  void instant(std::uint64_t track, std::uint64_t at, const Label& label);
  void counter(std::uint64_t track, std::uint64_t at, std::int64_t value);

  /// Writes what is buffered and gives the file its name. The error is that of the first step that failed.
  std::error_code close();

 private:
  void event(int type, std::uint64_t track, std::uint64_t at, const Label& label, std::int64_t value);
  void append_packet();
  void make_room(std::size_t bytes);
  void flush();
  void fail(int error_number);

  std::filesystem::path path_;
  std::filesystem::path part_;
  std::string packet_;        ///< the descriptor in the making
  std::vector<char> buffer_;  ///< what the file does not have yet: the first used_ bytes
  std::size_t used_ = 0;
  std::error_code error_;
  int file_ = -1;
};

}  // namespace gnomon::observe::perfetto
