// SPDX-License-Identifier: Apache-2.0
// Which drives can be built.
#include "models/nvme/core/config.hpp"

#include <bit>
#include <stdexcept>
#include <string>

#include "models/base/address.hpp"

namespace gnomon::nvme {

namespace {

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(std::string("nvme: ") + what);
}

}  // namespace

void validate(const NvmeConfig& c) {
  require(c.block == 512 || c.block == 4096, "the logical block is 512 or 4096 bytes");
  require(c.capacity != 0 && c.capacity % c.block == 0,
          "the capacity is a whole number of logical blocks, at least one");
  require(c.max_transfer >= page_size && std::has_single_bit(c.max_transfer),
          "the largest transfer is 4 KiB times a power of two");
  require(c.max_queue_pairs >= 1 && c.max_queue_pairs <= 65'534, "there are 1 to 65534 I/O queue pairs");
  require(c.queue_entries >= 2 && c.queue_entries <= 65'536, "a queue has 2 to 65536 entries");
  require(c.doorbell_stride <= 15, "the doorbell stride exponent is 0 to 15");
  require(c.vectors >= 1 && c.vectors <= 2'048, "there are 1 to 2048 MSI-X vectors");
  require(c.command_slots >= 1 && c.command_slots <= 65'535, "there are 1 to 65535 command slots");
  require(c.fetch_burst >= 1, "a fetch reads at least one entry");
  require(c.fetches_in_flight >= 1, "at least one fetch is in flight at a time");
  require(std::has_single_bit(c.arbitration_burst) && c.arbitration_burst <= 64,
          "the arbitration burst is a power of two up to 64");
  require(c.aggregation_threshold >= 1 && c.aggregation_threshold <= 256,
          "1 to 256 completions share an interrupt");
  require(c.media.channels >= 1, "the media have at least one channel");
  require(c.media.stripe >= 1, "a stripe has at least one byte");
  require(c.media.read_bandwidth != 0 && c.media.write_bandwidth != 0,
          "the media have a bandwidth in both directions");
  require(c.media.slow_per_million <= 1'000'000, "at most a million commands in a million are slow");
  require(c.media.read_jitter != Time::max() && c.media.write_jitter != Time::max(), "the jitter is finite");
}

}  // namespace gnomon::nvme
