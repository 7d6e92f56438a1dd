// SPDX-License-Identifier: Apache-2.0
// A recording as a command is given it: a .gtrace, or what `gnomon import` would take, with what lies beside it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "platform/gtrace/reader.hpp"

namespace gnomon::app {

class TraceIntake {
 public:
  /// One recording. Several files are its streams. What is wrong is told; nothing comes back then.
  static std::optional<TraceIntake> open(const std::vector<std::string>& paths);

  gtrace::GtraceReader& reader() { return *reader_; }
  const std::string& bytes() const { return *bytes_; }  ///< of the .gtrace
  /// Of an archive: the text of the member whose path ends in /NAME, "" where there is none. Known are cmd, console
  /// and fio.out.
  const std::string& beside(const std::string& name) const;

 private:
  std::unique_ptr<std::string> bytes_;
  std::unique_ptr<gtrace::MemorySource> source_;
  std::unique_ptr<gtrace::GtraceReader> reader_;
  std::map<std::string, std::string> beside_;
};

}  // namespace gnomon::app
