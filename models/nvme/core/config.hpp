// SPDX-License-Identifier: Apache-2.0
// An NVMe drive: its limits and how long its parts take. The defaults are a PCIe 3.0 x4 TLC drive of 2.5 GiB/s
// writes and somewhat above 500,000 mixed 4 KiB commands a second (Samsung 970 EVO class).
#pragma once

#include <cstdint>

#include "models/base/time.hpp"

namespace gnomon::nvme {

/// The flash behind the controller. A command passes its direction's bandwidth, then spends its latency in one
/// channel.
struct MediaConfig {
  unsigned channels = 20;                         ///< units that serve one command each at a time
  std::uint32_t stripe = 4096;                    ///< bytes; successive stripes lie on successive channels
  Time read_latency = Time::us(44);               ///< a read's fixed time in its channel
  Time read_jitter = Time::us(8);                 ///< and up to this much more, uniform
  Time write_latency = Time::us(9);               ///< a write's fixed time in its channel, into the SLC cache
  Time write_jitter = Time::us(4);                ///< and up to this much more, uniform
  std::uint32_t slow_per_million = 20;            ///< commands in a million that meet housekeeping
  Time slow_extra = Time::us(800);                ///< what those take on top
  std::uint64_t read_bandwidth = 3'400'000'000;   ///< bytes/s of all reads together
  std::uint64_t write_bandwidth = 2'684'354'560;  ///< bytes/s of all writes together: 2.5 GiB/s
};

struct NvmeConfig {
  std::uint64_t capacity = 1'000'204'886'016;  ///< bytes of namespace 1, a multiple of the block
  std::uint32_t block = 512;                   ///< bytes of a logical block: 512 or 4096
  std::uint32_t max_transfer = 2u << 20;       ///< bytes of the largest command: 4 KiB times a power of two (MDTS)
  unsigned max_queue_pairs = 32;               ///< I/O queue pairs, beside the admin pair
  unsigned queue_entries = 16'384;             ///< entries of the largest queue (CAP.MQES + 1), 2 to 65536
  unsigned doorbell_stride = 0;                ///< CAP.DSTRD: doorbells are 4 << this bytes apart
  unsigned vectors = 33;                       ///< MSI-X vectors
  unsigned command_slots = 1'024;  ///< commands inside the controller at once; the rest wait in their queues
  unsigned fetch_burst = 4;        ///< submission entries read by one DMA
  unsigned fetches_in_flight = 4;  ///< such DMAs at a time, each of another queue
  unsigned arbitration_burst = 4;  ///< commands taken of a queue before the next one's turn; a power of two
  Time command_overhead = Time::ns(1'500);  ///< firmware, from the entry's arrival to the command's first action
  Time ready_delay = Time::us(50);          ///< from CC.EN to CSTS.RDY
  unsigned aggregation_threshold = 1;       ///< completions an interrupt stands for, 1 to 256; 1 is no coalescing
  Time aggregation_time;                    ///< and how long the first of them waits at most; 0 is no coalescing
  MediaConfig media;
};

/// Planted misbehaviour, for tests of what should notice it. All off is a correct device.
struct NvmeFaults {
  bool late_dma = false;               ///< after a write completed, its last payload page is read once more
  Time late_dma_delay = Time::us(20);  ///< so long after the completion entry has landed
  Time stray_dma{};  ///< from the first completion on, pages of finished commands are read and written, one every so
                     ///< long; 0: none
  std::uint64_t lose_completion = 0;   ///< the I/O command to complete as this many-th, from 1, never does; 0: none
};

/// Throws std::invalid_argument, saying which value cannot be.
void validate(const NvmeConfig& config);

}  // namespace gnomon::nvme
