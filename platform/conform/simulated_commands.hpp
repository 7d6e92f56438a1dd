// SPDX-License-Identifier: Apache-2.0
// The simulated guest's command stream, gathered from its events.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "models/trace/tracer.hpp"
#include "platform/conform/command_stream.hpp"

namespace gnomon::conform {

class SimulatedCommands final : public trace::Sink {
 public:
  trace::KindSet wants() const override;
  void on_event(Time at, const trace::Event& event) override;

  const CommandStream& stream() const { return stream_; }
  std::size_t announced() const { return announced_; }  ///< of its requests, by a kick; the rest waits for the next
  const std::vector<std::uint64_t>& iovas() const { return iovas_; }  ///< of each map, in order
  std::uint64_t full_flushes() const { return full_; }
  std::uint64_t timer_flushes() const { return timer_; }
  std::uint64_t suppressed_kicks() const { return suppressed_; }
  /// Physical addresses as recorded: `recorded_address` of each simulated one.
  void translate(const std::function<std::uint64_t(std::uint64_t)>& recorded_address);

 private:
  void request(const trace::GuestRequest& request);
  void kick(const trace::GuestKick& kick);

  CommandStream stream_;
  std::vector<std::uint64_t> iovas_;
  trace::MappingAdded added_{};  // the last, which the MAP after it tells
  std::size_t announced_ = 0;
  std::uint32_t step_ = 0;
  std::uint64_t full_ = 0, timer_ = 0, suppressed_ = 0;
  bool open_ = false;
};

}  // namespace gnomon::conform
