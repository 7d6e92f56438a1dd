// SPDX-License-Identifier: Apache-2.0
// Compressed files and archives, unpacked as they are read. Bytes are pushed through a chain of these.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "platform/trace_import/sniff.hpp"

namespace gnomon::trace_import {

/// The file as a whole is at fault, not one of its lines.
class InputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Takes a file's bytes piece by piece; finish() follows the last. Both throw InputError.
class Pipe {
 public:
  Pipe() = default;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  virtual ~Pipe() = default;
  virtual void push(std::string_view bytes) = 0;
  virtual void finish() = 0;
};

/// Decompresses into `next`. Several frames or members one after the other are one file.
std::unique_ptr<Pipe> make_zstd(Pipe& next);
std::unique_ptr<Pipe> make_gzip(Pipe& next);

/// Makes what takes a member's bytes: a path within the archive, or "" for a file that is no archive.
using MakeMember = std::function<std::unique_ptr<Pipe>(const std::string& path)>;

/// The members of a tar archive (POSIX ustar and pax, GNU), regular files only.
std::unique_ptr<Pipe> make_tar(MakeMember make);

/// Looks at the first bytes and unpacks accordingly, one compression and one archive deep.
std::unique_ptr<Pipe> make_unpacker(MakeMember make);

}  // namespace gnomon::trace_import
