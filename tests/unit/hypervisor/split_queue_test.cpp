// SPDX-License-Identifier: Apache-2.0
#include "models/spec/virtio/split_queue.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cstring>

using namespace gnomon;
using namespace gnomon::virtio;

TEST_CASE("a descriptor's bytes") {
  const Descriptor descriptor{0x1122334455667788, 0x99aabbcc, descriptor_next | descriptor_write, 0x0102};
  std::array<unsigned char, 16> bytes;
  std::memcpy(bytes.data(), &descriptor, 16);
  CHECK(bytes == std::array<unsigned char, 16>{0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xcc, 0xbb, 0xaa,
                                               0x99, 0x03, 0x00, 0x02, 0x01});
  CHECK(descriptor_indirect == 4);
}

TEST_CASE("where the parts of a queue of 256 lie") {
  const auto layout = SplitQueueLayout::contiguous(Gpa{0x10000}, 256);
  CHECK(layout.well_formed());
  CHECK(layout.descriptor(255) == Gpa{0x10ff0});
  CHECK(layout.available == Gpa{0x11000});
  CHECK(layout.available_index() == Gpa{0x11002});
  CHECK(layout.available_entry(0) == Gpa{0x11004});
  CHECK(layout.available_entry(256 + 3) == Gpa{0x1100a});
  CHECK(layout.used_event() == Gpa{0x11204});
  CHECK(layout.available_bytes() == 518);
  CHECK(layout.used == Gpa{0x11208});
  CHECK(layout.used_entry(65535) == Gpa{0x11208 + 4 + 255 * 8});
  CHECK(layout.available_event() == Gpa{0x11208 + 4 + 256 * 8});
  CHECK(layout.used_bytes() == 2054);
}

TEST_CASE("sizes and alignments the specification forbids") {
  auto layout = SplitQueueLayout::contiguous(Gpa{0x10000}, 256);
  SECTION("not a power of two") {
    layout.size = 255;
  }
  SECTION("no entries") {
    layout.size = 0;
  }
  SECTION("descriptors") {
    layout.descriptors += 8;
  }
  SECTION("available ring") {
    layout.available += 1;
  }
  SECTION("used ring") {
    layout.used += 2;
  }
  CHECK_FALSE(layout.well_formed());
}

TEST_CASE("an event is passed only by the step that writes its entry") {
  CHECK(need_event(0, 1, 0));
  CHECK_FALSE(need_event(1, 1, 0));
  CHECK(need_event(5, 8, 3));
  CHECK_FALSE(need_event(2, 8, 3));
  CHECK_FALSE(need_event(8, 8, 3));
  CHECK_FALSE(need_event(7, 8, 8));      // no step
  CHECK(need_event(0xffff, 0, 0xffff));  // over the wrap
  CHECK(need_event(0xfffe, 2, 0xfff0));
  CHECK_FALSE(need_event(3, 2, 0xfff0));
}
