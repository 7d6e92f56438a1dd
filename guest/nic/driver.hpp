// SPDX-License-Identifier: Apache-2.0
// The NIC's driver: brings the device up, a queue pair a CPU. Behaviour of Linux's 100G drivers: NAPI, page pool,
// GRO, one DMA mapping a piece of every sent frame.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "guest/dma/dma_device.hpp"
#include "guest/kernel/cpu.hpp"
#include "guest/kernel/guest_pages.hpp"
#include "guest/nic/costs.hpp"
#include "guest/nic/page_pool.hpp"
#include "models/base/random.hpp"
#include "models/memory/guest_ram.hpp"

namespace gnomon::guest {

class NicQueue;

struct NicDriverOptions {
  Gpa bar;                             ///< of the NIC's registers
  std::uint32_t device = 0;            ///< as the event stream names it
  unsigned receive_ring = 1024;        ///< descriptors, a power of two; one stays free
  unsigned transmit_ring = 1024;       ///< likewise
  unsigned moderation_count = 64;      ///< completions (ethtool's rx-frames)
  Time moderation_time = Time::us(8);  ///< rx-usecs
  unsigned budget = 64;                ///< packets of one NAPI poll (NAPI_POLL_WEIGHT)
  bool gro_ends_with_poll = true;      ///< aggregates never outlive a poll: so below 1000 HZ
  unsigned refill_batch = 16;          ///< descriptors posted by one doorbell, at least
  PagePoolOptions pool;
  NicCosts costs;
  std::uint64_t seed = 1;  ///< the run's master seed
};

class NicDriver {
 public:
  /// All references must outlive the driver. Queue pair i belongs to cpus[i].
  NicDriver(const NicDriverOptions& options, DmaDevice& dma, GuestRam& ram, GuestPages& pages,
            std::vector<Cpu*> cpus);
  ~NicDriver();

  /// Enables the NIC and its queue pairs, on `cpu`, and fills their rings. `vector`: the interrupt vector they use,
  /// free on every CPU. Throws std::runtime_error if the NIC refuses, std::bad_alloc where a ring cannot be mapped.
  void probe(Cpu& cpu, unsigned vector);
  /// Stops the NIC and unmaps everything that is mapped. Sockets must have been released.
  void remove(Cpu& cpu);

  NicQueue& queue(unsigned index) { return *queues_.at(index); }
  std::size_t queues() const { return queues_.size(); }
  const NicDriverOptions& options() const { return options_; }
  DmaDevice& dma() { return dma_; }
  GuestRam& ram() { return ram_; }
  GuestPages& pages() { return pages_; }

 private:
  NicDriverOptions options_;
  DmaDevice& dma_;
  GuestRam& ram_;
  GuestPages& pages_;
  std::vector<Cpu*> cpus_;
  std::vector<std::unique_ptr<NicQueue>> queues_;
};

}  // namespace gnomon::guest
