// SPDX-License-Identifier: Apache-2.0
// A gtrace on disk.
#pragma once

#include <string>

#include "platform/gtrace/reader.hpp"

namespace gnomon::gtrace {

/// The constructor and read() throw std::system_error where the file cannot be read, or is shorter than it was.
class FileSource final : public ByteSource {
 public:
  explicit FileSource(const std::string& path);
  ~FileSource() override;

  std::uint64_t size() const override { return size_; }
  void read(std::uint64_t offset, std::span<char> into) override;

 private:
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace gnomon::gtrace
