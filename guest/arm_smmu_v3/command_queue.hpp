// SPDX-License-Identifier: Apache-2.0
// A command queue as the SMMUv3 driver shares it among CPUs without a lock (arm_smmu_cmdq_issue_cmdlist, Linux 5.4
// to 7.2): slots are taken by compare-and-exchange of (prod, cons); the first to take some in a window is its owner
// and writes PROD once, for all who came meanwhile; whoever queued a CMD_SYNC waits for it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "guest/arm_smmu_v3/shared_line.hpp"
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/kernel_memory.hpp"
#include "models/cpu/core/line_monitor.hpp"
#include "models/spec/smmuv3/command.hpp"
#include "models/spec/smmuv3/registers.hpp"

namespace gnomon::guest {

/// One command and what it is in the event stream.
struct SmmuRequest {
  smmuv3::Bits128 raw;
  std::uint64_t iova = 0;
  std::uint64_t bytes = 0;  ///< that it covers
  std::uint32_t domain = 0;
  trace::RequestType type = trace::RequestType::configure;
};

/// CMDQ_BATCH_ENTRIES: what is queued at once.
struct SmmuBatch {
  static constexpr unsigned most = 64;
  std::array<SmmuRequest, most> requests;
  unsigned count = 0;
};

class SmmuCommandQueue {
 public:
  static constexpr Time timeout = Time::s(1);         ///< ARM_SMMU_POLL_TIMEOUT_US
  static constexpr unsigned spins_before_delay = 10;  ///< ARM_SMMU_POLL_SPIN_COUNT

  struct Parts {
    KernelMemory& memory;
    LineMonitor& monitor;
    Gpa prod;  ///< register
    Gpa cons;  ///< register
  };
  struct Options {
    unsigned log2 = 15;                                   ///< 2^n commands: 64 or more
    bool msi_polling = true;                              ///< else CONS is polled
    smmuv3::SyncSignal signal = smmuv3::SyncSignal::sev;  ///< of a CMD_SYNC where it is
    bool force_sync = false;
    bool skip_sync = false;  ///< a planted bug
  };
  struct Counts {
    std::uint64_t commands = 0;          ///< CMD_SYNCs included
    std::uint64_t prod_writes = 0;       ///< owner windows
    std::uint64_t failed_exchanges = 0;  ///< compare-and-exchange that found another value
    std::uint64_t owner_waits = 0;       ///< owners that waited for the one before
    std::uint64_t slot_waits = 0;        ///< owners that waited for a gathered slot to be written
    std::uint64_t full_waits = 0;
    std::uint64_t timeouts = 0;
  };

  /// Takes the ring from the kernel's memory. Throws std::bad_alloc.
  SmmuCommandQueue(const Parts& parts, const Options& options);

  Gpa base() const { return base_; }
  unsigned log2() const { return options_.log2; }
  const Counts& counts() const { return counts_; }

  /// Adds to the batch; one that is full is issued first.
  void add(Cpu& cpu, SmmuBatch& batch, const smmuv3::Command& command, std::uint32_t domain);
  /// Issues the batch with a CMD_SYNC and waits for it. Returns ETIMEDOUT where CONS stood still for a second; a
  /// CPU that waits for an MSI sleeps until the unit answers.
  int submit(Cpu& cpu, SmmuBatch& batch);
  /// One command with its CMD_SYNC.
  int run(Cpu& cpu, const smmuv3::Command& command, std::uint32_t domain);

  /// Makes a CMD_SYNC of the command that CONS stands at (arm_smmu_cmdq_skip_err). Returns what CONS.ERR said.
  smmuv3::CommandError skip_error(Cpu& cpu);

 private:
  struct Pointers {
    std::uint32_t prod = 0;
    std::uint32_t cons = 0;
    bool owned = false;  // CMDQ_PROD_OWNED_FLAG: a window is open
    bool operator==(const Pointers&) const = default;
  };
  struct Poll {
    unsigned spins = 0;
    Time delay = Time::us(1);
    Time gives_up;
  };
  struct OwnerWait {
    std::uint32_t prod;
    Processor* processor;
  };

  int issue(Cpu& cpu, std::span<const SmmuRequest> requests, bool sync);
  Pointers allocate(Cpu& cpu, std::uint32_t count);
  bool has_space(const Pointers& p, std::uint32_t count) const;
  Pointers until_not_full(Cpu& cpu);
  bool poll(Cpu& cpu, Poll& state) const;
  void write_entries(Cpu& cpu, std::uint32_t prod, std::span<const SmmuRequest> requests, bool sync);
  smmuv3::CmdSync sync_command(std::uint32_t prod) const;
  void lock_shared(Cpu& cpu);
  void unlock_shared(Cpu& cpu, std::uint32_t cons);
  void set_valid(Cpu& cpu, std::uint32_t first, std::uint32_t end);
  bool all_valid(std::uint32_t first, std::uint32_t end) const;
  void publish(Cpu& cpu, std::uint32_t first);
  int wait_for_message(Cpu& cpu, std::uint32_t prod);
  int wait_for_cons(Cpu& cpu, std::uint32_t prod, std::uint32_t& cons);
  std::uint32_t read_cons(Cpu& cpu) const;
  Gpa slot(std::uint32_t pointer) const;
  std::uint32_t advance(std::uint32_t pointer, std::uint32_t by) const {
    return smmuv3::queue::advance(pointer, by, options_.log2);
  }
  std::uint32_t pointer_mask() const { return (2u << options_.log2) - 1; }

  Parts parts_;
  Options options_;
  Gpa base_;
  Pointers shared_;                   // cmdq->q.llq, on a line of its own
  std::vector<std::uint64_t> valid_;  // valid_map: a bit a slot, turned over each time round
  std::uint32_t owner_prod_ = 0;      // where the next owner's window must begin
  std::uint32_t readers_ = 0;         // cmdq->lock
  bool exclusive_ = false;
  SharedLine head_line_;
  SharedLine owner_line_;  // owner_prod and lock lie on one line
  std::vector<SharedLine> valid_lines_;
  std::vector<OwnerWait> owner_waiters_;
  std::vector<Processor*> lock_waiters_;
  Processor* slot_waiter_ = nullptr;
  Counts counts_;
};

}  // namespace gnomon::guest
