// SPDX-License-Identifier: Apache-2.0
// Every event of a run as CSV (RFC 4180), compressed by zstd: `zstd -dc trace.csv.zst | head`, or pandas.read_csv.
#pragma once

#include <filesystem>
#include <memory>
#include <system_error>

#include "models/trace/tracer.hpp"

namespace gnomon::observe {

/// The header names the columns: time_ps, event, then every field that any event has, by its name in
/// models/trace/events.hpp. A field that an event does not have is empty. Numbers are decimal, enumerators words;
/// nothing needs quotes. Memory is constant. The file is there whole or not at all.
class CsvTrace final : public trace::Sink {
 public:
  explicit CsvTrace(std::filesystem::path path);
  ~CsvTrace() override;
  void on_event(Time at, const trace::Event& event) override;
  /// Finishes the file and gives it its name. The error is that of the first step that failed.
  std::error_code close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gnomon::observe
