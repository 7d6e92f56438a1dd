// SPDX-License-Identifier: Apache-2.0
// A run's signals as a Value Change Dump (IEEE 1364-2005, clause 18), for GTKWave and vcd2fst.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "models/trace/tracer.hpp"
#include "platform/observe/trace_file.hpp"

namespace gnomon::observe {

struct VcdOptions {
  std::filesystem::path path;
  unsigned cpus = 1;               ///< of the guest
  std::vector<std::string> locks;  ///< by lock id
};

/// Signals, in ps: gnomon.cpu<n>.state (0 idle, 1 task, 2 interrupt, 3 softirq), .exit (in a VM exit but hlt),
/// .spin (for a lock), gnomon.lock.<name> (0 free, else the holder's CPU + 1), gnomon.queue.{request,flush,nvme}
/// (depths), gnomon.io.in_flight, gnomon.iommu.{iotlb_hit,invalidations}.
///
/// Spans are told when they end, a file has its changes in order of time: changes wait in a heap of constant size.
/// A change older than what had to be written by then is drawn there.
class VcdTrace final : public trace::Sink {
 public:
  explicit VcdTrace(VcdOptions options);
  trace::KindSet wants() const override;
  void on_event(Time at, const trace::Event& event) override;
  /// Finishes the file and gives it its name. The error is that of the first step that failed.
  std::error_code close();

 private:
  struct Change {
    std::uint64_t at = 0, order = 0;
    std::uint32_t signal = 0, value = 0;
  };
  static bool later(const Change& a, const Change& b) {
    if (a.at != b.at) return a.at > b.at;
    return a.signal != b.signal ? a.signal > b.signal : a.order > b.order;
  }
  struct Signal {
    std::string name;
    unsigned width = 1;
    std::uint32_t value = 0;  // written last
  };

  std::uint32_t add(std::string name, unsigned width);
  void header();
  void declare(std::size_t first, std::size_t count, const std::string& scope);
  void change(std::uint64_t at, std::uint32_t signal, std::uint32_t value);
  void span(std::uint32_t signal, std::uint64_t began, std::uint64_t ended, std::uint32_t value);
  void count(std::uint64_t at, std::uint32_t signal, std::uint32_t& depth, std::int64_t by);
  void write_until(std::size_t left);
  void put_value(const Signal& signal, std::uint32_t number);

  VcdOptions options_;
  TraceFile file_;
  std::string text_;
  std::vector<Signal> signals_;
  std::vector<Change> heap_;
  std::uint64_t order_ = 0;
  std::uint64_t written_at_ = 0;  // of the time mark written last
  bool marked_ = false;
  std::uint32_t first_lock_ = 0, request_ = 0, flush_ = 0, nvme_ = 0, in_flight_ = 0, hit_ = 0, invalidations_ = 0;
  std::array<std::uint32_t, 5> depth_{};  // of request, flush, nvme, in flight, invalidations
  std::uint64_t last_ = 0;
};

}  // namespace gnomon::observe
