// SPDX-License-Identifier: Apache-2.0
// Writes a gtrace front to back: one block of events in memory at a time.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "platform/gtrace/block.hpp"
#include "platform/gtrace/footer.hpp"
#include "platform/gtrace/string_table.hpp"

namespace gnomon::gtrace {

/// Same calls, same bytes. Calls come as (begin_stream add* end_stream)* finish.
class GtraceWriter {
 public:
  using Sink = std::function<void(std::string_view)>;  ///< takes the file's bytes in order

  explicit GtraceWriter(Sink sink);

  StringTable& strings() { return strings_; }  ///< for `device` and `name` of events

  /// Throws std::length_error at the 4097th.
  void begin_stream();
  /// In the order recorded. Throws std::invalid_argument where there are more than `most_runs` runs.
  void add(const Event& event);
  /// What is to be said of the stream; its counts and times are filled in from the events.
  const Stream& end_stream(Stream about);
  void finish();

  std::uint64_t bytes() const { return offset_; }  ///< given to the sink so far

 private:
  void put(std::string_view bytes);
  void write_block();

  Sink sink_;
  StringTable strings_;
  Footer footer_;
  Stream counted_;
  BlockEncoder block_;
  std::string scratch_;
  std::uint64_t offset_ = 0;
};

}  // namespace gnomon::gtrace
