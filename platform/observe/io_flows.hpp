// SPDX-License-Identifier: Apache-2.0
// Which I/O an event belongs to, where the event does not say: by its command or by its mapping. In constant
// memory.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace gnomon::observe {

/// Follows I/Os from submission until they are reaped and, where that is later, flushed. An I/O that finds no room
/// is not followed, and that is all that happens: `capacity` I/Os are followed at once, and at most four links
/// share a bucket.
class IoFlows {
 public:
  struct Io {
    std::uint64_t number = 0;  ///< 0: the slot is free
    std::uint64_t submitted_ns = 0;
    std::uint32_t cpu = 0;
    std::uint32_t owed = 0;  ///< of its unmaps, those whose flush is still to come
    bool reaped = false;     ///< only they keep it
  };

  IoFlows() : ios_(capacity), commands_(buckets), mappings_(buckets) {}

  void begin(std::uint64_t io, std::uint64_t at_ns, std::uint32_t cpu);
  const Io* find(std::uint64_t io) const;  ///< null: not followed
  Io* find(std::uint64_t io);
  void end(std::uint64_t io);

  /// A command of a queue carries this I/O until it is unlinked, or linked again.
  void link_command(std::uint32_t device, std::uint32_t queue, std::uint32_t command, std::uint64_t io);
  std::uint64_t io_of_command(std::uint32_t device, std::uint32_t queue, std::uint32_t command) const;  ///< 0: none
  void unlink_command(std::uint32_t device, std::uint32_t queue, std::uint32_t command);
  /// Stands for the queue's doorbell among its commands, whose numbers have 16 bits.
  static constexpr std::uint32_t doorbell = 0x10000;

  /// The mapping that starts at `iova` of `domain` was made for this I/O.
  void link_mapping(std::uint32_t domain, std::uint64_t iova, std::uint64_t io);
  std::uint64_t io_of_mapping(std::uint32_t domain, std::uint64_t iova) const;  ///< 0: none
  std::uint64_t take_mapping(std::uint32_t domain, std::uint64_t iova);         ///< the I/O, once; 0: none

  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Io& io : ios_) {
      if (io.number != 0) visit(io);
    }
  }

 private:
  static constexpr std::size_t capacity = 8192;  // I/Os are numbered in sequence, so slots fill evenly
  static constexpr std::size_t buckets = 4096;

  struct Link {
    std::uint64_t key = 0;
    std::uint64_t io = 0;  // a link whose I/O is no longer followed counts as free
  };
  struct alignas(64) Bucket : std::array<Link, 4> {};  // one line of the host's cache: most look-ups miss it
  using Table = std::vector<Bucket>;

  void link(Bucket& bucket, std::uint64_t key, std::uint64_t io);
  std::uint64_t io_of(const Bucket& bucket, std::uint64_t key) const;

  std::vector<Io> ios_;
  Table commands_;
  Table mappings_;
};

}  // namespace gnomon::observe
