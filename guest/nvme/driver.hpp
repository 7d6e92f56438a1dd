// SPDX-License-Identifier: Apache-2.0
// The NVMe PCI driver under the block layer. Behaviour of Linux's drivers/nvme/host/pci.c, 6.1 to 6.12.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "guest/dma/dma_device.hpp"
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/guest_pages.hpp"
#include "guest/nvme/block.hpp"
#include "models/memory/guest_ram.hpp"
#include "models/spec/nvme/completion.hpp"
#include "models/spec/nvme/submission.hpp"

namespace gnomon::guest {

struct NvmeDriverOptions {
  Gpa bar;                                ///< of the controller's registers
  std::uint32_t device = 0;               ///< as the event stream names it
  unsigned queue_depth = 1024;            ///< entries of an I/O queue; one stays free
  std::uint64_t max_transfer = 128 * 1024;  ///< bytes a command may move; 128 KiB where the DMA API translates (6.12)
  unsigned lba_shift = 9;
  unsigned max_retries = 5;               ///< nvme_core.max_retries
};

class NvmeDriver {
 public:
  NvmeDriver(const NvmeDriverOptions& options, DmaDevice& dma, GuestRam& ram, GuestPages& pages,
             std::vector<Cpu*> cpus);
  ~NvmeDriver();

  /// Enables the controller and creates a queue pair per CPU, through the admin queue, on `cpu`.
  /// `vector`: the interrupt vector its queues use, free on every CPU. Throws std::runtime_error if it refuses.
  void probe(Cpu& cpu, unsigned vector);

  /// Gives the request to the queue of `cpu`. It may complete on another CPU than it was submitted on.
  void submit(Cpu& cpu, BlockRequest& request);

  std::uint64_t in_flight() const;

 private:
  class Queue;
  friend class Queue;

  std::uint32_t admin(Cpu& cpu, nvme::SubmissionEntry command);  // returns DW0 of the completion
  void wait_ready(Cpu& cpu);

  NvmeDriverOptions options_;
  DmaDevice& dma_;
  GuestRam& ram_;
  GuestPages& pages_;
  std::vector<Cpu*> cpus_;
  std::unique_ptr<Queue> admin_;
  std::vector<std::unique_ptr<Queue>> queues_;  // of I/O, one a CPU, or fewer shared in turn
};

}  // namespace gnomon::guest
