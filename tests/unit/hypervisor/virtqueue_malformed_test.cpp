// SPDX-License-Identifier: Apache-2.0
// What a hostile driver can put into a ring, and the error each comes to.
#include <catch2/catch.hpp>
#include <vector>

#include "models/hypervisor/core/virtqueue_device.hpp"

using namespace gnomon;
using hypervisor::QueueError;
using hypervisor::VirtqueueDevice;
using virtio::Descriptor;
using virtio::descriptor_indirect;
using virtio::descriptor_next;
using virtio::descriptor_write;

namespace {

constexpr std::uint64_t ram_bytes = 1 << 20;
constexpr std::uint16_t queue_size = 8;

struct Hostile {
  void descriptor(std::uint16_t index, const Descriptor& d) { ram.write(layout.descriptor(index), d); }
  void offer(std::uint16_t head) {
    ram.write(layout.available_entry(available), head);
    ram.write(layout.available_index(), ++available);
  }
  QueueError pop() {
    CHECK(device.pop() == nullptr);
    return device.error();
  }

  PhysicalMemory memory{ram_bytes};
  GuestRam ram{memory, Hpa{0}, ram_bytes, Backing::pages_4k, 1};
  virtio::SplitQueueLayout layout = virtio::SplitQueueLayout::contiguous(Gpa{0x1000}, queue_size);
  VirtqueueDevice device{ram, layout, {true, true}};
  std::uint16_t available = 0;
};

}  // namespace

TEST_CASE_METHOD(Hostile, "an index that jumped") {
  ram.write(layout.available_index(), std::uint16_t{queue_size + 1});
  CHECK(pop() == QueueError::index_jump);
  ram.write(layout.available_index(), std::uint16_t{0});
  CHECK(pop() == QueueError::index_jump);  // the first error stays
  CHECK_FALSE(device.should_interrupt());
  device.reset();
  CHECK(pop() == QueueError::none);
}

TEST_CASE_METHOD(Hostile, "a head that is no descriptor") {
  offer(queue_size);
  CHECK(pop() == QueueError::head_out_of_range);
}

TEST_CASE_METHOD(Hostile, "a next that is no descriptor") {
  descriptor(0, {0x8000, 16, descriptor_next, queue_size});
  offer(0);
  CHECK(pop() == QueueError::next_out_of_range);
}

TEST_CASE_METHOD(Hostile, "loops") {
  SECTION("of one") {
    descriptor(0, {0x8000, 16, descriptor_next, 0});
  }
  SECTION("of two") {
    descriptor(0, {0x8000, 16, descriptor_next, 1});
    descriptor(1, {0x8000, 16, descriptor_next, 0});
  }
  SECTION("in a table") {
    descriptor(0, {0x8000, 16, descriptor_indirect, 0});
    ram.write(Gpa{0x8000}, Descriptor{0x9000, 16, descriptor_next, 0});
  }
  offer(0);
  CHECK(pop() == QueueError::chain_too_long);
}

TEST_CASE_METHOD(Hostile, "the longest chain is as long as the queue") {
  const bool one_more = GENERATE(false, true);
  const std::uint16_t length = one_more ? queue_size + 1 : queue_size;
  descriptor(3, {0x8000, std::uint32_t{16} * length, descriptor_indirect | descriptor_write, 0});
  for (std::uint16_t i = 0; i < length; ++i) {
    const bool last = i + 1 == length;
    ram.write(Gpa{0x8000} + std::uint64_t{16} * i,
              Descriptor{0x9000, 1, last ? std::uint16_t{0} : descriptor_next, static_cast<std::uint16_t>(i + 1)});
  }
  offer(3);
  if (one_more) {
    CHECK(pop() == QueueError::chain_too_long);
  } else {
    const auto* chain = device.pop();
    REQUIRE(chain != nullptr);
    CHECK(chain->readable.size() == queue_size);  // the link's WRITE flag means nothing (2.7.5.3.2)
    CHECK(chain->head == 3);
  }
}

TEST_CASE_METHOD(Hostile, "direct descriptors before a table are one chain") {
  descriptor(0, {0x9000, 8, descriptor_next, 1});
  descriptor(1, {0x8000, 32, descriptor_indirect, 0});
  ram.write(Gpa{0x8000}, Descriptor{0xa000, 4, descriptor_next, 1});
  ram.write(Gpa{0x8010}, Descriptor{0xb000, 4, descriptor_write, 0});
  offer(0);
  const auto* chain = device.pop();
  REQUIRE(chain != nullptr);
  CHECK(chain->readable_bytes == 12);
  CHECK(chain->writable_bytes == 4);
  CHECK(chain->descriptors_read == 4);
}

TEST_CASE_METHOD(Hostile, "buffers that are not guest memory") {
  SECTION("behind the end") {
    descriptor(0, {ram_bytes, 1, 0, 0});
  }
  SECTION("over the end") {
    descriptor(0, {ram_bytes - 8, 9, 0, 0});
  }
  SECTION("over the end of everything") {
    descriptor(0, {~std::uint64_t{0} - 3, 16, 0, 0});
  }
  SECTION("larger than memory") {
    descriptor(0, {0, 0xffffffff, 0, 0});
  }
  offer(0);
  CHECK(pop() == QueueError::buffer_out_of_range);
}

TEST_CASE_METHOD(Hostile, "an empty buffer") {
  descriptor(0, {0x8000, 0, 0, 0});
  offer(0);
  CHECK(pop() == QueueError::empty_buffer);
}

TEST_CASE_METHOD(Hostile, "readable behind writable") {
  descriptor(0, {0x8000, 4, descriptor_write | descriptor_next, 1});
  descriptor(1, {0x9000, 4, 0, 0});
  offer(0);
  CHECK(pop() == QueueError::readable_after_writable);
}

TEST_CASE_METHOD(Hostile, "tables that are none") {
  SECTION("empty") {
    descriptor(0, {0x8000, 0, descriptor_indirect, 0});
    offer(0);
    CHECK(pop() == QueueError::indirect_bad_table);
  }
  SECTION("broken descriptor") {
    descriptor(0, {0x8000, 17, descriptor_indirect, 0});
    offer(0);
    CHECK(pop() == QueueError::indirect_bad_table);
  }
  SECTION("outside memory") {
    descriptor(0, {ram_bytes - 8, 16, descriptor_indirect, 0});
    offer(0);
    CHECK(pop() == QueueError::indirect_bad_table);
  }
  SECTION("in a table") {
    descriptor(0, {0x8000, 16, descriptor_indirect, 0});
    ram.write(Gpa{0x8000}, Descriptor{0x9000, 16, descriptor_indirect, 0});
    offer(0);
    CHECK(pop() == QueueError::indirect_nested);
  }
  SECTION("with a next") {
    descriptor(0, {0x8000, 16, descriptor_indirect | descriptor_next, 1});
    offer(0);
    CHECK(pop() == QueueError::indirect_with_next);
  }
  SECTION("a next behind its end") {
    descriptor(0, {0x8000, 16, descriptor_indirect, 0});
    ram.write(Gpa{0x8000}, Descriptor{0x9000, 16, descriptor_next, 1});
    offer(0);
    CHECK(pop() == QueueError::next_out_of_range);
  }
  SECTION("not negotiated") {
    VirtqueueDevice plain(ram, layout, {false, true});
    descriptor(0, {0x8000, 16, descriptor_indirect, 0});
    offer(0);
    CHECK(plain.pop() == nullptr);
    CHECK(plain.error() == QueueError::indirect_not_negotiated);
  }
}

TEST_CASE("more than 2^32 bytes") {
  PhysicalMemory memory(std::uint64_t{5} << 30);
  GuestRam ram(memory, Hpa{0}, std::uint64_t{5} << 30, Backing::hugetlb_1g, 1);
  const auto layout = virtio::SplitQueueLayout::contiguous(Gpa{0x1000}, 8);
  VirtqueueDevice device(ram, layout, {true, true});
  const std::uint32_t rest = GENERATE(1u, 2u);
  ram.write(layout.descriptor(0), Descriptor{0x10000, 0xffffffff, descriptor_next, 1});
  ram.write(layout.descriptor(1), Descriptor{0x10000, rest, 0, 0});
  ram.write(layout.available_index(), std::uint16_t{1});
  const auto* chain = device.pop();
  CHECK((chain != nullptr) == (rest == 1));
  CHECK(device.error() == (rest == 1 ? QueueError::none : QueueError::chain_too_large));
}

TEST_CASE("rings that are nowhere") {
  PhysicalMemory memory(ram_bytes);
  GuestRam ram(memory, Hpa{0}, ram_bytes, Backing::pages_4k, 1);
  auto layout = virtio::SplitQueueLayout::contiguous(Gpa{0x1000}, 256);
  SECTION("descriptors") {
    layout.descriptors = Gpa{ram_bytes - 16};
  }
  SECTION("available ring") {
    layout.available = Gpa{~std::uint64_t{0} - 1};
  }
  SECTION("used ring") {
    layout.used = Gpa{ram_bytes - 2052};
  }
  SECTION("size") {
    layout.size = 3;
  }
  VirtqueueDevice device(ram, layout, {true, true});
  CHECK(device.error() == QueueError::bad_layout);
  CHECK(device.pop() == nullptr);
  CHECK_FALSE(device.has_available());
  device.push(0, 0);
  device.enable_notifications(true);
  CHECK_FALSE(device.should_interrupt());
}
