// SPDX-License-Identifier: Apache-2.0
// Our driver against our device, over the same guest memory, scattered in the host's.
#include <array>
#include <catch2/catch.hpp>
#include <vector>

#include "guest/virtio/virtqueue_driver.hpp"
#include "models/hypervisor/core/virtqueue_device.hpp"

using namespace gnomon;
using guest::RequestPool;
using guest::VirtqueueDriver;
using guest::VirtqueueDriverConfig;
using hypervisor::VirtqueueDevice;

namespace {

struct Queue {
  explicit Queue(std::uint16_t size, VirtqueueDriverConfig config)
      : layout(virtio::SplitQueueLayout::contiguous(Gpa{0x1000}, size)),
        driver(ram, layout, RequestPool{Gpa{0x40000}, 36, 4}, config),
        device(ram, layout, {config.indirect, config.event_idx}) {}

  std::optional<std::uint16_t> add(std::uint32_t value) {
    std::array<std::uint32_t, 9> request{};
    request[0] = value;
    return driver.add(std::as_bytes(std::span(request)), 4);
  }
  // The device answers the next request with its first word plus one.
  bool serve() {
    const auto* chain = device.pop();
    if (chain == nullptr) return false;
    std::uint32_t word = 0;
    REQUIRE(device.read(*chain, 0, std::as_writable_bytes(std::span(&word, 1))) == 4);
    ++word;
    REQUIRE(device.write(*chain, 0, std::as_bytes(std::span(&word, 1))) == 4);
    device.push(chain->head, 4);
    return true;
  }

  PhysicalMemory memory{1 << 20};
  GuestRam ram{memory, Hpa{0}, 1 << 20, Backing::pages_4k, 1};
  virtio::SplitQueueLayout layout;
  VirtqueueDriver driver;
  VirtqueueDevice device;
};

}  // namespace

TEST_CASE("a request goes through and its answer comes back") {
  Queue queue(8, {GENERATE(false, true), GENERATE(false, true), true});
  const auto head = queue.add(41);
  REQUIRE(head);
  CHECK_FALSE(queue.driver.pop_used());
  CHECK(queue.device.has_available());
  CHECK(queue.serve());
  CHECK_FALSE(queue.serve());
  const auto used = queue.driver.pop_used();
  REQUIRE(used);
  CHECK(used->head == *head);
  CHECK(used->written == 4);
  CHECK(queue.ram.read<std::uint32_t>(queue.driver.writable(used->head)) == 42);
  CHECK(queue.driver.in_flight() == 0);
  CHECK(queue.driver.free_descriptors() == 8);
}

TEST_CASE("what a chain looks like in memory") {
  SECTION("direct: two descriptors") {
    Queue queue(8, {false, true, true});
    queue.add(1);
    const auto first = queue.ram.read<virtio::Descriptor>(queue.layout.descriptor(0));
    const auto second = queue.ram.read<virtio::Descriptor>(queue.layout.descriptor(1));
    CHECK(first == virtio::Descriptor{0x40020, 36, virtio::descriptor_next, 1});
    CHECK(second == virtio::Descriptor{0x40048, 4, virtio::descriptor_write, 0});
    const auto* chain = queue.device.pop();
    REQUIRE(chain != nullptr);
    CHECK(chain->descriptors_read == 2);
    CHECK(chain->readable_bytes == 36);
    CHECK(chain->writable_bytes == 4);
  }
  SECTION("indirect: one descriptor and a table of two") {
    Queue queue(8, {true, true, true});
    queue.add(1);
    CHECK(queue.ram.read<virtio::Descriptor>(queue.layout.descriptor(0)) ==
          virtio::Descriptor{0x40000, 32, virtio::descriptor_indirect, 0});
    CHECK(queue.ram.read<virtio::Descriptor>(Gpa{0x40000}) ==
          virtio::Descriptor{0x40020, 36, virtio::descriptor_next, 1});
    const auto* chain = queue.device.pop();
    REQUIRE(chain != nullptr);
    CHECK(chain->descriptors_read == 3);
    CHECK(chain->readable.size() == 1);
    CHECK(chain->writable.size() == 1);
  }
  SECTION("a buffer to be written only, as event queues have them") {
    Queue queue(8, {GENERATE(false, true), true, true});
    REQUIRE(queue.driver.add({}, 4));
    CHECK(queue.ram.read<virtio::Descriptor>(queue.layout.descriptor(0)) ==
          virtio::Descriptor{0x40048, 4, virtio::descriptor_write, 0});
    CHECK(queue.driver.free_descriptors() == 7);
    const auto* chain = queue.device.pop();
    REQUIRE(chain != nullptr);
    CHECK(chain->readable.empty());
    CHECK(chain->writable_bytes == 4);
  }
}

TEST_CASE("a full ring refuses, and takes again what was used") {
  const bool indirect = GENERATE(false, true);
  Queue queue(256, {indirect, true, false});
  const unsigned capacity = indirect ? 256 : 128;
  for (unsigned i = 0; i < capacity; ++i) REQUIRE(queue.add(i));
  CHECK_FALSE(queue.add(999));
  CHECK(queue.driver.in_flight() == capacity);
  CHECK(queue.serve());
  CHECK_FALSE(queue.add(999));  // used, but not seen to be
  REQUIRE(queue.driver.pop_used());
  CHECK(queue.add(999));
  CHECK_FALSE(queue.add(1000));
  while (queue.serve()) {
  }
  std::vector<std::uint32_t> answers;
  while (const auto used = queue.driver.pop_used()) {
    answers.push_back(queue.ram.read<std::uint32_t>(queue.driver.writable(used->head)));
  }
  REQUIRE(answers.size() == capacity);
  CHECK(answers.front() == 2);
  CHECK(answers.back() == 1000);
}

TEST_CASE("indices wrap at 65536 in both directions and nothing is lost") {
  Queue queue(16, {GENERATE(false, true), true, true});
  std::uint32_t expected = 0;
  for (std::uint32_t i = 0; i < 70000; i += 5) {
    for (std::uint32_t j = 0; j < 5; ++j) REQUIRE(queue.add(i + j));
    REQUIRE(queue.driver.kick_needed());
    while (queue.serve()) {
    }
    REQUIRE(queue.device.should_interrupt());
    while (const auto used = queue.driver.pop_used()) {
      REQUIRE(queue.ram.read<std::uint32_t>(queue.driver.writable(used->head)) == ++expected);
    }
  }
  CHECK(expected == 70000);
  CHECK(queue.driver.available_index() == 70000 - 65536);
  CHECK_FALSE(queue.driver.broken());
  CHECK(queue.device.error() == hypervisor::QueueError::none);
}

TEST_CASE("EVENT_IDX: one kick for what the device does not yet know, none for nothing") {
  Queue queue(256, {true, true, false});
  CHECK_FALSE(queue.driver.kick_needed());
  queue.add(1);
  queue.add(2);
  queue.add(3);
  CHECK(queue.driver.kick_needed());
  CHECK_FALSE(queue.driver.kick_needed());
  queue.add(4);  // the device still waits for entry 0: it was told
  CHECK_FALSE(queue.driver.kick_needed());
  while (queue.serve()) {
  }
  CHECK_FALSE(queue.driver.kick_needed());
  queue.add(5);
  CHECK(queue.driver.kick_needed());
}

TEST_CASE("without EVENT_IDX every question is a kick unless the device says no") {
  Queue queue(256, {true, false, false});
  CHECK(queue.driver.kick_needed());  // even with nothing added
  queue.add(1);
  CHECK(queue.driver.kick_needed());
  queue.device.enable_notifications(false);
  queue.add(2);
  CHECK_FALSE(queue.driver.kick_needed());
  queue.device.enable_notifications(true);
  CHECK(queue.driver.kick_needed());
}

TEST_CASE("the device catches up with what was added while it did not look") {
  Queue queue(256, {true, true, false});
  queue.add(1);
  queue.add(2);
  CHECK(queue.driver.kick_needed());
  queue.device.enable_notifications(true);
  queue.add(3);
  CHECK(queue.driver.kick_needed());
}

TEST_CASE("interrupts follow used_event, or the flag") {
  SECTION("EVENT_IDX with a callback: one for each batch the driver has not seen") {
    Queue queue(16, {true, true, true});
    for (std::uint32_t i = 0; i < 3; ++i) queue.add(i);
    queue.serve();
    CHECK(queue.device.should_interrupt());
    queue.serve();
    CHECK_FALSE(queue.device.should_interrupt());  // the driver still waits for the first
    while (queue.driver.pop_used()) {
    }
    queue.serve();
    CHECK(queue.device.should_interrupt());
  }
  SECTION("EVENT_IDX without a callback: used_event stays 0, passed once in 65536") {
    Queue queue(16, {true, true, false});
    unsigned interrupts = 0;
    for (std::uint32_t i = 0; i < 65536 + 16; ++i) {
      queue.add(i);
      queue.serve();
      if (queue.device.should_interrupt()) ++interrupts;
      REQUIRE(queue.driver.pop_used());
    }
    CHECK(interrupts == 2);
  }
  SECTION("EVENT_IDX: a whole lap of the index without a question is an interrupt, not none") {
    Queue queue(16, {true, true, false});
    REQUIRE(queue.device.should_interrupt());  // the first question has nothing to compare with
    for (std::uint32_t i = 0; i < 65536; ++i) {
      queue.add(i);
      queue.serve();
      REQUIRE(queue.driver.pop_used());
    }
    CHECK(queue.device.should_interrupt());
    CHECK_FALSE(queue.device.should_interrupt());
  }
  SECTION("the flag") {
    Queue polled(16, {true, false, false});
    polled.add(1);
    polled.serve();
    CHECK_FALSE(polled.device.should_interrupt());
    Queue driven(16, {true, false, true});
    driven.add(1);
    driven.serve();
    CHECK(driven.device.should_interrupt());
  }
}

TEST_CASE("completion out of order frees the right chains") {
  Queue queue(8, {false, true, true});
  const auto a = queue.add(1);
  const auto b = queue.add(2);
  const auto* chain = queue.device.pop();
  const auto first = chain->head;
  chain = queue.device.pop();
  queue.device.push(chain->head, 0);
  queue.device.push(first, 4);
  auto used = queue.driver.pop_used();
  REQUIRE(used);
  CHECK(used->head == *b);
  CHECK(used->written == 0);
  CHECK(queue.driver.free_descriptors() == 6);
  used = queue.driver.pop_used();
  REQUIRE(used);
  CHECK(used->head == *a);
  for (std::uint32_t i = 0; i < 4; ++i) CHECK(queue.add(i));
  CHECK_FALSE(queue.add(5));
}

TEST_CASE("a device that uses what was not offered breaks the queue") {
  Queue queue(8, {true, true, true});
  queue.add(1);
  const std::uint16_t id = GENERATE(std::uint16_t{3}, std::uint16_t{8}, std::uint16_t{0xffff});
  queue.device.push(id, 4);
  CHECK_FALSE(queue.driver.pop_used());
  CHECK(queue.driver.broken());
  CHECK_FALSE(queue.add(2));
  CHECK_FALSE(queue.driver.kick_needed());
}

TEST_CASE("a device that uses a request twice breaks the queue") {
  Queue queue(8, {GENERATE(false, true), true, true});
  const auto head = queue.add(1);
  queue.add(2);
  queue.serve();
  REQUIRE(queue.driver.pop_used());
  queue.device.push(*head, 4);
  CHECK_FALSE(queue.driver.pop_used());
  CHECK(queue.driver.broken());
}

TEST_CASE("a driver is not built over memory that is not there, nor given what does not fit") {
  PhysicalMemory memory(1 << 20);
  GuestRam ram(memory, Hpa{0}, 1 << 20, Backing::pages_4k, 1);
  const auto good = virtio::SplitQueueLayout::contiguous(Gpa{0x1000}, 256);
  const RequestPool pool{Gpa{0x40000}, 36, 4};
  auto outside = good;
  outside.used = Gpa{(1 << 20) - 100};
  auto crooked = good;
  crooked.size = 100;
  CHECK_THROWS_AS(VirtqueueDriver(ram, outside, pool, {}), std::invalid_argument);
  CHECK_THROWS_AS(VirtqueueDriver(ram, crooked, pool, {}), std::invalid_argument);
  CHECK_THROWS_AS(VirtqueueDriver(ram, good, RequestPool{Gpa{0xff000}, 36, 4}, {}), std::invalid_argument);
  VirtqueueDriver driver(ram, good, pool, {});
  const std::array<std::byte, 37> large{};
  CHECK_THROWS_AS(driver.add(large, 4), std::length_error);
  CHECK_THROWS_AS(driver.add({}, 0), std::length_error);
  CHECK_THROWS_AS(driver.add(std::span(large).first(4), 5), std::length_error);
}

TEST_CASE("the device reads and writes over the edges of buffers") {
  Queue queue(8, {false, true, true});
  auto& ram = queue.ram;
  // 5 + 7 readable, 3 + 6 writable bytes
  ram.write(queue.layout.descriptor(0), virtio::Descriptor{0x20000, 5, virtio::descriptor_next, 1});
  ram.write(queue.layout.descriptor(1), virtio::Descriptor{0x20ffe, 7, virtio::descriptor_next, 2});
  ram.write(queue.layout.descriptor(2),
            virtio::Descriptor{0x22000, 3, virtio::descriptor_next | virtio::descriptor_write, 3});
  ram.write(queue.layout.descriptor(3), virtio::Descriptor{0x23000, 6, virtio::descriptor_write, 0});
  ram.write_bytes(Gpa{0x20000}, "abcde", 5);
  ram.write_bytes(Gpa{0x20ffe}, "fghijkl", 7);
  ram.write(queue.layout.available_index(), std::uint16_t{1});
  const auto* chain = queue.device.pop();
  REQUIRE(chain != nullptr);
  std::array<char, 20> text{};
  CHECK(queue.device.read(*chain, 3, std::as_writable_bytes(std::span(text))) == 9);
  CHECK(std::string(text.data()) == "defghijkl");
  const std::string answer = "UVWXYZ++++++";
  CHECK(queue.device.write(*chain, 1, std::as_bytes(std::span(answer))) == 8);
  CHECK(ram.read<char>(Gpa{0x22000}) == 0);
  CHECK(ram.read<char>(Gpa{0x22002}) == 'V');
  CHECK(ram.read<char>(Gpa{0x23000}) == 'W');
  CHECK(ram.read<char>(Gpa{0x23005}) == '+');
  CHECK(queue.device.write(*chain, 9, std::as_bytes(std::span(answer))) == 0);
}
