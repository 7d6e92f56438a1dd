// SPDX-License-Identifier: Apache-2.0
// The driver of the streaming DMA master: gives it a scatter list, starts it, stops it, reads what it counted.
#pragma once

#include <cstdint>
#include <span>

#include "guest/iommu/driver.hpp"
#include "guest/kernel/cpu.hpp"

namespace gnomon::guest {

class DmaMasterDriver {
 public:
  /// A piece of the buffer as the device addresses it.
  struct Segment {
    Iova iova;
    std::uint64_t bytes = 0;
  };
  struct Counts {
    std::uint64_t moved = 0;      ///< bytes
    std::uint64_t underruns = 0;  ///< requests that came too late
    std::uint64_t refused = 0;    ///< requests that faulted
    constexpr bool operator==(const Counts&) const = default;
  };

  explicit DmaMasterDriver(Gpa registers) : registers_(registers) {}

  /// Streams the segments, again and again if `repeat`, at `rate` bytes a second; `write`: into memory.
  void start(Cpu& cpu, std::span<const Segment> segments, std::uint64_t rate, bool write, bool repeat);
  /// The segments take over when those under way have been streamed.
  void flip(Cpu& cpu, std::span<const Segment> segments);
  bool flipping(Cpu& cpu);  ///< not yet
  /// No request goes out afterwards; the caller may unmap.
  void stop(Cpu& cpu);
  bool running(Cpu& cpu);
  Counts counts(Cpu& cpu);

 private:
  void write(Cpu& cpu, std::uint32_t offset, std::uint64_t value, unsigned bytes);
  std::uint64_t read(Cpu& cpu, std::uint32_t offset, unsigned bytes);

  Gpa registers_;
};

}  // namespace gnomon::guest
