// SPDX-License-Identifier: Apache-2.0
// VM exits by reason, printed as `perf kvm stat report` prints them (Linux 6.1, tools/perf/builtin-kvm.c).
#pragma once

#include <array>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "models/base/wide.hpp"
#include "models/base/wide.hpp"
#include "models/trace/tracer.hpp"
#include "platform/observe/exit_reason_name.hpp"

namespace gnomon::observe {

/// Exits of one reason. An exit lasts from the exit to the VM entry that ends it. Sums are whole numbers: no order
/// of adding changes them. They hold while the total stays below 2^64 ps.
struct ExitStatistics {
  std::uint64_t count = 0;
  std::uint64_t total_ps = 0;
  std::uint64_t min_ps = ~std::uint64_t{0};
  std::uint64_t max_ps = 0;
  Wide squares_ps2 = 0;  ///< sum of squared durations; at most the square of the total, so it fits

  void add(std::uint64_t duration_ps);
  void merge(const ExitStatistics& other);

  double mean_ps() const;            ///< 0 without samples
  double standard_error_ps() const;  ///< standard deviation of the mean; 0 below two samples, as perf has it
  double relative_standard_error_percent() const;
};

class ExitTable final : public trace::Sink {
 public:
  enum class Scope { whole_run, window };  ///< window: only exits that end between WindowOpened and WindowClosed
  enum class Order { samples, time };      ///< perf's --key, descending

  struct Row {
    std::string_view name;
    ExitStatistics exits;
  };

  explicit ExitTable(ExitSpelling spelling, Scope scope = Scope::whole_run);

  trace::KindSet wants() const override {
    return trace::kinds<trace::VmExit, trace::WindowOpened, trace::WindowClosed>();
  }
  void on_event(Time at, const trace::Event& event) override;

  /// Reasons that occurred, on one vCPU or on all. Reasons that share a name are one row.
  std::vector<Row> rows(std::optional<std::uint32_t> cpu = {}, Order order = Order::samples) const;
  /// The report's text, leading and trailing blank lines included.
  std::string render(std::optional<std::uint32_t> cpu = {}, Order order = Order::samples) const;

 private:
  using ByReason = std::array<ExitStatistics, std::size(exit_reasons)>;

  ExitSpelling spelling_;
  bool counting_;
  bool follows_window_;
  std::vector<ByReason> by_cpu_;
};

}  // namespace gnomon::observe
