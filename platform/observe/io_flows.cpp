// SPDX-License-Identifier: Apache-2.0
#include "platform/observe/io_flows.hpp"

#include <utility>

namespace gnomon::observe {

namespace {

constexpr std::uint64_t queue_of(std::uint32_t device, std::uint32_t queue) {
  return (std::uint64_t{device} << 32) | queue;
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
  link(commands_, queue_of(device, queue), command, io);
}

std::uint64_t IoFlows::io_of_command(std::uint32_t device, std::uint32_t queue, std::uint32_t command) const {
  const Link* link = find(commands_, queue_of(device, queue), command);
  return link == nullptr ? 0 : link->io;
}

void IoFlows::unlink_command(std::uint32_t device, std::uint32_t queue, std::uint32_t command) {
  link(commands_, queue_of(device, queue), command, 0);
}

void IoFlows::link_mapping(std::uint32_t domain, std::uint64_t iova, std::uint64_t io) {
  link(mappings_, domain, iova, io);
}

std::uint64_t IoFlows::io_of_mapping(std::uint32_t domain, std::uint64_t iova) const {
  const Link* found = find(mappings_, domain, iova);
  return found == nullptr ? 0 : found->io;
}

std::uint64_t IoFlows::take_mapping(std::uint32_t domain, std::uint64_t iova) {
  const Link* found = find(mappings_, domain, iova);
  if (found == nullptr) return 0;
  const std::uint64_t io = found->io;
  link(mappings_, domain, iova, 0);
  return io;
}

std::size_t IoFlows::bucket_of(std::uint64_t high, std::uint64_t low) {
  // Fibonacci hashing; the top bits are the well-mixed ones.
  const std::uint64_t mixed = (low ^ (high * 0x9e3779b97f4a7c15u)) * 0x9e3779b97f4a7c15u;
  return static_cast<std::size_t>(mixed >> 52);
  static_assert(buckets == std::size_t{1} << (64 - 52));
}

void IoFlows::link(Table& table, std::uint64_t high, std::uint64_t low, std::uint64_t io) {
  Bucket& bucket = table[bucket_of(high, low)];
  Link* free = nullptr;
  for (Link& entry : bucket) {
    if (entry.high == high && entry.low == low && entry.io != 0) {
      entry.io = io;
      return;
    }
    if (free == nullptr && find(entry.io) == nullptr) free = &entry;
  }
  if (free != nullptr && io != 0) *free = {high, low, io};
}

const IoFlows::Link* IoFlows::find(const Table& table, std::uint64_t high, std::uint64_t low) const {
  for (const Link& entry : table[bucket_of(high, low)]) {
    if (entry.high == high && entry.low == low && find(entry.io) != nullptr) return &entry;
  }
  return nullptr;
}

}  // namespace gnomon::observe
