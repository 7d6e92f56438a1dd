// SPDX-License-Identifier: Apache-2.0
// What a TCP sender has under way, and what of it must be lost: selective acknowledgments (RFC 2018) and, as Linux
// does by default, detection by time sent (RFC 8985, RACK). The way there keeps order: the reordering window is
// zero.
#pragma once

#include <boost/circular_buffer.hpp>
#include <cstdint>
#include <span>

#include "models/base/time.hpp"

namespace gnomon::nic {

/// Of the stream, [first, end).
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
};

class Scoreboard {
 public:
  struct Piece {
    std::uint64_t offset = 0;
    Time sent_at;
    std::uint32_t bytes = 0;
    bool selected = false;  ///< selectively acknowledged
    bool lost = false;      ///< and not sent again
  };

  /// `bytes` at `next()` go out.
  void sent(Time at, std::uint32_t bytes);
  /// The receiver has everything below `offset`, and `blocks` of what is above. Says what must be lost.
  /// Returns whether it told anything new; `offset` beyond next() tells nothing.
  bool acknowledge(std::uint64_t offset, std::span<const ByteRange> blocks);
  /// Of everything not acknowledged nothing is on its way any more: the timeout.
  void lose_everything();

  /// The first lost piece, to be sent again; nullptr where there is none.
  const Piece* first_lost() const { return lost_ == 0 ? nullptr : &*lost_from(); }
  /// It goes out. Requires has_lost().
  void sent_again(Time at);
  /// The last piece not known to have arrived goes out once more (a tail loss probe). Requires !empty(),
  /// !has_lost().
  Piece probe(Time at);

  bool empty() const { return pieces_.empty(); }
  std::uint64_t acknowledged() const { return acknowledged_; }
  std::uint64_t next() const { return next_; }
  std::uint64_t flight() const { return next_ - acknowledged_; }  ///< bytes sent and not acknowledged in order
  std::uint64_t under_way() const { return under_way_; }          ///< of those, what is neither selected nor lost
  bool has_lost() const { return lost_ != 0; }

 private:
  using Pieces = boost::circular_buffer<Piece>;

  void delivered(Piece& piece);
  bool sent_before_newest(const Piece& piece) const;
  void select(const ByteRange& block);
  void find_losses();
  Pieces::iterator at_or_after(std::uint64_t offset);
  Pieces::const_iterator lost_from() const;
  void lose(Piece& piece);

  Pieces pieces_;  // by offset, without gaps
  std::uint64_t acknowledged_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t under_way_ = 0;
  std::uint64_t highest_selected_ = 0;  // where it ends
  std::size_t lost_ = 0;
  std::uint64_t first_lost_at_ = 0;  // no lost piece lies below
  // Of what has arrived, the last sent: when, and where it ends, as several may be sent at one instant.
  Time newest_sent_at_;
  std::uint64_t newest_end_ = 0;
};

}  // namespace gnomon::nic
