// SPDX-License-Identifier: Apache-2.0
// tar: blocks of 512 bytes. POSIX.1-2017, pax: ustar interchange format; GNU's long names (type L).
#include <algorithm>
#include <array>
#include <utility>

#include "platform/trace_import/unpack.hpp"

namespace gnomon::trace_import {
namespace {

constexpr std::size_t block = 512;

/// A text field, to its NUL.
std::string_view text_at(std::string_view header, std::size_t offset, std::size_t size) {
  const std::string_view field = header.substr(offset, size);
  return field.substr(0, std::min(field.find('\0'), size));
}

/// An octal field with spaces or NULs around it, or GNU's binary one.
std::uint64_t number_at(std::string_view header, std::size_t offset, std::size_t size) {
  const std::string_view field = header.substr(offset, size);
  std::uint64_t value = 0;
  if ((static_cast<std::uint8_t>(field[0]) & 0x80) != 0) {
    for (const char c : field.substr(size - 8)) value = value << 8 | static_cast<std::uint8_t>(c);
    return value;
  }
  for (const char c : field) {
    if (c == ' ' && value == 0) continue;
    if (c == ' ' || c == '\0') break;
    if (c < '0' || c > '7') throw InputError{"tar: a number of a header is damaged"};
    value = value * 8 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

void check_sum(std::string_view header) {
  constexpr std::size_t sum_at = 148, sum_size = 8;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < block; ++i)
    sum += i >= sum_at && i < sum_at + sum_size ? ' ' : static_cast<std::uint8_t>(header[i]);
  if (sum != number_at(header, sum_at, sum_size)) throw InputError{"tar: the checksum of a header is wrong"};
}

class Tar final : public Pipe {
 public:
  explicit Tar(MakeMember make) : make_(std::move(make)) {}

  void push(std::string_view bytes) override {
    while (!bytes.empty() && !ended_) {
      if (left_ != 0)
        bytes.remove_prefix(take_contents(bytes));
      else if (padding_ != 0)
        bytes.remove_prefix(skip(bytes));
      else
        bytes.remove_prefix(take_header(bytes));
    }
  }

  void finish() override {
    if (member_ || left_ != 0 || padding_ != 0 || !header_.empty() || !ended_)
      throw InputError{"the tar archive ends early: the file is truncated"};
  }

 private:
  std::size_t skip(std::string_view bytes) {
    const std::size_t size = std::min<std::size_t>(padding_, bytes.size());
    padding_ -= size;
    return size;
  }

  std::size_t take_contents(std::string_view bytes) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
    if (member_) member_->push(bytes.substr(0, size));
    if (naming_) long_name_ += bytes.substr(0, size);
    left_ -= size;
    if (left_ == 0) end_member();
    return size;
  }

  void end_member() {
    if (member_) {
      member_->finish();
      member_.reset();
    }
    if (naming_) long_name_.resize(std::min(long_name_.find('\0'), long_name_.size()));
    naming_ = false;
  }

  std::size_t take_header(std::string_view bytes) {
    const std::size_t size = std::min(block - header_.size(), bytes.size());
    header_ += bytes.substr(0, size);
    if (header_.size() == block) start_member(std::exchange(header_, {}));
    return size;
  }

  void start_member(const std::string& header) {
    if (header.find_first_not_of('\0') == std::string::npos) {
      ended_ = true;  // the rest is padding
      return;
    }
    check_sum(header);
    left_ = number_at(header, 124, 12);
    padding_ = static_cast<std::size_t>((block - left_ % block) % block);
    const char type = header[156];
    std::string path{text_at(header, 345, 155)};  // the prefix; not in GNU's variant
    if (header.substr(257, 6) != std::string{"ustar\0", 6}) path.clear();
    if (!path.empty()) path += '/';
    path += text_at(header, 0, 100);
    constexpr std::uint64_t longest_path = 4096;
    if (type == 'L') {
      if (left_ > longest_path) throw InputError{"tar: a name of more than 4096 bytes"};
      naming_ = true;
      long_name_.clear();
      return;
    }
    if (type == '0' || type == '\0') {
      member_ = make_(long_name_.empty() ? path : long_name_);
      if (left_ == 0) end_member();
    }
    if (type != 'x') long_name_.clear();
  }

  MakeMember make_;
  std::string header_, long_name_;
  std::unique_ptr<Pipe> member_;
  std::uint64_t left_ = 0;  // of the member's contents
  std::size_t padding_ = 0;
  bool naming_ = false;  // the contents are the next member's name
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Pipe> make_tar(MakeMember make) {
  return std::make_unique<Tar>(std::move(make));
}

}  // namespace gnomon::trace_import
