// SPDX-License-Identifier: Apache-2.0
// The controller's side of its queues (NVM Express Base Specification 1.4, section 4.1), and the commands in it.
#pragma once

#include <cstdint>
#include <vector>

#include "models/nvme/core/bus.hpp"
#include "models/spec/nvme/submission.hpp"

namespace gnomon::nvme {

inline constexpr std::uint32_t no_command = ~std::uint32_t{0};

struct SubmissionQueue {
  bool live = false;
  bool deleting = false;  ///< nothing more is fetched; goes when its last command has completed
  bool fetching = false;  ///< a DMA of its entries is in flight: one at a time keeps them in order
  std::uint16_t completion_queue = 0;
  Iova base;
  std::uint32_t entries = 0;
  std::uint32_t tail = 0;                 ///< what the doorbell said last
  std::uint32_t fetched = 0;              ///< entries before it have been asked for
  std::uint32_t head = 0;                 ///< entries before it have arrived: reported to the host
  std::uint32_t credit = 0;               ///< commands left of its turn
  std::uint32_t outstanding = 0;          ///< fetched, not yet completed
  std::uint32_t deleted_by = no_command;  ///< the Delete I/O Submission Queue that waits

  std::vector<Time> rung_at;              ///< by entry: when its doorbell came

  bool has_work() const { return live && !deleting && fetched != tail; }
};

struct CompletionQueue {
  bool live = false;
  bool interrupts = false;
  bool phase = true;
  std::uint16_t vector = 0;
  Iova base;
  std::uint32_t entries = 0;
  std::uint32_t tail = 0;
  std::uint32_t head = 0;                    ///< what the doorbell said last
  std::uint32_t users = 0;                   ///< submission queues that complete here
  std::uint32_t waiting_first = no_command;  ///< done, but the queue is full
  std::uint32_t waiting_last = no_command;

  bool full() const { return (tail + 1 == entries ? 0 : tail + 1) == head; }
};

/// A command from the fetch of its entry to the writing of its completion.
struct Command {
  SubmissionEntry entry;
  std::uint16_t queue = 0;
  Status status = Status::success;
  std::uint32_t result = 0;
  std::uint32_t next = no_command;  ///< in the free list, a fetched chain or a full queue's waiting line
  std::uint32_t bytes = 0;          ///< of payload
  std::uint32_t bytes_left = 0;     ///< whose PRP entries are not known yet
  std::uint64_t list = 0;           ///< where the next PRP list page starts
  CommandTimes times;
  std::vector<Segment> segments;    ///< keeps its capacity from command to command

  Direction direction() const {
    return entry.opcode == static_cast<std::uint8_t>(IoOpcode::write) ? Direction::from_host : Direction::to_host;
  }
};

/// The fixed set of commands. Free ones are reused last in, first out.
class CommandSlots {
 public:
  explicit CommandSlots(std::uint32_t count) : commands_(count) { reset(); }

  Command& operator[](std::uint32_t index) { return commands_[index]; }
  std::uint32_t free_count() const { return free_count_; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(commands_.size()); }

  /// Requires free_count() > 0.
  std::uint32_t take() {
    const std::uint32_t index = free_;
    free_ = commands_[index].next;
    --free_count_;
    return index;
  }
  void give_back(std::uint32_t index) {
    commands_[index].next = free_;
    free_ = index;
    ++free_count_;
  }
  void reset() {
    free_ = no_command;
    free_count_ = 0;
    for (std::uint32_t index = size(); index-- > 0;) give_back(index);
  }

 private:
  std::vector<Command> commands_;
  std::uint32_t free_ = no_command;
  std::uint32_t free_count_ = 0;
};

}  // namespace gnomon::nvme
