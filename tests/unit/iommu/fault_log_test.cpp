// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "models/iommu/vtd/fault_log.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using namespace gnomon::vtd;

namespace {

FaultRecord at(std::uint64_t page) {
  FaultRecord r;
  r.fi = Iova::from_page(page);
  r.fr = 5;
  return r;
}
constexpr std::uint64_t f = std::uint64_t{1} << 63;
unsigned fri(const FaultLog& log) {
  return log.status() >> fsts::fri_shift;
}

}  // namespace

TEST_CASE("faults fill the ring, overflow, and go on where software freed a register") {
  FaultLog log(2);
  log.write_control(0);
  CHECK(log.status() == 0);
  FaultLog::Recorded r = log.record(at(1));
  CHECK(r.recorded);
  CHECK(r.event);
  CHECK(log.status() == fsts::ppf);
  CHECK(decode_fault_record(log.read_record(0)).f);
  CHECK(decode_fault_record(log.read_record(0)).fi == Iova{0x1000});

  r = log.record(at(2));
  CHECK(r.recorded);
  CHECK_FALSE(r.event);  // one event until all is serviced

  r = log.record(at(3));
  CHECK_FALSE(r.recorded);
  CHECK(log.status() == (fsts::ppf | fsts::pfo));

  log.write_record_high(0, f);
  CHECK_FALSE(log.record(at(4)).recorded);  // PFO still stands
  log.write_status(fsts::pfo);
  CHECK(log.record(at(5)).recorded);
  CHECK(decode_fault_record(log.read_record(0)).fi == Iova{0x5000});
}

TEST_CASE("FRI is the first record of the batch that set PPF") {
  FaultLog log(4);
  log.record(at(1));
  log.write_record_high(0, f);
  CHECK(log.status() == 0);
  log.record(at(2));
  log.record(at(3));
  CHECK(fri(log) == 1);
  CHECK((log.status() & fsts::ppf) != 0);
  log.write_record_high(1, 0);  // F written as 0 changes nothing
  CHECK((log.read_record(1).hi & f) != 0);
  log.write_record_high(1, f);
  log.write_record_high(2, f);
  CHECK((log.status() & fsts::ppf) == 0);
}

TEST_CASE("a masked event waits in IP") {
  FaultLog log(2);
  CHECK(log.control() == event_control::im);
  CHECK_FALSE(log.record(at(1)).event);
  CHECK(log.control() == (event_control::im | event_control::ip));
  SECTION("and goes out on unmasking, once") {
    CHECK(log.write_control(0));
    CHECK(log.control() == 0);
    CHECK_FALSE(log.write_control(0));
  }
  SECTION("or is withdrawn when software polled everything") {
    log.write_record_high(0, f);
    CHECK(log.control() == event_control::im);
    CHECK_FALSE(log.write_control(0));
  }
}

TEST_CASE("queue errors share the status and the event") {
  FaultLog log(2);
  log.write_control(0);
  CHECK(log.raise(fsts::iqe));
  CHECK_FALSE(log.raise(fsts::ite));
  CHECK(log.status() == (fsts::iqe | fsts::ite));
  log.write_status(fsts::iqe | fsts::ppf);
  CHECK(log.status() == fsts::ite);
}
