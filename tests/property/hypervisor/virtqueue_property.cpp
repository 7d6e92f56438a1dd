// SPDX-License-Identifier: Apache-2.0
// Whatever a guest writes into its memory, the device comes back, says what is wrong, and touches nothing else.
#include <rapidcheck.h>

#include <catch2/catch.hpp>
#include <deque>
#include <map>

#include "guest/virtio/virtqueue_driver.hpp"
#include "models/base/random.hpp"
#include "models/hypervisor/core/virtio_iommu_queue.hpp"
#include "tests/support/recording_shadow.hpp"

using namespace gnomon;
using hypervisor::QueueError;
using hypervisor::VirtioIommuDevice;
using hypervisor::VirtqueueDevice;
using virtio::Descriptor;

namespace {

constexpr std::uint64_t ram_bytes = 64 << 10;

void fill_with_noise(GuestRam& ram, RandomStream& random) {
  for (std::uint64_t at = 0; at < ram.size(); at += 8) ram.write(Gpa{at}, random.next());
}

// Noise of the right shape: descriptors that mostly point into memory and mostly chain on, indices that mostly fit.
void write_plausible_ring(GuestRam& ram, const virtio::SplitQueueLayout& layout, RandomStream& random) {
  const auto descriptor = [&](Gpa at, std::uint64_t entries) {
    const bool wild = random.below(16) == 0;
    Descriptor d;
    d.address = wild ? random.next() : random.below(ram_bytes) & ~std::uint64_t{15};
    d.length = static_cast<std::uint32_t>(wild ? random.next() : 16 * (1 + random.below(4)));
    constexpr std::uint16_t likely[] = {0, virtio::descriptor_next, virtio::descriptor_write,
                                        virtio::descriptor_next | virtio::descriptor_write,
                                        virtio::descriptor_indirect};
    d.flags = wild ? static_cast<std::uint16_t>(random.next()) : likely[random.below(5)];
    d.next = static_cast<std::uint16_t>(wild ? random.next() : random.below(entries));
    if (ram.contains(at, sizeof(d))) ram.write(at, d);
    return d;
  };
  for (std::uint16_t i = 0; i < layout.size; ++i) {
    const Descriptor d = descriptor(layout.descriptor(i), layout.size);
    if ((d.flags & virtio::descriptor_indirect) == 0) continue;
    for (std::uint64_t at = 0; at < 64; at += 16) descriptor(Gpa{d.address + at}, 4);
  }
  for (std::uint16_t i = 0; i < layout.size; ++i) {
    ram.write(layout.available_entry(i),
              static_cast<std::uint16_t>(random.below(64) == 0 ? random.next() : random.below(layout.size)));
  }
  ram.write(layout.available_index(), static_cast<std::uint16_t>(random.below(layout.size + 2u)));
}

// Descriptors `index` and `index + 1`: a request of any type with small numbers in its fields, and room for an
// answer. Now and then one is cut short.
void write_random_request(GuestRam& ram, const virtio::SplitQueueLayout& layout, std::uint16_t index,
                          RandomStream& random) {
  const Gpa request{0x2000 + std::uint64_t{index} * 0x100};
  const std::uint64_t first = random.below(64);
  const std::uint64_t fields[] = {random.below(7) | (random.below(4) == 0 ? random.below(3) : 1) << 32,
                                  first << page_shift,
                                  ((first + 1 + random.below(9)) << page_shift) - (random.below(8) == 0 ? 0 : 1),
                                  random.below(64) << page_shift, random.below(9)};
  for (std::uint64_t i = 0; i < 5; ++i) ram.write(request + 8 * i, fields[i]);
  const auto length = static_cast<std::uint32_t>(random.below(30) == 0 ? 1 + random.below(20) : 72);
  const auto room = static_cast<std::uint32_t>(random.below(30) == 0 ? 1 + random.below(8) : 516);
  const auto next = static_cast<std::uint16_t>(index + 1);
  ram.write(layout.descriptor(index), Descriptor{request.value, length, virtio::descriptor_next, next});
  ram.write(layout.descriptor(next), Descriptor{0x8000 + random.below(0x7000), room, virtio::descriptor_write, 0});
}

// Everything a chain promises. Returns whether there was one.
bool check_chain(VirtqueueDevice& device, const GuestRam& ram, std::uint16_t size) {
  const auto* chain = device.pop();
  if (chain == nullptr) return false;
  RC_ASSERT(chain->head < size);
  RC_ASSERT(chain->readable.size() + chain->writable.size() <= size);
  RC_ASSERT(chain->readable.size() + chain->writable.size() > 0u);
  std::uint64_t bytes = 0;
  for (const auto& part : {chain->readable, chain->writable}) {
    for (const auto& segment : part) {
      RC_ASSERT(segment.bytes != 0u);
      RC_ASSERT(ram.contains(segment.address, segment.bytes));
      bytes += segment.bytes;
    }
  }
  RC_ASSERT(bytes == chain->readable_bytes + chain->writable_bytes);
  device.push(chain->head, 0);
  return true;
}

}  // namespace

TEST_CASE("random bytes as rings, anywhere") {
  PhysicalMemory memory(1 << 20);
  unsigned chains = 0;
  unsigned errors = 0;
  const bool ok = rc::check([&](std::uint64_t seed, bool indirect, bool event_idx) {
    RandomStream random(seed, "hostile");
    GuestRam ram(memory, Hpa{0x10000}, ram_bytes, Backing::pages_4k, seed);
    fill_with_noise(ram, random);
    virtio::SplitQueueLayout layout;
    const bool plausible = random.below(4) != 0;
    if (plausible) {
      layout = virtio::SplitQueueLayout::contiguous(Gpa{random.below(256) * 16},
                                                    static_cast<std::uint16_t>(1u << random.below(9)));
      write_plausible_ring(ram, layout, random);
    } else {
      layout.size = static_cast<std::uint16_t>(random.next());
      if (random.below(2) != 0) layout.size = static_cast<std::uint16_t>(1u << random.below(16));
      const auto place = [&] {
        return Gpa{random.below(8) == 0 ? random.next() : random.below(ram_bytes) & ~15ull};
      };
      layout.descriptors = place();
      layout.available = place();
      layout.used = place();
    }
    VirtqueueDevice device(ram, layout, {indirect, event_idx});
    for (unsigned i = 0; i < 2u * layout.size + 2u && check_chain(device, ram, layout.size); ++i) {
      ++chains;
      device.should_interrupt();
    }
    device.enable_notifications(true);
    if (device.error() != QueueError::none) {
      ++errors;
      RC_ASSERT(device.pop() == nullptr);
    }
  });
  CHECK(ok);
  CHECK(chains > 20);  // the noise reaches both sides
  CHECK(errors > 20);
}

TEST_CASE("random requests in a sound ring never leave guest memory nor upset the device") {
  PhysicalMemory memory(1 << 20);
  unsigned served = 0;
  unsigned mapped = 0;
  const bool ok = rc::check([&](std::uint64_t seed) {
    RandomStream random(seed, "requests");
    GuestRam ram(memory, Hpa{0x10000}, ram_bytes, Backing::pages_4k, seed);
    const Hpa below{0xfff8};
    const Hpa above{0x10000 + ram_bytes};
    memory.write(below, std::uint64_t{0x5afe});
    memory.write(above, std::uint64_t{0x5afe});
    constexpr std::uint16_t size = 64;
    const auto layout = virtio::SplitQueueLayout::contiguous(Gpa{0}, size);
    for (std::uint16_t i = 0; i < size; i = static_cast<std::uint16_t>(i + 2)) {
      write_random_request(ram, layout, i, random);
    }
    for (std::uint16_t i = 0; i < size; ++i) {
      ram.write(layout.available_entry(i), static_cast<std::uint16_t>(2 * random.below(size / 2)));
    }
    ram.write(layout.available_index(), size);
    VirtqueueDevice queue(ram, layout, {true, true});
    test::RecordingShadow shadow;
    VirtioIommuDevice iommu{hypervisor::VirtioIommuDeviceConfig{}};
    iommu.add_endpoint(0, &shadow);
    iommu.add_endpoint(1, nullptr);
    virtio_iommu::Attach attach;
    attach.domain = 1;
    iommu.execute(attach);
    while (hypervisor::serve_request(queue, iommu)) ++served;
    for (const auto& call : shadow.calls) mapped += call.map ? 1 : 0;
    RC_ASSERT(!shadow.double_map);
    RC_ASSERT(memory.read<std::uint64_t>(below) == 0x5afeu);
    RC_ASSERT(memory.read<std::uint64_t>(above) == 0x5afeu);
    iommu.reset();
    RC_ASSERT(shadow.pages.empty());
  });
  CHECK(ok);
  CHECK(served > 1000);
  CHECK(mapped > 50);
}

TEST_CASE("driver and device agree on every request, in any interleaving") {
  PhysicalMemory memory(1 << 20);
  const bool ok = rc::check([&](bool indirect, bool event_idx) {
    GuestRam ram(memory, Hpa{0}, 512 << 10, Backing::pages_4k, 3);
    const auto size = static_cast<std::uint16_t>(1u << *rc::gen::inRange(1, 6));
    const auto layout = virtio::SplitQueueLayout::contiguous(Gpa{0x1ff0}, size);
    guest::VirtqueueDriver driver(ram, layout, {Gpa{0x40000}, 8, 8}, {indirect, event_idx, true});
    VirtqueueDevice device(ram, layout, {indirect, event_idx});
    std::map<std::uint16_t, std::uint64_t> asked;  // by head
    std::deque<std::uint16_t> taken;
    std::uint64_t next = 1;
    bool asleep = true;  // the device found nothing and waits for a kick
    for (int step = 0; step < 300; ++step) {
      switch (*rc::gen::inRange(0, 4)) {
        case 0: {
          const auto head = driver.add(std::as_bytes(std::span(&next, 1)), 8);
          RC_ASSERT(head.has_value() == (asked.size() < (indirect ? size : size / 2u)));
          if (!head) break;
          RC_ASSERT(asked.emplace(*head, next++).second);
          const bool kick = driver.kick_needed();
          RC_ASSERT(kick || !asleep);
          asleep = false;
          break;
        }
        case 1: {
          const auto* chain = device.pop();
          asleep = chain == nullptr;
          if (asleep) break;
          std::uint64_t value = 0;
          device.read(*chain, 0, std::as_writable_bytes(std::span(&value, 1)));
          RC_ASSERT(asked.at(chain->head) == value);
          value = ~value;
          device.write(*chain, 0, std::as_bytes(std::span(&value, 1)));
          taken.push_back(chain->head);
          break;
        }
        case 2: {
          if (taken.empty()) break;
          const bool newest = *rc::gen::arbitrary<bool>();
          device.push(newest ? taken.back() : taken.front(), 8);
          newest ? taken.pop_back() : taken.pop_front();
          break;
        }
        default: {
          const auto used = driver.pop_used();
          if (!used) break;
          RC_ASSERT(ram.read<std::uint64_t>(driver.writable(used->head)) == ~asked.at(used->head));
          asked.erase(used->head);
        }
      }
    }
    RC_ASSERT(!driver.broken());
    RC_ASSERT(device.error() == QueueError::none);
  });
  CHECK(ok);
}
