// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/io_flows.hpp"

#include <utility>

namespace gnomon::observe {

namespace {

constexpr std::uint64_t golden = 0x9e3779b97f4a7c15u;  // 2^64 over the golden ratio

/// Of two numbers. No two IOVAs of a domain, or commands of a queue, have the same; of different ones, all but
/// never.
constexpr std::uint64_t key_of(std::uint64_t high, std::uint64_t low) {
  return low ^ (high + 1) * golden;
}
constexpr std::uint64_t key_of_command(std::uint32_t device, std::uint32_t queue, std::uint32_t command) {
  return key_of(std::uint64_t{device} << 32 | queue, command);
}
/// Fibonacci hashing; the top bits are the well-mixed ones.
constexpr std::size_t bucket_of(std::uint64_t key) {
  return static_cast<std::size_t>(key * golden >> 52);
}
/// A page's mappings share a bucket: a ring that is read entry by entry then stays in the host's cache, to be no
/// I/O's.
constexpr std::size_t bucket_of_mapping(std::uint32_t domain, std::uint64_t iova) {
  return bucket_of(key_of(domain, iova >> 12));
}

}  // namespace

void IoFlows::begin(std::uint64_t io, std::uint64_t at_ns, std::uint32_t cpu) {
  Io& slot = ios_[io % capacity];
  if (slot.number == 0) slot = {io, at_ns, cpu, 0, false};
}

const IoFlows::Io* IoFlows::find(std::uint64_t io) const {
  const Io& slot = ios_[io % capacity];
  return io != 0 && slot.number == io ? &slot : nullptr;
}

IoFlows::Io* IoFlows::find(std::uint64_t io) {
  return const_cast<Io*>(std::as_const(*this).find(io));
}

void IoFlows::end(std::uint64_t io) {
  Io& slot = ios_[io % capacity];
  if (slot.number == io) slot = {};
}

void IoFlows::link_command(std::uint32_t device, std::uint32_t queue, std::uint32_t command, std::uint64_t io) {
  const std::uint64_t key = key_of_command(device, queue, command);
  link(commands_[bucket_of(key)], key, io);
}

std::uint64_t IoFlows::io_of_command(std::uint32_t device, std::uint32_t queue, std::uint32_t command) const {
  const std::uint64_t key = key_of_command(device, queue, command);
  return io_of(commands_[bucket_of(key)], key);
}

void IoFlows::unlink_command(std::uint32_t device, std::uint32_t queue, std::uint32_t command) {
  link_command(device, queue, command, 0);
}

void IoFlows::link_mapping(std::uint32_t domain, std::uint64_t iova, std::uint64_t io) {
  link(mappings_[bucket_of_mapping(domain, iova)], key_of(domain, iova), io);
}

std::uint64_t IoFlows::io_of_mapping(std::uint32_t domain, std::uint64_t iova) const {
  return io_of(mappings_[bucket_of_mapping(domain, iova)], key_of(domain, iova));
}

std::uint64_t IoFlows::take_mapping(std::uint32_t domain, std::uint64_t iova) {
  const std::uint64_t io = io_of_mapping(domain, iova);
  if (io != 0) link_mapping(domain, iova, 0);
  return io;
}

void IoFlows::link(Bucket& bucket, std::uint64_t key, std::uint64_t io) {
  static_assert(buckets == std::size_t{1} << (64 - 52));
  Link* free = nullptr;
  for (Link& link : bucket) {
    if (link.key == key && link.io != 0) {
      link.io = io;
      return;
    }
    if (free == nullptr && find(link.io) == nullptr) free = &link;
  }
  if (free != nullptr && io != 0) *free = {key, io};
}

std::uint64_t IoFlows::io_of(const Bucket& bucket, std::uint64_t key) const {
  for (const Link& link : bucket) {
    if (link.key == key && find(link.io) != nullptr) return link.io;
  }
  return 0;
}

}  // namespace gnomon::observe
