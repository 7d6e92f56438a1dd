// SPDX-License-Identifier: Apache-2.0
// The command buffer of one AMD IOMMU as its Linux driver uses it (drivers/iommu/amd/iommu.c, 5.15 to 7.2): a
// doorbell a command, and completion by a number in memory.
#pragma once

#include <cstdint>

#include "guest/amd_iommu/behaviour.hpp"
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/kernel_memory.hpp"
#include "models/cpu/core/line_monitor.hpp"
#include "models/cpu/core/lock.hpp"
#include "models/spec/amdvi/command.hpp"

namespace gnomon::guest {

class AmdCommandQueue {
 public:
  static constexpr unsigned log2_entries = 9;  ///< CMD_BUFFER_ENTRIES: 512
  static constexpr std::uint32_t bytes = amdvi::command_bytes << log2_entries;
  static constexpr unsigned most_polls = 100'000;  ///< LOOP_TIMEOUT

  struct Parts {
    KernelMemory& memory;
    LineMonitor& monitor;
    Lock& lock;  ///< of the unit: one command at a time
    Gpa registers;
  };

  /// Takes the buffer and the page of the completion number from the kernel's memory. Throws std::bad_alloc.
  AmdCommandQueue(const Parts& parts, AmdCompletion completion);

  Gpa base() const { return base_; }
  Gpa semaphore() const { return semaphore_; }
  /// The unit's head and tail were set to 0.
  void reset() { head_ = tail_ = 0; }

  /// Writes the command and rings the doorbell; does not wait. `domain`: as the event stream names it. Returns EIO
  /// where the buffer stayed full for 100,000 polls of 1 us, and the command is lost, as in Linux.
  int submit(Cpu& cpu, const amdvi::Command& command, std::uint32_t domain);

  /// Returns when the unit has executed what was queued before, subject to AmdCompletion: COMPLETION_WAIT, then the
  /// number is polled every microsecond. Linux gives up after 100,000 polls; this sleeps until the unit answers.
  int wait(Cpu& cpu);

  std::uint64_t sequence() const { return sequence_; }  ///< the last number given out

 private:
  int enqueue(Cpu& cpu, const amdvi::Command& command, std::uint32_t domain, bool needs_sync);
  void poll(Cpu& cpu, std::uint64_t number);
  bool reached(std::uint64_t number) const;

  KernelMemory& memory_;
  LineMonitor& monitor_;
  Lock& lock_;
  const Gpa registers_;
  const AmdCompletion completion_;
  const Gpa base_;
  const Gpa semaphore_;
  std::uint32_t head_ = 0;  // as last read from the unit, a byte offset
  std::uint32_t tail_ = 0;
  std::uint64_t sequence_ = 0;
  bool need_sync_ = false;  // a command was queued after the last COMPLETION_WAIT
};

}  // namespace gnomon::guest
