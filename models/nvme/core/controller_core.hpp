// SPDX-License-Identifier: Apache-2.0
// An NVMe controller with one namespace: a timed state machine that does nothing by itself.
// Source: NVM Express Base Specification 1.4. Not modelled: SGLs, asynchronous events, log pages, Abort, multiple
// namespaces; their opcodes complete with Invalid Command Opcode.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/base/random.hpp"
#include "models/nvme/core/action_queue.hpp"
#include "models/nvme/core/bus.hpp"
#include "models/nvme/core/config.hpp"
#include "models/nvme/core/media.hpp"
#include "models/nvme/core/queues.hpp"
#include "models/nvme/core/stray_dma.hpp"
#include "models/spec/nvme/registers.hpp"

namespace gnomon::nvme {

class ControllerCore {
 public:
  /// `bus` must outlive the controller. Throws std::invalid_argument for a configuration that cannot be.
  ControllerCore(const NvmeConfig& config, const NvmeFaults& faults, RandomStream random, Bus& bus);

  /// Registers and doorbells, from BAR0; `size` 4 or 8 bytes, naturally aligned. A write takes effect through
  /// actions at `now` or later. Unknown offsets read as zero and ignore writes, as do invalid doorbell values:
  /// without an Asynchronous Event Request outstanding nobody is told of them.
  void mmio_write(Time now, std::uint64_t offset, std::uint64_t value, unsigned size);
  std::uint64_t mmio_read(std::uint64_t offset, unsigned size) const;

  /// When advance has something to do next; Time::max() when idle. Ask again after every mmio_write and advance.
  Time next_action() const { return actions_.next(); }
  /// Does everything due at or before `now`, in order of time.
  void advance(Time now);

  /// Commands taken from a submission queue whose completion is not written yet.
  std::uint32_t in_flight() const { return slots_.size() - slots_.free_count(); }

 private:
  struct Aggregation {
    std::uint32_t pending = 0;  // completions since the last interrupt
    std::uint32_t wait = 0;     // numbers the waits, so that a timer of an earlier one is recognised
  };

  // controller_core.cpp: registers, reset, dispatch
  void perform(const Action& action);
  std::uint32_t read_register(std::uint64_t offset) const;
  void write_register(Time now, std::uint64_t offset, std::uint32_t value);
  void write_configuration(Time now, std::uint32_t value);
  void ring(Time now, Doorbell doorbell, std::uint32_t value);
  void enable(Time now);
  void stop();        // forgets every queue and command
  void break_down();  // CSTS.CFS: nothing more happens until a reset

  // controller_queues.cpp: fetch, completion, interrupt
  void list(std::uint32_t queue);
  void wake_fetch(Time at);
  void fetch(Time at);
  void fetch_from(Time at, std::uint32_t queue);
  void entries_landed(Time at, std::uint32_t queue, std::uint32_t first);
  void complete(Time at, std::uint32_t command);
  void post(Time at, std::uint32_t command, CompletionQueue& queue);
  void release(Time at, std::uint32_t command);
  void drain(Time at, std::uint32_t queue);
  void entry_landed(Time at, std::uint32_t queue, std::uint32_t vector);
  void aggregation_due(Time at, std::uint32_t vector, std::uint32_t wait);
  void plan_late_read(Time landed, const Command& command);
  void late_read(Time at, std::uint32_t index);
  void keep_pages(Time at, const Command& command);
  void stray(Time at);

  // controller_io.cpp: reads and writes
  void execute(Time at, std::uint32_t command);
  Status check_io(const Command& command) const;
  void walk_prps(Time at, std::uint32_t command);
  void fetch_list(Time at, std::uint32_t command);
  void list_landed(Time at, std::uint32_t command);
  void prps_known(Time at, std::uint32_t command);
  void move_payload(Time at, std::uint32_t command);
  void payload_landed(Time at, std::uint32_t command);
  void start_media(Time at, std::uint32_t command);
  void enter_channel(Time at, std::uint32_t command);
  void media_done(Time at, std::uint32_t command);
  void fail(Time at, std::uint32_t command, Status status);

  // controller_admin.cpp
  void execute_admin(Time at, std::uint32_t command);
  Status create_completion_queue(const SubmissionEntry& entry);
  Status create_submission_queue(const SubmissionEntry& entry);
  Status delete_completion_queue(const SubmissionEntry& entry);
  void delete_submission_queue(Time at, std::uint32_t command);
  Status set_features(Command& command);
  Status get_features(Command& command) const;
  void identify(Time at, std::uint32_t command);

  const NvmeConfig config_;
  const NvmeFaults faults_;
  Bus& bus_;
  Media media_;
  ActionQueue actions_;
  CommandSlots slots_;

  Configuration cc_;
  std::uint32_t csts_ = 0;
  std::uint32_t aqa_ = 0;
  std::uint64_t asq_ = 0;
  std::uint64_t acq_ = 0;

  std::vector<SubmissionQueue> submission_;  // by queue id; 0 is the admin queue
  std::vector<CompletionQueue> completion_;
  std::vector<std::uint16_t> turns_;  // ring of submission queues with work, in the order they are served
  std::vector<std::uint8_t>
      in_turns_;  // by queue id; a deleted queue keeps its place until it comes up and is skipped
  std::uint32_t turns_first_ = 0;
  std::uint32_t turns_count_ = 0;
  std::uint32_t fetches_ = 0;  // DMAs of submission entries in flight
  bool fetch_woken_ = false;

  std::uint32_t submission_granted_ = 0;  // Number of Queues feature
  std::uint32_t completion_granted_ = 0;
  std::uint32_t arbitration_burst_ = 0;
  std::uint32_t aggregation_threshold_ = 0;
  Time aggregation_time_;
  std::vector<Aggregation> aggregation_;  // by vector

  std::uint64_t completions_ = 0;  // of I/O commands, for the planted fault that loses one
  std::vector<Segment> late_;  // the planted fault's pages still to be read
  std::vector<std::uint32_t> late_free_;
  StrayDma stray_;
  std::array<std::byte, page_size> page_{};  // one structure at a time, during a call of the bus
};

}  // namespace gnomon::nvme
