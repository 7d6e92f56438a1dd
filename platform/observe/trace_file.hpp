// SPDX-License-Identifier: Apache-2.0
// A trace file that is there whole or not at all. Nothing throws for a failed write.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string_view>
#include <system_error>
#include <thread>

namespace gnomon::observe {

/// Written as `<path>.part`; close() gives it its name. The first failure is kept, what follows is dropped, and
/// close() returns it.
///
/// Goes to the file a block at a time, by a thread that starts with the first full one, and past the host's page
/// cache where the file system can: ever new pages of it cost more than to make what is in them.
class TraceFile {
 public:
  static constexpr std::size_t block_bytes = std::size_t{2} << 20;
  static constexpr std::size_t most_room = std::size_t{16} << 10;  ///< that can be asked for at a time

  explicit TraceFile(std::filesystem::path path);
  ~TraceFile();  ///< without close(): what was written is removed
  TraceFile(const TraceFile&) = delete;
  TraceFile& operator=(const TraceFile&) = delete;

  /// Where to put what comes next, at most `least` bytes (<= most_room); filled() says how much it was.
  char* room(std::size_t least) {
    if (static_cast<std::size_t>(end_ - next_) < least) end_block();
    return next_;
  }
  void filled(char* end) { next_ = end; }
  void write(std::string_view bytes);

  std::error_code close();
  /// A failure of what is to be written, as if the file had failed.
  void fail(std::error_code error);
  bool failed();

 private:
  /// Room for a block and for what was begun inside it.
  using Block = std::unique_ptr<char[], void (*)(void*)>;
  static Block make_block();

  void end_block();
  void write_blocks();
  void write_out(std::string_view bytes);
  void set_direct(bool on);
  void join();

  std::filesystem::path path_, part_;
  std::array<Block, 2> blocks_;  ///< the one that is filled, and the one that is written meanwhile
  char* next_;
  char* end_;
  int file_ = -1;
  bool direct_ = false;

  std::thread writer_;
  std::mutex mutex_;  ///< for what follows
  std::condition_variable turn_;
  bool full_ = false;  ///< blocks_[1] is to be written
  bool ending_ = false;
  std::error_code error_;
};

}  // namespace gnomon::observe
