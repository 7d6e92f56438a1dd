// SPDX-License-Identifier: Apache-2.0
// Structures against literal bytes.
#include <array>
#include <catch2/catch.hpp>
#include <cstring>

#include "models/nvme/core/identify_pages.hpp"
#include "models/spec/nvme/completion.hpp"
#include "models/spec/nvme/prp.hpp"
#include "models/spec/nvme/registers.hpp"
#include "models/spec/nvme/submission.hpp"

namespace gnomon::nvme {
namespace {

template <class T>
std::array<std::uint8_t, sizeof(T)> bytes_of(const T& value) {
  std::array<std::uint8_t, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

TEST_CASE("a Write's 64 bytes") {
  const auto e =
      io_command(IoOpcode::write, 0x1234, 0x0000'0005'8765'4320, 128, 0x1122'3344'5566'7000, 0x8899'aabb'ccdd'e008);
  const std::array<std::uint8_t, 64> expected{
      0x01, 0x00, 0x34, 0x12, 0x01, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
      0,    0,    0,    0,    0,    0,    0,    0,  // opcode, cid, nsid, mptr
      0x00, 0x70, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x08, 0xe0, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88,  // PRP1, PRP2
      0x20, 0x43, 0x65, 0x87, 0x05, 0,    0,    0,    0x7f, 0,    0,    0,    0,    0,    0,    0,
      0,    0,    0,    0,    0,    0,    0,    0};  // SLBA, NLB
  CHECK(bytes_of(e) == expected);
  CHECK(starting_lba(e) == 0x5'8765'4320);
  CHECK(block_count(e) == 128);
  CHECK(bytes_of(io_command(IoOpcode::read, 0, 0, 1, 0, 0))[0] == 0x02);
  CHECK(bytes_of(io_command(IoOpcode::flush, 0, 0, 1, 0, 0))[0] == 0x00);
  CHECK(block_count(io_command(IoOpcode::read, 0, 0, 65536, 0, 0)) == 65536);
}

TEST_CASE("queue creation and Number of Queues, dword by dword") {
  const auto cq = create_io_cq(7, 3, 1024, 0xabc000, 5);
  CHECK(cq.opcode == 0x05);
  CHECK(cq.prp1 == 0xabc000);
  CHECK(cq.cdw10 == 0x03ff'0003);
  CHECK(cq.cdw11 == 0x0005'0003);
  CHECK(create_io_cq(7, 3, 1024, 0xabc000, 5, false).cdw11 == 0x0005'0001);
  const auto sq = create_io_sq(8, 3, 65536, 0xdef000, 2);
  CHECK(sq.opcode == 0x01);
  CHECK(sq.cdw10 == 0xffff'0003);
  CHECK(sq.cdw11 == 0x0002'0001);
  const auto features = set_number_of_queues(9, 16, 15);
  CHECK(features.opcode == 0x09);
  CHECK(features.cdw10 == 0x07);
  CHECK(features.cdw11 == 0x000e'000f);
}

TEST_CASE("a completion's 16 bytes and its status") {
  const CompletionEntry e{.result = 0x000f'000e,
                          .sq_head = 0x0102,
                          .sq_id = 0x0003,
                          .cid = 0x1234,
                          .status = encode_status(Status::lba_out_of_range, true, true)};
  CHECK(bytes_of(e) ==
        std::array<std::uint8_t, 16>{0x0e, 0, 0x0f, 0, 0, 0, 0, 0, 0x02, 0x01, 0x03, 0, 0x34, 0x12, 0x01, 0x81});
  CHECK(phase_of(e));
  CHECK(status_of(e) == Status::lba_out_of_range);
  CHECK(do_not_retry(e));
  CHECK(encode_status(Status::success, false, false) == 0);
  CHECK(encode_status(Status::data_transfer_error, false, true) == 0x0009);
  CHECK(encode_status(Status::invalid_queue_deletion, true, false) == 0x8218);  // type 1, code 0Ch
}

TEST_CASE("registers") {
  const Capabilities c{.mqes = 1023, .cqr = true, .to = 60, .dstrd = 0, .css = 1};
  CHECK(encode(c) == 0x0000'0020'3c01'03ff);  // as a common drive reports
  CHECK(decode_capabilities(0x0000'0020'3c01'03ff) == c);
  CHECK(encode(Capabilities{.dstrd = 15, .css = 0xff, .mpsmin = 15, .mpsmax = 15}) == 0x00ff'1fef'0001'0000);
  CHECK(decode_capabilities(0x00ff'1fef'0001'0000).dstrd == 15);
  const Configuration on{.en = true, .iosqes = 6, .iocqes = 4};
  CHECK(encode(on) == 0x0046'0001);  // what Linux writes
  CHECK(decode_configuration(0x0046'0001) == on);
  CHECK(decode_configuration(0x0046'4001).shn == 1);
  CHECK(encode(Configuration{.css = 7, .mps = 15, .ams = 7, .shn = 3}) == 0xfff0);
  CHECK(encode_aqa(32, 64) == 0x003f'001f);
  CHECK(aqa_submission_entries(0x003f'001f) == 32);
  CHECK(aqa_completion_entries(0x003f'001f) == 64);
}

TEST_CASE("doorbells for every stride") {
  CHECK(doorbell_offset({0, false}, 0) == 0x1000);
  CHECK(doorbell_offset({0, true}, 0) == 0x1004);
  CHECK(doorbell_offset({3, true}, 0) == 0x101c);
  CHECK(doorbell_offset({3, false}, 4) == 0x1000 + 6 * 64);
  for (unsigned dstrd = 0; dstrd <= 15; ++dstrd) {
    for (const Doorbell d : {Doorbell{0, false}, Doorbell{1, true}, Doorbell{65535, true}}) {
      CHECK(doorbell_at(doorbell_offset(d, dstrd), dstrd) == d);
    }
    CHECK_FALSE(doorbell_at(doorbell_offset({65535, true}, dstrd) + (4u << dstrd), dstrd));
  }
  CHECK_FALSE(doorbell_at(0x0ffc, 0));
  CHECK_FALSE(doorbell_at(0x1004, 1));
}

TEST_CASE("what PRP2 is") {
  CHECK(prp2_use(0x1000, 4096) == Prp2Use::unused);
  CHECK(prp2_use(0x1e00, 512) == Prp2Use::unused);
  CHECK(prp2_use(0x1e04, 512) == Prp2Use::page);
  CHECK(prp2_use(0x1000, 8192) == Prp2Use::page);
  CHECK(prp2_use(0x1004, 8192) == Prp2Use::list);
  CHECK(prp2_use(0x1000, 8193) == Prp2Use::list);
  CHECK(prp1_bytes(0x1e04, 4096) == 508);
  CHECK(prp1_bytes(0x1e04, 100) == 100);
  CHECK((valid_prp1(0x1004) && !valid_prp1(0x1002)));
  CHECK((valid_prp_entry(0x1000) && !valid_prp_entry(0x1008)));
  CHECK((valid_prp_list(0x1008) && !valid_prp_list(0x1004)));
}

TEST_CASE("a PRP list page chains only when the list goes on") {
  CHECK(prp_list_page(0x1000, 512) == PrpListPage{512, false});
  CHECK(prp_list_page(0x1000, 513) == PrpListPage{511, true});
  CHECK(prp_list_page(0x1ff8, 1) == PrpListPage{1, false});
  CHECK(prp_list_page(0x1ff8, 2) == PrpListPage{0, true});
  CHECK(prp_list_page(0x1f00, 40).entries() == 32);
}

TEST_CASE("Identify pages, byte by byte") {
  NvmeConfig config;
  config.capacity = 1u << 30;
  config.max_transfer = 128u << 10;
  std::array<std::byte, 4096> page;
  const auto at = [&page](std::size_t i) { return std::to_integer<unsigned>(page[i]); };

  REQUIRE(build_identify_page(config, IdentifyPage::controller, 0, page));
  CHECK((at(4) == 'G' && at(23) == ' ' && at(24) == 'G' && at(63) == ' '));
  CHECK(at(72) == 2);  // RAB: 4 commands
  CHECK(at(77) == 5);  // MDTS: 32 pages
  CHECK((at(80) == 0 && at(81) == 4 && at(82) == 1));
  CHECK(at(111) == 1);
  CHECK((at(512) == 0x66 && at(513) == 0x44 && at(516) == 1));
  CHECK(at(525) == 0);  // no volatile write cache: Flush has nothing to do
  CHECK(std::memcmp(page.data() + 768, "nqn.", 4) == 0);

  REQUIRE(build_identify_page(config, IdentifyPage::identify_namespace, 1, page));
  CHECK((at(0) == 0 && at(1) == 0 && at(2) == 0x20 && at(3) == 0));  // 2 Mi blocks of 512 bytes
  CHECK((at(8 + 2) == 0x20 && at(16 + 2) == 0x20));
  CHECK((at(51) == 0x40 && at(120) == 0x02 && at(127) == 0x01));
  CHECK((at(128) == 0 && at(129) == 0 && at(130) == 9 && at(131) == 0));
  config.block = 4096;
  REQUIRE(build_identify_page(config, IdentifyPage::identify_namespace, 1, page));
  CHECK((at(2) == 0x04 && at(130) == 12));

  REQUIRE(build_identify_page(config, IdentifyPage::active_namespaces, 0, page));
  CHECK((at(0) == 1 && at(4) == 0));
  REQUIRE(build_identify_page(config, IdentifyPage::active_namespaces, 1, page));
  CHECK(at(0) == 0);
  CHECK_FALSE(build_identify_page(config, IdentifyPage{0x13}, 0, page));
}

}  // namespace
}  // namespace gnomon::nvme
