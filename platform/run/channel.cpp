// SPDX-License-Identifier: Apache-2.0
// Framed messages on a pipe.
#include "platform/run/channel.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <system_error>

namespace gnomon::run {
namespace {

constexpr std::uint8_t progress_frame = 1;
constexpr std::uint8_t result_frame = 2;
constexpr std::uint8_t failure_frame = 3;
constexpr std::size_t header_size = 1 + sizeof(std::uint64_t);
constexpr std::size_t progress_size = 3 * sizeof(std::uint64_t);
static_assert(header_size + progress_size <= PIPE_BUF, "POSIX writes a progress frame whole or not at all");

void store_header(char* to, std::uint8_t kind, std::uint64_t size) {
  *to = static_cast<char>(kind);
  std::memcpy(to + 1, &size, sizeof size);
}

}  // namespace

PipeChannel::PipeChannel(int write_end, std::chrono::milliseconds progress_interval)
    : write_end_(write_end), progress_interval_(progress_interval) {
  const int flags = ::fcntl(write_end_, F_GETFL);
  if (flags < 0 || ::fcntl(write_end_, F_SETFL, flags | O_NONBLOCK) < 0)
    throw std::system_error(errno, std::generic_category(), "a job's pipe");
}

void PipeChannel::progress(const Progress& progress) {
  const auto now = std::chrono::steady_clock::now();
  if (last_progress_ && now - *last_progress_ < progress_interval_) return;
  last_progress_ = now;

  const std::array<std::uint64_t, 3> fields{progress.simulated_ps, progress.horizon_ps, progress.events};
  std::array<char, header_size + progress_size> frame{};
  store_header(frame.data(), progress_frame, progress_size);
  std::memcpy(frame.data() + header_size, fields.data(), progress_size);
  // Up to PIPE_BUF bytes a non-blocking write is all or EAGAIN (POSIX write()): a full pipe drops the message
  // whole.
  if (::write(write_end_, frame.data(), frame.size()) < 0 && errno != EAGAIN && errno != EINTR)
    throw std::system_error(errno, std::generic_category(), "a job's pipe");
}

void PipeChannel::result(std::string bytes) {
  send(result_frame, bytes);
}

void PipeChannel::failure(std::string_view message) {
  send(failure_frame, message);
}

void PipeChannel::send(std::uint8_t kind, std::string_view payload) {
  std::array<char, header_size> header{};
  store_header(header.data(), kind, payload.size());
  write_all({header.data(), header.size()});
  write_all(payload);
}

void PipeChannel::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(write_end_, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      pollfd room{write_end_, POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "a job's pipe");
    }
  }
}

bool FrameDecoder::feed(std::string_view bytes) {
  if (garbled_) return false;
  pending_.append(bytes);
  std::string_view rest = pending_;
  while (rest.size() >= header_size) {
    std::uint64_t size = 0;
    std::memcpy(&size, rest.data() + 1, sizeof size);
    const auto kind = static_cast<std::uint8_t>(rest.front());
    if (kind < progress_frame || kind > failure_frame || (kind == progress_frame && size != progress_size)) {
      garbled_ = true;
      return false;
    }
    if (rest.size() - header_size < size) break;
    accept(kind, rest.substr(header_size, size));
    rest.remove_prefix(header_size + size);
  }
  pending_.erase(0, pending_.size() - rest.size());
  return true;
}

void FrameDecoder::accept(std::uint8_t kind, std::string_view payload) {
  if (kind == result_frame) {
    result_ = payload;
  } else if (kind == failure_frame) {
    failure_ = payload;
  } else {
    std::array<std::uint64_t, 3> fields{};
    std::memcpy(fields.data(), payload.data(), progress_size);
    progress_ = Progress{fields[0], fields[1], fields[2]};
  }
}

}  // namespace gnomon::run
