// SPDX-License-Identifier: Apache-2.0
// An SMMUv3 as QEMU emulates it for assigned devices (arm-smmuv3 with accel=on, nested translation through
// iommufd): nothing is shadowed, hardware walks the guest's stage 1 in the host's stage 2, and what the guest
// invalidates is handed to the host. Encodings: IHI 0070.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "models/hypervisor/core/emulated_iommu.hpp"
#include "models/memory/guest_ram.hpp"
#include "models/spec/smmuv3/command.hpp"
#include "models/spec/smmuv3/command_queue.hpp"
#include "models/spec/smmuv3/stream_table.hpp"
#include "models/spec/smmuv3/virtual_queue.hpp"

namespace gnomon::hypervisor {

/// Gives a guest a command queue of its own (Tegra241 CMDQ-V): `base` in guest memory, contiguous in the host. The
/// host's ioctl, IOMMU_HW_QUEUE_ALLOC.
class GuestQueueHost {
 public:
  virtual ~GuestQueueHost() = default;
  virtual void give_queue(unsigned queue, Gpa base, unsigned log2) = 0;
};

/// Planted bugs, for tests of the checkers. All off in a correct device.
struct Smmuv3DeviceFaults {
  bool drop_invalidations = false;  ///< the host is not told
};

struct Smmuv3DeviceConfig {
  bool range_invalidation = true;  ///< IDR3.RIL
  bool msi = false;                ///< IDR0.MSI: QEMU's device has none, so a guest polls CONS
  bool device_tlb = false;         ///< IDR0.ATS
  std::uint8_t queue_log2 = 19;    ///< IDR1.CMDQS and EVENTQS
  Smmuv3DeviceFaults faults;
};

class Smmuv3Device final : public EmulatedIommu {
 public:
  /// `ram` and `queues` must outlive the device. Without `queues` the guest is given none of its own.
  explicit Smmuv3Device(GuestRam& ram, const Smmuv3DeviceConfig& config = {}, GuestQueueHost* queues = nullptr)
      : ram_(ram), config_(config), queues_(queues) {}

  /// All of guest memory is mapped for the device, the host's stage 2, and stays. What the guest says of it goes to
  /// `target` as nest, with S1ContextPtr for the root: the host's entry takes the guest's stage 1 from there.
  /// Throws std::invalid_argument where the source is there already.
  void add_endpoint(SourceId source, ShadowTarget& target) override;

  std::uint64_t read_register(std::uint32_t offset, unsigned bytes) override;
  void write_register(std::uint32_t offset, std::uint64_t value, unsigned bytes) override;

  bool pending() const override { return queue_.queued() != 0; }
  /// CMD_SYNC finds everything before it executed: each invalidation was the host's before the next is served.
  ServedCommand serve(VmmPort& port) override;

  std::uint64_t forwarded() const { return forwarded_; }  ///< invalidations handed to the host

 private:
  std::uint32_t read_word(std::uint32_t offset) const;
  void write_word(std::uint32_t offset, std::uint32_t value);
  void write_queue_page(std::uint32_t offset, std::uint32_t value);
  struct Endpoint {
    SourceId source;
    ShadowTarget* target;
    bool nested = false;
    std::uint16_t asid = 0;  // of what it is nested in
    Gpa context{};
  };
  Endpoint* find(smmuv3::StreamId sid);
  void forward(Endpoint& endpoint, Iova iova, std::uint64_t bytes, bool leaf);
  void forward_asid(std::uint16_t asid, Iova iova, std::uint64_t bytes, bool leaf);
  void forward_all();
  void attach(Endpoint& endpoint, VmmPort& port);
  std::optional<smmuv3::StreamTableEntry> read_entry(smmuv3::StreamId sid, VmmPort& port) const;
  void configure(std::uint64_t first, std::uint64_t last, VmmPort& port);
  void configure_context(smmuv3::StreamId sid, VmmPort& port);
  std::optional<ServedCommand> run(const smmuv3::Command& command, VmmPort& port);

  GuestRam& ram_;
  const Smmuv3DeviceConfig config_;
  GuestQueueHost* queues_;
  smmuv3::CommandQueue queue_;
  std::uint32_t cr0_ = 0, cr1_ = 0, cr2_ = 0, gbpa_ = 0, irq_ctrl_ = 0;
  std::uint64_t stream_table_ = 0;
  std::uint32_t stream_table_config_ = 0;
  std::uint64_t event_queue_ = 0;
  std::uint32_t event_prod_ = 0, event_cons_ = 0;
  std::array<std::uint64_t, smmuv3::virtual_queue::queues> given_{};  // bases of the guest's own queues
  std::vector<Endpoint> endpoints_;                                   // in the order they were added
  std::uint64_t forwarded_ = 0;
};

}  // namespace gnomon::hypervisor
