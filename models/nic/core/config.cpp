// SPDX-License-Identifier: Apache-2.0
// Which NICs can be built.
#include "models/nic/core/config.hpp"

#include <bit>
#include <stdexcept>
#include <string>

#include "models/base/address.hpp"
#include "models/spec/nic/descriptors.hpp"
#include "models/spec/nic/registers.hpp"

namespace gnomon::nic {

namespace {

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(std::string("nic: ") + what);
}

constexpr unsigned in_page = page_size / sizeof(Descriptor);

}  // namespace

void validate(const NicConfig& c) {
  require(c.wire_rate >= 1'000'000, "the wire carries at least 1 MB/s");
  require(c.queue_pairs >= 1 && c.queue_pairs <= most_queue_pairs, "there are 1 to 1024 queue pairs");
  require(c.ring_shift >= 6 && c.ring_shift <= 15, "the largest ring has 64 to 32768 entries");
  require(c.vectors >= 1 && c.vectors <= 2'048, "there are 1 to 2048 MSI-X vectors");
  require(c.descriptor_burst >= 1 && c.descriptor_burst <= in_page, "one DMA reads 1 to 256 descriptors");
  require(c.descriptor_cache >= 64 && c.descriptor_cache >= c.descriptor_burst,
          "at least 64 descriptors of a ring are kept, and at least a burst");
  require(std::has_single_bit(c.completion_burst) && c.completion_burst <= 64,
          "one DMA writes completion entries by a power of two up to 64");
  require(c.frames_in_flight >= 1, "at least one frame is read at a time");
  require(c.posted_bytes >= page_size, "at least a page of payload is under way at a time");
  require(c.packet_buffer >= 4 * page_size, "the packet buffer has at least 16 KiB");
  require(std::has_single_bit(c.packing.stride) && c.packing.stride >= 64 && c.packing.stride <= page_size,
          "a stride is a power of two from 64 to 4096 bytes");
  require(c.peer.first_window >= 1, "the peer's first window has at least one segment");
  require(c.peer.window >= 65'536, "the peer's window has at least 64 KiB");
  require(c.peer.ack_every >= 1, "the peer acknowledges every so many bytes, at least one");
  require(c.peer.loss_timeout != Time{}, "the peer's loss timeout is positive");
}

}  // namespace gnomon::nic
