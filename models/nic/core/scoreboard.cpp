// SPDX-License-Identifier: Apache-2.0
#include "models/nic/core/scoreboard.hpp"

#include <algorithm>

namespace gnomon::nic {

void Scoreboard::sent(Time at, std::uint32_t bytes) {
  if (pieces_.full()) pieces_.set_capacity(std::max<std::size_t>(64, 2 * pieces_.capacity()));
  pieces_.push_back({next_, at, bytes, false, false});
  next_ += bytes;
  under_way_ += bytes;
}

/// `piece` was not known to have arrived.
void Scoreboard::delivered(Piece& piece) {
  if (piece.lost) {
    --lost_;
  } else {
    under_way_ -= piece.bytes;
  }
  if (sent_before_newest(piece)) return;
  newest_sent_at_ = piece.sent_at;
  newest_end_ = piece.offset + piece.bytes;
}

bool Scoreboard::sent_before_newest(const Piece& piece) const {
  if (piece.sent_at != newest_sent_at_) return piece.sent_at < newest_sent_at_;
  return piece.offset + piece.bytes < newest_end_;
}

bool Scoreboard::acknowledge(std::uint64_t offset, std::span<const ByteRange> blocks) {
  if (offset > next_ || offset < acknowledged_) return false;
  const bool advances = offset > acknowledged_;
  while (!pieces_.empty() && pieces_.front().offset + pieces_.front().bytes <= offset) {
    if (!pieces_.front().selected) delivered(pieces_.front());
    pieces_.pop_front();
  }
  acknowledged_ = offset;
  if (!pieces_.empty() && pieces_.front().offset < offset) {  // a part of it
    Piece& front = pieces_.front();
    const auto arrived = static_cast<std::uint32_t>(offset - front.offset);
    if (!front.selected && !front.lost) under_way_ -= arrived;
    front.offset = offset;
    front.bytes -= arrived;
  }
  const std::uint64_t before = under_way_ + lost_;
  for (const ByteRange& block : blocks) select(block);
  const bool told = under_way_ + lost_ != before;
  if (advances || told) find_losses();
  return advances || told;
}

void Scoreboard::select(const ByteRange& block) {
  if (block.end > next_ || block.first >= block.end) return;
  for (auto piece = at_or_after(block.first); piece != pieces_.end() && piece->offset + piece->bytes <= block.end;
       ++piece) {
    if (piece->selected) continue;
    delivered(*piece);
    piece->selected = true;
    piece->lost = false;
    highest_selected_ = std::max(highest_selected_, piece->offset + piece->bytes);
  }
}

/// What was sent before something that has arrived, and has not arrived itself, never will (RFC 8985, 6.2).
void Scoreboard::find_losses() {
  for (Piece& piece : pieces_) {
    if (piece.offset >= highest_selected_) return;
    if (piece.selected || piece.lost || !sent_before_newest(piece)) continue;
    lose(piece);
  }
}

void Scoreboard::lose_everything() {
  for (Piece& piece : pieces_) {
    if (!piece.selected && !piece.lost) lose(piece);
  }
}

void Scoreboard::lose(Piece& piece) {
  piece.lost = true;
  first_lost_at_ = lost_ == 0 ? piece.offset : std::min(first_lost_at_, piece.offset);
  ++lost_;
  under_way_ -= piece.bytes;
}

Scoreboard::Pieces::const_iterator Scoreboard::lost_from() const {
  const auto from = std::lower_bound(pieces_.begin(), pieces_.end(), first_lost_at_,
                                     [](const Piece& piece, std::uint64_t o) { return piece.offset < o; });
  return std::find_if(from, pieces_.end(), [](const Piece& piece) { return piece.lost; });
}

void Scoreboard::sent_again(Time at) {
  Piece& piece = pieces_[static_cast<std::size_t>(lost_from() - pieces_.begin())];
  first_lost_at_ = piece.offset;
  piece.lost = false;
  piece.sent_at = at;
  --lost_;
  under_way_ += piece.bytes;
}

Scoreboard::Piece Scoreboard::probe(Time at) {
  const auto last =
      std::find_if(pieces_.rbegin(), pieces_.rend(), [](const Piece& piece) { return !piece.selected; });
  last->sent_at = at;
  return *last;
}

Scoreboard::Pieces::iterator Scoreboard::at_or_after(std::uint64_t offset) {
  return std::lower_bound(pieces_.begin(), pieces_.end(), offset,
                          [](const Piece& piece, std::uint64_t o) { return piece.offset < o; });
}

}  // namespace gnomon::nic
