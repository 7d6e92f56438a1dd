// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/trace_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace gnomon::observe {

namespace {
constexpr std::size_t alignment = 4096;  // of what goes past the page cache, in memory and in the file
constexpr std::size_t huge_page = std::size_t{2} << 20;

std::error_code last_error() {
  return {errno, std::generic_category()};
}
}  // namespace

TraceFile::Block TraceFile::make_block() {
  constexpr std::size_t bytes = (block_bytes + most_room + alignment - 1) / alignment * alignment;
  void* const memory = std::aligned_alloc(huge_page, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  ::madvise(memory, block_bytes, MADV_HUGEPAGE);  // the kernel looks each page up for each write
  return {static_cast<char*>(memory), std::free};
}

TraceFile::TraceFile(std::filesystem::path path)
    : path_(std::move(path)),
      part_(path_),
      blocks_{make_block(), {nullptr, std::free}},
      next_(blocks_[0].get()),
      end_(next_ + block_bytes + most_room) {
  part_ += ".part";
  file_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file_ < 0) error_ = last_error();
}

TraceFile::~TraceFile() {
  join();
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(part_.c_str());
}

void TraceFile::fail(std::error_code error) {
  const std::lock_guard lock(mutex_);
  if (!error_) error_ = error;
}

bool TraceFile::failed() {
  const std::lock_guard lock(mutex_);
  return static_cast<bool>(error_);
}

void TraceFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, most_room);
    char* const out = room(part.size());
    std::memcpy(out, part.data(), part.size());
    filled(out + part.size());
    bytes.remove_prefix(part.size());
  }
}

/// Hands a whole block over, once the one before is written, and goes on with what was begun inside it.
void TraceFile::end_block() {
  const auto used = static_cast<std::size_t>(next_ - blocks_[0].get());
  if (used < block_bytes) return;
  if (blocks_[1] == nullptr) {
    blocks_[1] = make_block();
    set_direct(true);
    writer_ = std::thread(&TraceFile::write_blocks, this);
  }
  {
    std::unique_lock lock(mutex_);
    turn_.wait(lock, [this] { return !full_; });
    std::swap(blocks_[0], blocks_[1]);
    full_ = true;
  }
  turn_.notify_all();
  const std::size_t more = used - block_bytes;
  std::memcpy(blocks_[0].get(), blocks_[1].get() + block_bytes, more);
  next_ = blocks_[0].get() + more;
  end_ = blocks_[0].get() + block_bytes + most_room;
}

/// The thread's.
void TraceFile::write_blocks() {
  std::unique_lock lock(mutex_);
  for (;;) {
    turn_.wait(lock, [this] { return full_ || ending_; });
    if (!full_) return;
    if (!error_) {
      lock.unlock();
      write_out({blocks_[1].get(), block_bytes});
      lock.lock();
    }
    full_ = false;
    turn_.notify_all();
  }
}

void TraceFile::write_out(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(file_, bytes.data(), bytes.size());
    if (done >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(done));
      if (done % static_cast<ssize_t>(alignment) != 0) set_direct(false);  // the disk is all but full
    } else if (errno == EINVAL && direct_) {
      set_direct(false);  // a file system that takes the flag, and not the write
    } else if (errno != EINTR) {
      return fail(last_error());
    }
  }
}

/// Where a file system cannot write past the page cache, through it is as well.
void TraceFile::set_direct(bool on) {
  const int flags = ::fcntl(file_, F_GETFL);
  if (flags >= 0 && ::fcntl(file_, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0) direct_ = on;
}

void TraceFile::join() {
  if (!writer_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  turn_.notify_all();
  writer_.join();
}

std::error_code TraceFile::close() {
  join();
  if (file_ < 0) return error_;
  set_direct(false);  // for what is left, which is no whole block
  if (!error_) write_out({blocks_[0].get(), static_cast<std::size_t>(next_ - blocks_[0].get())});
  // Where space is only reserved at write-back, close() is the last call that can say so.
  if (::close(std::exchange(file_, -1)) != 0 && !error_) error_ = last_error();
  if (!error_ && std::rename(part_.c_str(), path_.c_str()) != 0) error_ = last_error();
  if (error_) ::unlink(part_.c_str());
  return error_;
}

}  // namespace gnomon::observe
