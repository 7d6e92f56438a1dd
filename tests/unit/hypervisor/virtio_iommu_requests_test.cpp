// SPDX-License-Identifier: Apache-2.0
#include "models/spec/virtio_iommu/requests.hpp"

#include <catch2/catch.hpp>
#include <initializer_list>
#include <vector>

using namespace gnomon::virtio_iommu;

namespace {

std::vector<std::byte> bytes(std::initializer_list<unsigned> values) {
  std::vector<std::byte> result;
  for (const unsigned v : values) result.push_back(static_cast<std::byte>(v));
  return result;
}

template <class R>
std::vector<std::byte> encoded(const R& request) {
  const auto array = encode(request);
  return {array.begin(), array.end()};
}

template <class T>
std::vector<std::byte> raw(const T& value) {
  const auto view = std::as_bytes(std::span(&value, 1));
  return {view.begin(), view.end()};
}

}  // namespace

TEST_CASE("the bytes of each request, without its tail") {
  Attach attach;
  attach.domain = 0x01020304;
  attach.endpoint = 0x00000018;
  attach.flags = attach_bypass;
  CHECK(encoded(attach) == bytes({1, 0, 0, 0, 4, 3, 2, 1, 0x18, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}));

  Detach detach;
  detach.domain = 7;
  detach.endpoint = 0x200;
  CHECK(encoded(detach) == bytes({2, 0, 0, 0, 7, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));

  Map map;
  map.domain = 1;
  map.virt_start = 0xfffe0000;
  map.virt_end = 0xfffe9fff;
  map.phys_start = 0x1'0000'1000;
  map.flags = map_read | map_write;
  CHECK(encoded(map) == bytes({3,    0,    0, 0, 1, 0, 0, 0,    0, 0, 0xfe, 0xff, 0, 0, 0, 0, 0xff, 0x9f,
                               0xfe, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 1,    0,    0, 0, 3, 0, 0,    0}));

  Unmap unmap;
  unmap.domain = 1;
  unmap.virt_start = 0x1000;
  unmap.virt_end = 0x1fff;
  CHECK(encoded(unmap) ==
        bytes({4, 0, 0, 0, 1, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0xff, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));

  Probe probe;
  probe.endpoint = 3;
  const auto probed = encoded(probe);
  CHECK(probed.size() == 72);
  CHECK(std::vector(probed.begin(), probed.begin() + 9) == bytes({5, 0, 0, 0, 3, 0, 0, 0, 0}));
}

TEST_CASE("the bytes of what the device writes") {
  CHECK(raw(Tail{Status::nomem, {}}) == bytes({8, 0, 0, 0}));
  Fault fault;
  fault.reason = FaultReason::mapping;
  fault.flags = fault_write | fault_address;
  fault.endpoint = 8;
  fault.address = 0xfffe0000;
  CHECK(raw(fault) == bytes({2, 0, 0, 0, 2, 1, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0, 0, 0, 0}));
  ReservedMemoryProperty msi;
  msi.subtype = ReservedMemoryProperty::Subtype::msi;
  msi.start = 0xfee00000;
  msi.end = 0xfeefffff;
  CHECK(raw(msi) ==
        bytes({1, 0, 20, 0, 1, 0, 0, 0, 0, 0, 0xe0, 0xfe, 0, 0, 0, 0, 0xff, 0xff, 0xef, 0xfe, 0, 0, 0, 0}));
}

TEST_CASE("decoding takes the fields back, and ignores what is behind the request") {
  Map map;
  map.domain = 5;
  map.virt_start = 0x123000;
  map.virt_end = 0x124fff;
  map.phys_start = 0xabc000;
  map.flags = map_mmio;
  auto in = encoded(map);
  in.resize(200, std::byte{0xee});
  const Request request = decode(in);
  REQUIRE(std::holds_alternative<Map>(request));
  const Map& out = std::get<Map>(request);
  CHECK(out.domain == 5);
  CHECK(out.virt_start == 0x123000);
  CHECK(out.virt_end == 0x124fff);
  CHECK(out.phys_start == 0xabc000);
  CHECK(out.flags == map_mmio);
}

TEST_CASE("each type is its own, and wants its whole length") {
  const std::size_t lengths[] = {20, 20, 36, 28, 72};
  for (unsigned type = 1; type <= 5; ++type) {
    std::vector<std::byte> in(lengths[type - 1], std::byte{0});
    in[0] = static_cast<std::byte>(type);
    CHECK(decode(in).index() == type - 1);
    in.pop_back();
    CHECK(std::holds_alternative<Truncated>(decode(in)));
  }
  CHECK(std::holds_alternative<Unrecognised>(decode(bytes({0, 0, 0, 0}))));
  CHECK(std::holds_alternative<Unrecognised>(decode(bytes({6, 0, 0, 0}))));
  CHECK(std::holds_alternative<Truncated>(decode(bytes({6, 0, 0}))));
  CHECK(std::holds_alternative<Truncated>(decode({})));
}

TEST_CASE("feature bits") {
  CHECK(bit(Feature::input_range) == 1);
  CHECK(bit(Feature::map_unmap) == 4);
  CHECK(bit(Feature::bypass_config) == 64);
}
