// SPDX-License-Identifier: Apache-2.0
// zstd, gzip, and the choice between them.
#include "platform/trace_import/unpack.hpp"

#include <zlib.h>
#include <zstd.h>

#include <array>
#include <utility>

namespace gnomon::trace_import {
namespace {

using Buffer = std::array<char, 128 * 1024>;

class Zstd final : public Pipe {
 public:
  explicit Zstd(Pipe& next) : next_(next), stream_(ZSTD_createDStream(), ZSTD_freeDStream) {
    if (!stream_) throw std::bad_alloc{};
  }

  void push(std::string_view bytes) override {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    bool full = false;  // of output: there may be more, even where the input is used up
    while (in.pos < in.size || full) {
      ZSTD_outBuffer out{buffer_.data(), buffer_.size(), 0};
      const std::size_t left = ZSTD_decompressStream(stream_.get(), &out, &in);
      if (ZSTD_isError(left) != 0) throw InputError{std::string{"zstd: "} + ZSTD_getErrorName(left)};
      at_end_ = left == 0;
      full = out.pos == out.size && !at_end_;
      if (out.pos != 0) next_.push({buffer_.data(), out.pos});
    }
  }

  void finish() override {
    if (!at_end_) throw InputError{"the zstd data ends early: the file is truncated"};
    next_.finish();
  }

 private:
  Pipe& next_;
  std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream_;
  Buffer buffer_;
  bool at_end_ = false;  // of a frame
};

class Gzip final : public Pipe {
 public:
  explicit Gzip(Pipe& next) : next_(next) {
    constexpr int gzip_only = 15 + 16;  // the largest window; zlib.h: 16 more is gzip's format
    if (inflateInit2(&stream_, gzip_only) != Z_OK) throw std::bad_alloc{};
  }
  ~Gzip() override { inflateEnd(&stream_); }

  void push(std::string_view bytes) override {
    // zlib takes a pointer to mutable bytes and does not change them.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    bool full = false;
    while (stream_.avail_in != 0 || full) {
      if (at_end_) next_member();
      stream_.next_out = reinterpret_cast<Bytef*>(buffer_.data());
      stream_.avail_out = static_cast<uInt>(buffer_.size());
      const int code = inflate(&stream_, Z_NO_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        throw InputError{std::string{"gzip: "} + (stream_.msg != nullptr ? stream_.msg : "damaged data")};
      at_end_ = code == Z_STREAM_END;
      full = stream_.avail_out == 0 && !at_end_;
      if (stream_.avail_out != buffer_.size()) next_.push({buffer_.data(), buffer_.size() - stream_.avail_out});
    }
  }

  void finish() override {
    if (!at_end_) throw InputError{"the gzip data ends early: the file is truncated"};
    next_.finish();
  }

 private:
  void next_member() {
    if (inflateReset(&stream_) != Z_OK) throw InputError{"gzip: the next member cannot be read"};
    at_end_ = false;
  }

  Pipe& next_;
  z_stream stream_{};
  Buffer buffer_;
  bool at_end_ = false;  // of a member
};

/// Gathers the first bytes, then decides. Depth 0 may be compressed, below it no more.
class Unpacker final : public Pipe {
 public:
  Unpacker(MakeMember make, bool may_be_compressed)
      : make_(std::move(make)), may_be_compressed_(may_be_compressed) {}

  void push(std::string_view bytes) override {
    if (next_) return next_->push(bytes);
    head_ += bytes;
    constexpr std::size_t enough = 512;
    if (head_.size() >= enough) decide();
  }

  void finish() override {
    if (!next_) decide();
    next_->finish();
  }

 private:
  void decide() {
    const Container container = container_of(head_);
    const bool compressed = container == Container::zstd || container == Container::gzip;
    if (compressed && may_be_compressed_) {
      inner_ = std::make_unique<Unpacker>(make_, false);
      next_ = container == Container::zstd ? make_zstd(*inner_) : make_gzip(*inner_);
    } else if (container == Container::tar) {
      next_ = make_tar(make_);
    } else {
      next_ = make_("");
    }
    next_->push(std::exchange(head_, {}));
  }

  MakeMember make_;
  bool may_be_compressed_;
  std::string head_;
  std::unique_ptr<Unpacker> inner_;  // outlives what pushes into it
  std::unique_ptr<Pipe> next_;
};

}  // namespace

std::unique_ptr<Pipe> make_zstd(Pipe& next) {
  return std::make_unique<Zstd>(next);
}

std::unique_ptr<Pipe> make_gzip(Pipe& next) {
  return std::make_unique<Gzip>(next);
}

std::unique_ptr<Pipe> make_unpacker(MakeMember make) {
  return std::make_unique<Unpacker>(std::move(make), true);
}

}  // namespace gnomon::trace_import
