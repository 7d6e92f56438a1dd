// SPDX-License-Identifier: Apache-2.0
// The NIC's formats, bit by bit.
#include <catch2/catch.hpp>
#include <cstring>

#include "models/spec/nic/descriptors.hpp"
#include "models/spec/nic/frame.hpp"
#include "models/spec/nic/registers.hpp"

namespace gnomon::nic {
namespace {

template <class T>
std::vector<unsigned> bytes_of_object(const T& value) {
  unsigned char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof raw);
  return {raw, raw + sizeof raw};
}

TEST_CASE("a descriptor lies in memory as documented") {
  const Descriptor d{0x1122'3344'5566'7788, encode_length(0x1'2345, 1448),
                     descriptor_flag::header | descriptor_flag::end_of_frame, 0xabcd};
  // 1448 << 18 = 0x16a0'0000
  CHECK(bytes_of_object(d) == std::vector<unsigned>{0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x45, 0x23,
                                                    0xa1, 0x16, 0x03, 0x00, 0xcd, 0xab});
  CHECK(bytes_of(d) == 0x1'2345);
  CHECK(segment_size_of(d) == 1448);
  CHECK(has(d, descriptor_flag::header));
}

TEST_CASE("length keeps its two parts apart, at both ends of their ranges") {
  const std::uint32_t bytes = GENERATE(0u, 1u, largest_piece);
  const std::uint32_t segment = GENERATE(0u, 1u, largest_segment_size);
  const Descriptor d{0, encode_length(bytes, segment), 0, 0};
  CHECK(bytes_of(d) == bytes);
  CHECK(segment_size_of(d) == segment);
}

TEST_CASE("a completion entry lies in memory as documented") {
  const CompletionEntry e{
      flow_tag(5201, 19), 0x0102'0304, 2896, 0x4321, 0x00ff, 2, completion_flag::phase | completion_flag::error};
  CHECK(bytes_of_object(e) == std::vector<unsigned>{0x13, 0x00, 0x51, 0x14, 0x04, 0x03, 0x02, 0x01, 0x50, 0x0b,
                                                    0x21, 0x43, 0xff, 0x00, 0x02, 0x21});
  CHECK(phase_of(e));
  CHECK_FALSE(has(e, completion_flag::transmit));
}

TEST_CASE("the flags are six different bits") {
  using namespace completion_flag;
  CHECK((phase | transmit | more | ack | syn | error) == 0x3f);
  CHECK((descriptor_flag::end_of_frame | descriptor_flag::header) == 3);
}

TEST_CASE("queue registers: where they are, and whose they are") {
  CHECK(offset_of(0, QueueRegister::receive_base) == 0x1000);
  CHECK(offset_of(3, QueueRegister::completion_head) == 0x1348);
  CHECK(queue_at(0x0fff) == std::nullopt);
  CHECK(queue_at(0x1000) == 0u);
  CHECK(queue_at(0x10ff) == 0u);
  CHECK(queue_at(0x1100) == 1u);
  CHECK(queue_at(0x1000 + 1024 * 0x100 - 1) == 1023u);
  CHECK(queue_at(0x1000 + 1024 * 0x100) == std::nullopt);
}

TEST_CASE("the completion doorbell: 31 bits of head, one to arm") {
  CHECK(encode(CompletionDoorbell{5, true}) == 0x8000'0005);
  CHECK(encode(CompletionDoorbell{0x7fff'ffff, false}) == 0x7fff'ffff);
  CHECK(decode_completion_doorbell(0x8000'0005) == CompletionDoorbell{5, true});
}

TEST_CASE("capabilities and identity") {
  CHECK(encode(Capabilities{64, 13}) == 0x000d'0040);
  CHECK(decode_capabilities(0x000d'0040) == Capabilities{64, 13});
  CHECK(std::memcmp(&identity_value, "GNIC", 4) == 0);
}

TEST_CASE("a SYN's headers, byte by byte") {
  const TcpHeader syn{0x1451, 19, 0, 0, tcp_flag::syn, 0xffff, 1460, 6};
  const HeaderBytes bytes = encode(syn);
  const auto at = [&](std::size_t i) { return std::to_integer<unsigned>(bytes[i]); };
  CHECK(at(12) == 0x08);  // IPv4
  CHECK(at(14) == 0x45);
  CHECK(at(23) == 6);     // TCP
  CHECK(at(34) == 0x14);  // source port, big endian
  CHECK(at(35) == 0x51);
  CHECK(at(37) == 19);
  CHECK(at(46) == 0x80);  // 8 words of header
  CHECK(at(47) == 0x02);  // SYN
  CHECK(at(54) == 2);     // MSS
  CHECK(at(55) == 4);
  CHECK(at(56) == 0x05);
  CHECK(at(57) == 0xb4);
  CHECK(at(59) == 3);  // window scale
  CHECK(at(60) == 3);
  CHECK(at(61) == 6);
  CHECK(at(64) == 4);  // SACK permitted
  CHECK(at(65) == 2);
  CHECK(decode_header(bytes) == syn);
}

TEST_CASE("selective acknowledgments, byte by byte, and back") {
  TcpHeader ack{5201, 19, 1, 1, tcp_flag::ack, 9, 0, 0};
  for (std::uint8_t blocks = 1; blocks <= most_sack_blocks; ++blocks) {
    ack.sack[blocks - 1u] = {0x1020'3040u * blocks, 0x1020'3140u * blocks};
    ack.sack_blocks = blocks;
    const HeaderBytes bytes = encode(ack);
    const auto at = [&](std::size_t i) { return std::to_integer<unsigned>(bytes[i]); };
    const unsigned tcp_bytes = 36 + 8u * blocks;
    CHECK(header_length(ack) == 34 + tcp_bytes);
    CHECK(at(16) * 256 + at(17) == 20 + tcp_bytes);  // IPv4's total length
    CHECK(at(46) == tcp_bytes / 4 << 4);
    CHECK(at(68) == 5);
    CHECK(at(69) == 2u + 8u * blocks);
    CHECK(at(70) == 0x10);
    CHECK(at(73) == 0x40);
    CHECK(decode_header(std::span(bytes).first(header_length(ack))) == ack);
    CHECK(decode_header(std::span(bytes).first(header_length(ack) - 1)) == std::nullopt);
    HeaderBytes other = bytes;
    other[68] = std::byte{6};
    CHECK(decode_header(other) == std::nullopt);
  }
}

TEST_CASE("an ACK comes back as it was, and without what only a SYN has") {
  const TcpHeader ack{5201, 19, 0x8000'0001, 0xfedc'ba98, tcp_flag::ack, 0xc000, 0, 0};
  CHECK(decode_header(encode(ack)) == ack);
}

TEST_CASE("what is no TCP segment of this layout is refused") {
  for (const std::size_t at : {12u, 14u, 23u, 46u}) {
    HeaderBytes bytes = encode(TcpHeader{1, 2, 3, 4, tcp_flag::ack, 5, 0, 0});
    bytes[at] ^= std::byte{0x10};
    CHECK(decode_header(bytes) == std::nullopt);
  }
}

TEST_CASE("a full packet of 1500 bytes is 1448 of payload and 1538 on the wire") {
  CHECK(segment_payload(1500) == 1448);
  CHECK(wire_bytes(1, 1448) == 1538);
  CHECK(wire_bytes(2, 2896) == 3076);
}

}  // namespace
}  // namespace gnomon::nic
