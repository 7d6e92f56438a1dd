// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <map>
#include <vector>

#include "models/iommu/vtd/page_walk.hpp"

using namespace gnomon;
using namespace gnomon::iommu;
using pgtable::read_only;
using pgtable::read_write;
using vtd::FaultReason;

namespace {

// Tables at 1000h (level 3), 2000h (2), 3000h (1); every path uses index 0 but for the leaf's.
struct Tables {
  std::map<std::uint64_t, std::uint64_t> memory{{0x1000, 0x2003}, {0x2000, 0x3003}, {0x3008, 0x7'7003}};
  SecondStageFormat format;
  std::vector<WalkStart> seen;

  WalkResult go(Access access = Access::read, std::uint64_t iova = 0x1234, WalkStart start = {3, Hpa{0x1000}}) {
    seen.clear();
    return walk(
        format, start, Iova{iova}, access,
        [this](Hpa a) -> std::optional<std::uint64_t> {
          const auto it = memory.find(a.value);
          if (it == memory.end()) return std::nullopt;
          return it->second;
        },
        [this](const WalkStart& t) { seen.push_back(t); });
  }
};

}  // namespace

TEST_CASE_METHOD(Tables, "a full walk reads one entry a level") {
  const WalkResult r = go();
  CHECK_FALSE(r.fault);
  CHECK(r.reads == 3);
  CHECK(r.mapping == pgtable::Mapping{Hpa{0x7'7234}, 4096, read_write});
  CHECK(seen == std::vector<WalkStart>{{2, Hpa{0x2000}, read_write}, {1, Hpa{0x3000}, read_write}});
}

TEST_CASE_METHOD(Tables, "a walk from a cached table reads the rest") {
  const WalkResult r = go(Access::read, 0x1234, {1, Hpa{0x3000}, read_only});
  CHECK(r.reads == 1);
  CHECK(r.mapping == pgtable::Mapping{Hpa{0x7'7234}, 4096, read_only});
  CHECK(seen.empty());
}

TEST_CASE_METHOD(Tables, "permissions are the AND over the levels, checked on the way") {
  memory[0x2000] = 0x3001;
  CHECK(go(Access::read).mapping.permissions == read_only);
  const WalkResult r = go(Access::write);
  CHECK(r.fault == FaultReason::write_not_permitted);
  CHECK(r.reads == 2);
  memory[0x2000] = 0x3002;
  CHECK(go(Access::read).fault == FaultReason::read_not_permitted);
}

TEST_CASE_METHOD(Tables, "not present is a lack of permission, whatever else the entry holds") {
  memory[0x3008] = 0x00f0'0000'0007'7f80;
  CHECK(go(Access::read).fault == FaultReason::read_not_permitted);
  CHECK(go(Access::write).fault == FaultReason::write_not_permitted);
  CHECK(go().reads == 3);
}

TEST_CASE_METHOD(Tables, "large leaves") {
  memory[0x2000] = 0x4020'0083;
  const WalkResult r = go(Access::read, 0x1f'ffff);
  CHECK(r.reads == 2);
  CHECK(r.mapping == pgtable::Mapping{Hpa{0x403f'ffff}, 1u << 21, read_write});
  memory[0x1000] = 0x8000'0083;
  CHECK(go(Access::read, 0x3fff'ffff).mapping == pgtable::Mapping{Hpa{0xbfff'ffff}, 1u << 30, read_write});
}

TEST_CASE_METHOD(Tables, "reserved fields fault") {
  SECTION("address bits above the host's width") {
    memory[0x2000] = 0x3003 | std::uint64_t{1} << 46;
    CHECK(go().fault == FaultReason::paging_entry_reserved);
    format.haw = 47;
    CHECK(go().fault == FaultReason::paging_entry_inaccessible);
  }
  SECTION("low address bits of a large leaf") {
    memory[0x2000] = 0x4020'1083;
    CHECK(go().fault == FaultReason::paging_entry_reserved);
  }
  SECTION("PS where the size is not supported") {
    memory[0x2000] = 0x4020'0083;
    format.sslps = 0b10;
    CHECK(go().fault == FaultReason::paging_entry_reserved);
  }
  SECTION("PS at level 4") {
    memory[0x5000] = 0x83;
    CHECK(go(Access::read, 0x1234, {4, Hpa{0x5000}}).fault == FaultReason::paging_entry_reserved);
  }
  SECTION("SNP without snoop control") {
    memory[0x3008] |= 0x800;
    CHECK_FALSE(go().fault);
    format.snoop_control = false;
    CHECK(go().fault == FaultReason::paging_entry_reserved);
  }
}

TEST_CASE_METHOD(Tables, "a table outside memory") {
  memory.erase(0x2000);
  const WalkResult r = go();
  CHECK(r.fault == FaultReason::paging_entry_inaccessible);
  CHECK(r.reads == 2);
}
