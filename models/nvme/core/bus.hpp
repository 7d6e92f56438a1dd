// SPDX-License-Identifier: Apache-2.0
// What a controller asks of the world around it: DMA, interrupts, and somebody to tell.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "models/base/address.hpp"
#include "models/base/time.hpp"
#include "models/spec/nvme/completion.hpp"

namespace gnomon::nvme {

enum class Direction { from_host, to_host };  ///< of a command's data: a Write is from_host

/// Bytes of payload inside one memory page.
struct Segment {
  Iova address;
  std::uint32_t bytes = 0;
  constexpr bool operator==(const Segment&) const = default;
};

struct DmaResult {
  bool ok = true;  ///< false: a fault; the data must not be used
  Time done;       ///< the last beat, or the fault's report, has arrived; not before the call's `at`
  // Of what lay one behind the other until then:
  Time queued{};       ///< waiting for the link while it carried other requests
  Time translation{};  ///< inside the IOMMU
};

/// What a command's time on the controller went into, of what lay one behind the other.
struct CommandTimes {
  Time queued;       ///< waiting for other commands: at the fetch, the link, the flash
  Time translation;  ///< its DMA inside the IOMMU
  Time media;        ///< the drive's own work: command overhead, its bandwidth, flash

  void add(const DmaResult& dma) { queued += dma.queued, translation += dma.translation; }
};

/// Implemented by the shell. Called from ControllerCore::advance only (on_doorbell: from mmio_write), with times
/// `at` that never go back. A call must not call the controller in turn.
class Bus {
 public:
  virtual ~Bus() = default;

  /// Structures: submission entries, completion entries, PRP lists, Identify pages. Each call stays within one
  /// page.
  virtual DmaResult read(Time at, Iova address, std::span<std::byte> into) = 0;
  virtual DmaResult write(Time at, Iova address, std::span<const std::byte> from) = 0;
  /// Payload: only addresses and sizes, in the order of the data. `segments` is valid during the call.
  virtual DmaResult transfer(Time at, std::span<const Segment> segments, Direction direction) = 0;
  /// An MSI-X message. Its completion entries have landed.
  virtual void interrupt(Time at, unsigned vector) = 0;

  // Observation. Queue 0 is the admin queue.
  virtual void on_doorbell(Time /*at*/, unsigned /*queue*/, bool /*completion*/, std::uint32_t /*value*/) {}
  virtual void on_fetch(Time /*at*/, unsigned /*queue*/, unsigned /*cid*/) {}
  /// The command holds `channel` from `begin` to `end`; told when it enters the channel's queue.
  virtual void on_media(unsigned /*queue*/, unsigned /*cid*/, unsigned /*channel*/, Time /*begin*/, Time /*end*/) {}
  /// A misbehaving drive used a page that is no longer its own. `landed`: nothing stopped it.
  virtual void on_stray(Time /*at*/, const Segment& /*page*/, Direction /*direction*/, bool /*landed*/) {}
  /// The completion entry is on its way to the host.
  virtual void on_completion(Time /*at*/, unsigned /*queue*/, unsigned /*cid*/, Status /*status*/,
                             const CommandTimes& /*times*/) {}
};

}  // namespace gnomon::nvme
