// SPDX-License-Identifier: Apache-2.0
// Literal values of every SMMUv3 structure, worked out by hand from the architecture's bit positions.
#include <catch2/catch.hpp>

#include "models/spec/smmuv3/command.hpp"
#include "models/spec/smmuv3/command_queue.hpp"
#include "models/spec/smmuv3/context_descriptor.hpp"
#include "models/spec/smmuv3/event.hpp"
#include "models/spec/smmuv3/page_table.hpp"
#include "models/spec/smmuv3/stream_table.hpp"
#include "models/spec/smmuv3/virtual_queue.hpp"

using namespace gnomon;
using namespace gnomon::smmuv3;

namespace {

void check_command(const Command& c, std::uint64_t low, std::uint64_t high) {
  INFO(std::hex << low << ' ' << high);
  CHECK(encode(c) == Bits128{{low, high}});
  CHECK(decode_command({{low, high}}) == c);
}

}  // namespace

TEST_CASE("SMMUv3 identification registers") {
  CHECK(encode(Idr0{}) == 0x0844'701b);
  CHECK(decode_idr0(0x0844'701b) == Idr0{});
  Idr0 none{false, false, 0, false, false, false, false, false, false, false, 0, 0};
  CHECK(encode(none) == 0);
  for (const std::uint32_t raw :
       {1u, 2u, 8u, 0x10u, 0x200u, 0x400u, 0x1000u, 0x2000u, 0x4000u, 0x4'0000u, 0x40'0000u, 0x800'0000u}) {
    CHECK(encode(decode_idr0(raw)) == raw);
  }
  CHECK(encode(Idr1{16, 20, 19, 18}) == (16u | 20u << 6 | 19u << 16 | 18u << 21));
  CHECK(decode_idr1(16u | 20u << 6 | 19u << 16 | 18u << 21) == Idr1{16, 20, 19, 18});
  CHECK(address_bits(0) == 32);
  CHECK(address_bits(2) == 40);
  CHECK(address_bits(5) == 48);
}

TEST_CASE("SMMUv3 base registers and queue pointers") {
  CHECK(encode(StreamTableConfig{16, 8, true}) == (1u << 16 | 8u << 6 | 16));
  CHECK(decode_stream_table_config(1u << 16 | 8u << 6 | 16) == StreamTableConfig{16, 8, true});
  CHECK(queue_register(0x12'3456'7000, 18) == 0x12'3456'7012);
  CHECK(queue_base(0x12'3456'7012) == 0x12'3456'7000);
  CHECK(queue_log2(0x12'3456'7012) == 18);
  CHECK(queue::advance(0xff, 1, 7) == 0);  // index 127 with the wrap bit set: back to the start
  CHECK(queue::advance(0x7f, 1, 7) == 0x80);
  CHECK(queue::index(0x83, 7) == 3);
  CHECK(queue::used(0x80, 0x00, 7) == 128);
  CHECK(queue::used(0x05, 0xfe, 7) == 7);
  CHECK(cons_error(CommandError::abort) == 0x0200'0000);
  CHECK(cons_error_of(0x0100'0012) == CommandError::illegal);

  CommandQueue q;
  q.base = queue_register(0x1000, 7);
  q.prod = 0x80;
  CHECK(q.queued() == 0);  // not enabled
  q.enabled = true;
  CHECK(q.queued() == 128);
  q.fail(CommandError::illegal);
  CHECK(q.queued() == 0);
  CHECK(q.cons == 0x0100'0000);
  q.acknowledged = q.error;
  CHECK(q.queued() == 128);
  q.consume();
  CHECK(q.cons == 1);
  CHECK(q.head() == Hpa{0x1010});
}

TEST_CASE("stream table entry") {
  StreamTableEntry e;
  e.v = true;
  e.config = StreamConfig::stage1;
  e.s1_context_ptr = 0xabc'def1'2340;
  e.s1dss = 2;
  e.s1cir = e.s1cor = 1;
  e.s1csh = 3;
  e.eats = 1;
  e.strw = 2;
  e.shcfg = 1;
  CHECK(encode(e) == Bits512{{0xabc'def1'234b, 0x1000'9000'00d6, 0, 0, 0, 0, 0, 0}});
  CHECK(decode_stream_table_entry(encode(e)) == e);

  StreamTableEntry s;
  s.v = true;
  s.config = StreamConfig::stage2;
  s.s2vmid = 0x1234;
  s.s2t0sz = 16;
  s.s2sl0 = 2;
  s.s2ir0 = s.s2or0 = 1;
  s.s2sh0 = 3;
  s.s2ps = 5;
  s.s2aa64 = s.s2ptw = s.s2r = true;
  s.s2ttb = 0x77'7000;
  CHECK(encode(s) == Bits512{{0xd, 0, 0x044d'3590'0000'1234, 0x77'7000, 0, 0, 0, 0}});
  CHECK(decode_stream_table_entry(encode(s)) == s);

  // Every field alone comes back.
  for (unsigned word = 0; word != 4; ++word) {
    for (unsigned n = 0; n != 64; ++n) {
      Bits512 raw;
      raw.qw[word] = std::uint64_t{1} << n;
      const Bits512 again = encode(decode_stream_table_entry(raw));
      CHECK((again == raw || again == Bits512{}));
    }
  }
  CHECK(encode(StreamTableL1{9, 0x12'3440}) == 0x12'3449);
  CHECK(decode_stream_table_l1(0x12'3449) == StreamTableL1{9, 0x12'3440});
}

TEST_CASE("a guest's entry in the host's stage 2") {
  StreamTableEntry guest;
  guest.v = true;
  guest.config = StreamConfig::stage1;
  guest.s1_context_ptr = 0x4000;
  guest.s1dss = 2;
  guest.s2vmid = 99;  // not the guest's to say
  StreamTableEntry host;
  host.v = true;
  host.config = StreamConfig::stage2;
  host.s2vmid = 3;
  host.s2ttb = 0x10000;
  const StreamTableEntry both = nested_entry(guest, host);
  CHECK(both.config == StreamConfig::nested);
  CHECK(both.s2vmid == 3);
  CHECK(both.s2ttb == 0x10000);
  CHECK(both.s1_context_ptr == 0x4000);
  guest.config = StreamConfig::bypass;
  CHECK(nested_entry(guest, host).config == StreamConfig::stage2);
  guest.config = StreamConfig::abort;
  CHECK(nested_entry(guest, host).config == StreamConfig::abort);
  guest.config = StreamConfig::stage1;
  guest.v = false;
  CHECK(nested_entry(guest, host).config == StreamConfig::abort);
}

TEST_CASE("context descriptor") {
  ContextDescriptor c;
  c.t0sz = 16;
  c.ir0 = c.or0 = 1;
  c.sh0 = 3;
  c.epd1 = c.v = c.aa64 = c.r = c.a = c.aset = true;
  c.ips = 5;
  c.asid = 0x42;
  c.ttb0 = 0x1234'5000;
  c.mair = 0xf404ff44;
  CHECK(encode(c) == Bits512{{0x0042'e205'c000'3510, 0x1234'5000, 0, 0xf404ff44, 0, 0, 0, 0}});
  CHECK(decode_context_descriptor(encode(c)) == c);
}

TEST_CASE("commands, bit by bit") {
  check_command(CfgiSte{0x1234, true}, 0x0000'1234'0000'0003, 1);
  check_command(CfgiSteRange{0, 31}, 0x04, 31);
  check_command(CfgiCd{0x1234, 0xabcde, true}, 0x0000'1234'abcd'e005, 1);
  check_command(CfgiCdAll{7}, 0x0000'0007'0000'0006, 0);
  check_command(TlbiNhAll{0x55aa}, 0x0000'55aa'0000'0010, 0);
  check_command(TlbiNhAsid{0x1111, 0x2222}, 0x2222'1111'0000'0011, 0);
  check_command(TlbiNhVa{0, 5, {0xfffe'0000, true, 1, 0, 4, 3}}, 0x0005'0000'0040'0012, 0xfffe'0701);
  check_command(TlbiNhVa{1, 5, {0x1000, false, 0, 0, 0, 0}}, 0x0005'0001'0000'0012, 0x1000);
  check_command(TlbiNhVa{0, 1, {0, true, 1, 28, 3, 3}}, 0x0001'0000'0031'c012, 0x701);
  check_command(TlbiNhVaa{3, {0x1000, true, 1, 1, 0, 3}}, 0x0000'0003'0000'1013, 0x1701);
  check_command(TlbiS12Vmall{9}, 0x0000'0009'0000'0028, 0);
  check_command(TlbiS2Ipa{9, {0x4000'0000, true, 1, 1, 9, 2}}, 0x0000'0009'0090'102a, 0x4000'0601);
  check_command(TlbiNsnhAll{}, 0x30, 0);
  check_command(AtcInv{0x300, true, 0x11, true, 0x7'f000, 4}, 0x0000'0300'0001'1a40, 0x7'f004);
  check_command(AtcInv{0x300, false, 0, false, 0, atc_inv_all}, 0x0000'0300'0000'0040, 52);
  check_command(CmdSync{SyncSignal::sev, 3, 0xf, 0, 0}, 0x0fc0'2046, 0);
  check_command(CmdSync{SyncSignal::irq, 3, 0xf, 0xdead'beef, 0x1'2344}, 0xdead'beef'0fc0'1046, 0x1'2344);

  CHECK(std::holds_alternative<IllegalCommand>(decode_command({{0x02, 0}})));      // no such opcode
  CHECK(std::holds_alternative<IllegalCommand>(decode_command({{0x446, 0}})));     // SSec
  CHECK(std::holds_alternative<IllegalCommand>(decode_command({{0x3046, 0}})));    // CS 3
  CHECK(std::holds_alternative<IllegalCommand>(decode_command({{0x12, 0x400}})));  // range of one, level not known
  CHECK(std::holds_alternative<TlbiNhVa>(decode_command({{0x12, 0x700}})));        // known: legal
}

TEST_CASE("what a TLBI range covers") {
  CHECK(TlbiRange{0x1000, true, 0, 3, 3, 0}.bytes() == 4096);  // without TG the other fields say nothing
  CHECK(TlbiRange{0, true, 1, 0, 4, 3}.bytes() == 16 * 4096);
  CHECK(TlbiRange{0, true, 1, 28, 3, 3}.bytes() == 29 * 8 * 4096);
  CHECK(TlbiRange{0, true, 3, 1, 0, 3}.bytes() == 2 * 65536);
}

TEST_CASE("event records") {
  Event e{EventCode::f_translation, 0x310, true, false, EventClass::in, 0xffff'f123, 0};
  CHECK(encode(e) == Bits256{{0x0000'0310'0000'0010, 0x0208'0000'0000, 0xffff'f123, 0}});
  CHECK(decode_event(encode(e)) == e);
  e = {EventCode::f_permission, 0x310, false, true, EventClass::ttd, 0x5000, 0x77'7000};
  CHECK(encode(e) == Bits256{{0x0000'0310'0000'0013, 0x0180'0000'0000, 0x5000, 0x77'7000}});
  CHECK(decode_event(encode(e)) == e);
  e = {EventCode::c_bad_ste, 0x310, false, false, EventClass::in, 0, 0};
  CHECK(encode(e) == Bits256{{0x0000'0310'0000'0004, 0, 0, 0}});
}

TEST_CASE("translation table descriptors") {
  CHECK(make_leaf(0x12'3456'7000, 1, Stage::one, {true, true}) == 0x12'3456'7f47);
  CHECK(make_leaf(0x12'3456'7000, 1, Stage::one, {true, false}) == 0x12'3456'7fc7);
  CHECK(make_leaf(0x4020'0000, 2, Stage::one, {true, true}) == 0x4020'0f45);
  CHECK(make_leaf(0x12'3456'7000, 1, Stage::two, {true, true}) == 0x12'3456'77ff);
  CHECK(make_leaf(0x4000'0000, 3, Stage::two, {false, true}) == 0x4000'07bd);
  CHECK(make_table(0x9000) == 0x9003);
  CHECK(kind_of(1, 1) == DescriptorKind::invalid);
  CHECK(kind_of(3, 1) == DescriptorKind::leaf);
  CHECK(kind_of(1, 2) == DescriptorKind::leaf);
  CHECK(kind_of(1, 4) == DescriptorKind::invalid);
  CHECK(kind_of(3, 4) == DescriptorKind::table);
  CHECK(kind_of(2, 1) == DescriptorKind::invalid);
  CHECK(access_of_leaf(0xfc7, Stage::one) == LeafAccess{true, false});
  CHECK(access_of_leaf(0xf07, Stage::one) == LeafAccess{false, false});
  CHECK(access_of_leaf(0x7bd, Stage::two) == LeafAccess{false, true});
  CHECK(levels_of(48) == 4);
  CHECK(levels_of(39) == 3);
  CHECK(levels_of(40) == 4);
  CHECK(levels_of(25) == 2);
}

TEST_CASE("virtual interface registers") {
  CHECK(virtual_queue::interface_config(3, true) == 7);
  CHECK(virtual_queue::interface_config(0xffff, true, true) == 0x3'ffff);
  CHECK(virtual_queue::page0 == 0x30000);
}
