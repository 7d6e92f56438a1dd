// SPDX-License-Identifier: Apache-2.0
// Admin commands and the statuses of illegal ones.
#include <catch2/catch.hpp>

#include "models/nvme/core/identify_pages.hpp"
#include "tests/unit/nvme/fake_host.hpp"

namespace gnomon::nvme {
namespace {

SubmissionEntry command(AdminOpcode opcode, std::uint32_t cdw10 = 0, std::uint32_t cdw11 = 0) {
  SubmissionEntry e;
  e.opcode = static_cast<std::uint8_t>(opcode);
  e.cid = 0x77;
  e.cdw10 = cdw10;
  e.cdw11 = cdw11;
  return e;
}

TEST_CASE("Identify writes its page where the PRPs say") {
  FakeHost host;
  host.enable();
  auto e = command(AdminOpcode::identify, 1);
  e.prp1 = 0x10'0c00;
  e.prp2 = 0x10'5000;
  const auto done = host.admin(e);
  CHECK(status_of(done) == Status::success);
  CHECK(done.cid == 0x77);
  const IdentifyController expected = identify_controller(plain_config());
  const auto* bytes = reinterpret_cast<const std::byte*>(&expected);
  CHECK(std::memcmp(host.bus.memory.data() + 0x10'0c00, bytes, 0x400) == 0);
  CHECK(std::memcmp(host.bus.memory.data() + 0x10'5000, bytes + 0x400, 0xc00) == 0);

  e.prp2 = 0x10'5008;
  CHECK(status_of(host.admin(e)) == Status::prp_offset_invalid);
  e.prp1 = 0x10'0001;
  CHECK(status_of(host.admin(e)) == Status::prp_offset_invalid);
  e.prp1 = 0x10'0c00;
  e.prp2 = 0x10'5000;
  host.bus.faulty_pages.insert(0x105);
  CHECK(status_of(host.admin(e)) == Status::data_transfer_error);
  host.bus.faulty_pages = {0x100};
  CHECK(status_of(host.admin(e)) == Status::data_transfer_error);
}

TEST_CASE("Identify knows its pages and its namespace") {
  FakeHost host;
  host.enable();
  auto e = command(AdminOpcode::identify, 0);
  e.prp1 = 0x10'0000;
  e.nsid = 1;
  CHECK(status_of(host.admin(e)) == Status::success);
  CHECK(host.bus.load<std::uint64_t>(0x10'0000) == (1u << 30) / 512);
  e.nsid = 2;
  CHECK(status_of(host.admin(e)) == Status::invalid_namespace);
  e.cdw10 = 2;
  e.nsid = 0;
  CHECK(status_of(host.admin(e)) == Status::success);
  CHECK(host.bus.load<std::uint64_t>(0x10'0000) == 1);
  e.nsid = 0xffff'ffff;
  CHECK(status_of(host.admin(e)) == Status::invalid_namespace);
  e.cdw10 = 0x55;
  CHECK(status_of(host.admin(e)) == Status::invalid_field);
}

TEST_CASE("unknown or malformed admin commands") {
  FakeHost host;
  host.enable();
  const auto done = host.admin(command(AdminOpcode{0x7f}));
  CHECK(status_of(done) == Status::invalid_opcode);
  CHECK(do_not_retry(done));
  auto e = command(AdminOpcode::get_features, 7);
  e.flags = 0x40;  // SGL
  CHECK(status_of(host.admin(e)) == Status::invalid_field);
}

TEST_CASE("Number of Queues grants what there is") {
  auto config = plain_config();
  config.max_queue_pairs = 4;
  FakeHost host(config);
  host.enable();
  auto done = host.admin(set_number_of_queues(1, 16, 2));
  CHECK(status_of(done) == Status::success);
  CHECK(done.result == 0x0001'0003);
  CHECK(host.admin(command(AdminOpcode::get_features, 7)).result == 0x0001'0003);
  CHECK(host.admin(command(AdminOpcode{0x7f})).result == 0);  // not the one before's
  CHECK(status_of(host.admin(create_io_cq(1, 3, 16, 0x10'0000, 1))) == Status::invalid_queue_identifier);
  CHECK(status_of(host.admin(command(AdminOpcode::set_features, 7, 0xffff))) == Status::invalid_field);
  CHECK(status_of(host.admin(command(AdminOpcode::set_features, 7, 0xffff'0000))) == Status::invalid_field);
  CHECK(status_of(host.admin(command(AdminOpcode::set_features, 0x42))) == Status::invalid_field);
  CHECK(status_of(host.admin(command(AdminOpcode::get_features, 0x42))) == Status::invalid_field);
  host.create_queue(1);
  CHECK(status_of(host.admin(set_number_of_queues(1, 1, 1))) == Status::command_sequence_error);
}

TEST_CASE("Arbitration and Interrupt Coalescing are kept") {
  FakeHost host;
  host.enable();
  CHECK(host.admin(command(AdminOpcode::get_features, 1)).result == 2);
  CHECK(status_of(host.admin(command(AdminOpcode::set_features, 1, 7))) == Status::success);
  CHECK(host.admin(command(AdminOpcode::get_features, 1)).result == 7);
  CHECK(host.admin(command(AdminOpcode::get_features, 8)).result == 0);
  CHECK(status_of(host.admin(command(AdminOpcode::set_features, 8, 0x0307))) == Status::success);
  CHECK(host.admin(command(AdminOpcode::get_features, 8)).result == 0x0307);
}

TEST_CASE("creating a completion queue wrongly") {
  FakeHost host;
  host.enable();
  const auto status = [&host](const SubmissionEntry& e) { return status_of(host.admin(e)); };
  CHECK(status(create_io_cq(1, 0, 16, 0x10'0000, 1)) == Status::invalid_queue_identifier);
  CHECK(status(create_io_cq(1, 33, 16, 0x10'0000, 1)) == Status::invalid_queue_identifier);
  CHECK(status(create_io_cq(1, 1, 1, 0x10'0000, 1)) == Status::invalid_queue_size);
  CHECK(status(create_io_cq(1, 1, 16'385, 0x10'0000, 1)) == Status::invalid_queue_size);
  CHECK(status(create_io_cq(1, 1, 16, 0x10'0000, 33)) == Status::invalid_interrupt_vector);
  CHECK(status(create_io_cq(1, 1, 16, 0x10'0010, 1)) == Status::prp_offset_invalid);
  auto scattered = create_io_cq(1, 1, 16, 0x10'0000, 1);
  scattered.cdw11 &= ~1u;
  CHECK(status(scattered) == Status::invalid_field);
  CHECK(status(create_io_cq(1, 1, 16, 0x10'0000, 1)) == Status::success);
  CHECK(status(create_io_cq(1, 1, 16, 0x10'0000, 1)) == Status::invalid_queue_identifier);  // in use
}

TEST_CASE("creating a submission queue wrongly") {
  FakeHost host;
  host.enable();
  const auto status = [&host](const SubmissionEntry& e) { return status_of(host.admin(e)); };
  REQUIRE(status(create_io_cq(1, 1, 16, 0x10'0000, 1)) == Status::success);
  CHECK(status(create_io_sq(1, 0, 16, 0x11'0000, 1)) == Status::invalid_queue_identifier);
  CHECK(status(create_io_sq(1, 33, 16, 0x11'0000, 1)) == Status::invalid_queue_identifier);
  CHECK(status(create_io_sq(1, 1, 16, 0x11'0000, 0)) == Status::invalid_queue_identifier);
  CHECK(status(create_io_sq(1, 1, 16, 0x11'0000, 33)) == Status::invalid_queue_identifier);
  CHECK(status(create_io_sq(1, 1, 16, 0x11'0000, 2)) == Status::completion_queue_invalid);
  CHECK(status(create_io_sq(1, 1, 1, 0x11'0000, 1)) == Status::invalid_queue_size);
  CHECK(status(create_io_sq(1, 1, 16, 0x11'0040, 1)) == Status::prp_offset_invalid);
  auto scattered = create_io_sq(1, 1, 16, 0x11'0000, 1);
  scattered.cdw11 &= ~1u;
  CHECK(status(scattered) == Status::invalid_field);
  CHECK(status(create_io_sq(1, 1, 16, 0x11'0000, 1)) == Status::success);
  CHECK(status(create_io_sq(1, 1, 16, 0x11'0000, 1)) == Status::invalid_queue_identifier);
}

TEST_CASE("deleting queues: submission first, and only what exists") {
  FakeHost host;
  host.enable();
  host.create_queue(1);
  const auto status = [&host](AdminOpcode opcode, std::uint32_t id) {
    return status_of(host.admin(command(opcode, id)));
  };
  CHECK(status(AdminOpcode::delete_io_cq, 1) == Status::invalid_queue_deletion);
  CHECK(status(AdminOpcode::delete_io_sq, 0) == Status::invalid_queue_identifier);
  CHECK(status(AdminOpcode::delete_io_sq, 2) == Status::invalid_queue_identifier);
  CHECK(status(AdminOpcode::delete_io_cq, 0) == Status::invalid_queue_identifier);
  CHECK(status(AdminOpcode::delete_io_sq, 1) == Status::success);
  CHECK(status(AdminOpcode::delete_io_sq, 1) == Status::invalid_queue_identifier);
  CHECK(status(AdminOpcode::delete_io_cq, 1) == Status::success);
  CHECK(status(AdminOpcode::delete_io_cq, 1) == Status::invalid_queue_identifier);
  host.write32(doorbell_offset({1, false}, 0), 1);
  CHECK(host.core.next_action() == Time::max());
}

TEST_CASE("a deletion waits for what was fetched; the queue can then be made anew") {
  auto config = plain_config();
  config.command_slots = 6;
  config.fetch_burst = 4;
  FakeHost host(config);
  host.enable();
  host.create_queue(1);
  for (std::uint16_t cid = 0; cid < 12; ++cid) host.put(1, read_page(cid, cid));
  host.ring(1);
  host.run(host.now + Time::us(1));  // the first four are on their way
  host.submit(0, command(AdminOpcode::delete_io_sq, 1));
  host.run();
  const auto io = host.reap(1);
  const auto admin = host.reap(0);
  REQUIRE(admin.size() == 1);
  CHECK(status_of(admin[0]) == Status::success);
  CHECK(io.size() >= 4);
  CHECK(io.size() < 12);
  CHECK(host.bus.completed.back().queue == 0);  // after all the others
  CHECK(host.core.in_flight() == 0);

  host.queues[1].tail = 0;
  REQUIRE(status_of(host.admin(create_io_sq(2, 1, 64, host.queues[1].sq, 1))) == Status::success);
  host.submit(1, write_page(50));
  host.run();
  const auto again = host.reap(1);
  REQUIRE(again.size() == 1);
  CHECK(again[0].cid == 50);
  CHECK(again[0].sq_head == 1);
}

TEST_CASE("a second deletion of a queue that is going is refused at once") {
  FakeHost host;
  host.enable();
  host.create_queue(1);
  host.submit(1, read_page(0));
  host.run(host.now + Time::us(3));
  host.put(0, command(AdminOpcode::delete_io_sq, 1));
  host.put(0, command(AdminOpcode::delete_io_sq, 1));
  host.ring(0);
  host.run();
  const auto admin = host.reap(0);
  REQUIRE(admin.size() == 2);
  CHECK(status_of(admin[0]) == Status::invalid_queue_identifier);
  CHECK(status_of(admin[1]) == Status::success);
}

}  // namespace
}  // namespace gnomon::nvme
