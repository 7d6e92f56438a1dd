// SPDX-License-Identifier: Apache-2.0
// What is under way and what is lost, against a plainly written account of every byte.
#include "models/nic/core/scoreboard.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "models/base/random.hpp"

namespace gnomon::nic {
namespace {

TEST_CASE("nothing is lost before something sent later has arrived") {
  Scoreboard board;
  for (int i = 0; i < 4; ++i) board.sent(Time::us(static_cast<std::uint64_t>(i)), 1000);
  CHECK(board.under_way() == 4000);
  CHECK(board.acknowledge(1000, {}));
  CHECK_FALSE(board.has_lost());
  const ByteRange third{2000, 3000};
  CHECK(board.acknowledge(1000, {&third, 1}));
  REQUIRE(board.has_lost());
  CHECK(board.first_lost()->offset == 1000);
  CHECK(board.under_way() == 1000);
  CHECK_FALSE(board.acknowledge(1000, {&third, 1}));  // told before
  board.sent_again(Time::us(10));
  CHECK_FALSE(board.has_lost());
  CHECK(board.under_way() == 2000);
  CHECK(board.acknowledge(4000, {}));
  CHECK(board.empty());
  CHECK(board.under_way() == 0);
}

TEST_CASE("what was never sent is not acknowledged, and a part of a piece may be") {
  Scoreboard board;
  board.sent(Time{}, 1000);
  CHECK_FALSE(board.acknowledge(1001, {}));
  const ByteRange ahead{500, 2000};
  CHECK_FALSE(board.acknowledge(0, {&ahead, 1}));
  CHECK(board.acknowledge(400, {}));
  CHECK(board.under_way() == 600);
  CHECK(board.flight() == 600);
}

/// One entry a piece, looked at from end to end each time.
struct PlainBoard {
  struct Piece {
    std::uint64_t offset, bytes, sent;
    bool arrived = false, lost = false;
  };
  std::vector<Piece> pieces;
  std::uint64_t newest = 0;

  void arrive(std::uint64_t first, std::uint64_t end) {
    for (Piece& p : pieces) {
      if (p.arrived || p.offset < first || p.offset + p.bytes > end) continue;
      p.arrived = true;
      p.lost = false;
      newest = std::max(newest, p.sent);
    }
  }
  void judge(std::uint64_t highest_selected) {
    for (Piece& p : pieces) p.lost = p.lost || (!p.arrived && p.offset < highest_selected && p.sent < newest);
  }
  std::uint64_t under_way() const {
    std::uint64_t sum = 0;
    for (const Piece& p : pieces) sum += p.arrived || p.lost ? 0 : p.bytes;
    return sum;
  }
};

TEST_CASE("any order of sending, losing and selecting: as the plain account has it") {
  RandomStream random(GENERATE(range(1u, 21u)), "scoreboard");
  Scoreboard board;
  PlainBoard plain;
  std::uint64_t now = 0;
  std::uint64_t highest = 0;
  std::size_t acknowledged = 0;  // pieces
  for (int step = 0; step < 2000; ++step) {
    now += 1 + random.below(5);
    const std::size_t open = plain.pieces.size() - acknowledged;
    if (open < 5 || random.below(3) == 0) {
      const auto bytes = static_cast<std::uint32_t>(1 + random.below(3000));
      plain.pieces.push_back({board.next(), bytes, now});
      board.sent(Time::ps(now), bytes);
    } else if (board.has_lost() && random.below(2) == 0) {
      const auto lost =
          std::find_if(plain.pieces.begin(), plain.pieces.end(), [](const auto& p) { return p.lost; });
      REQUIRE(lost != plain.pieces.end());
      REQUIRE(board.first_lost()->offset == lost->offset);
      lost->lost = false;
      lost->sent = now;
      board.sent_again(Time::ps(now));
    } else {
      std::size_t in_order = acknowledged;
      while (in_order < plain.pieces.size() && (plain.pieces[in_order].arrived || random.below(3) == 0)) ++in_order;
      std::vector<ByteRange> blocks;
      if (in_order + 2 < plain.pieces.size()) {
        const std::size_t from = in_order + 1 + random.below(plain.pieces.size() - in_order - 1);
        const std::size_t count = 1 + random.below(plain.pieces.size() - from);
        const auto& last = plain.pieces[from + count - 1];
        blocks.push_back({plain.pieces[from].offset, last.offset + last.bytes});
        highest = std::max(highest, blocks.back().end);
      }
      const std::uint64_t offset = in_order == plain.pieces.size() ? board.next() : plain.pieces[in_order].offset;
      plain.arrive(0, offset);
      for (const ByteRange& block : blocks) plain.arrive(block.first, block.end);
      plain.judge(highest);
      board.acknowledge(offset, blocks);
      acknowledged = in_order;
      REQUIRE(board.acknowledged() == offset);
    }
    REQUIRE(board.under_way() == plain.under_way());
    const bool lost = std::any_of(plain.pieces.begin(), plain.pieces.end(), [](const auto& p) { return p.lost; });
    REQUIRE(board.has_lost() == lost);
  }
}

}  // namespace
}  // namespace gnomon::nic
