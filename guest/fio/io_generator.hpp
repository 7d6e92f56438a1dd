// SPDX-License-Identifier: Apache-2.0
// The stream of I/Os of one fio thread: which direction, where, how long. When each goes out is the submitter's
// business.
#pragma once

#include <cstdint>
#include <string>

#include "guest/fio/block_permutation.hpp"
#include "guest/fio/job_spec.hpp"
#include "models/base/random.hpp"
#include "models/base/wide.hpp"

namespace gnomon::fio {

struct IoRequest {
  std::uint64_t offset = 0;  ///< bytes from the start of the device
  std::uint32_t bytes = 0;
  Direction direction = Direction::read;
  bool operator==(const IoRequest&) const = default;
};

/// The part of a device a job works on.
struct Region {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::string error;  ///< not empty: the job does not fit the device, and why
};
Region resolve_region(const JobSpec& job, std::uint64_t device_bytes);

/// fio 3.33's rules, checked against its iologs: a mapped random job visits every block of the region once a pass;
/// beyond a pass (loops, io_size) a repeatable job repeats it, a time_based one goes on with a new order; a thread
/// of a mixed sequential job keeps one position per direction; number_ios and io_size do not end a time_based job.
/// Ours: of each 100 I/Os of a mixed job exactly rwmixread are reads, in random order.
class IoGenerator {
 public:
  /// `region` without error. `thread` numbers all clones of all jobs from 1 and gives each its own sequence, the
  /// same on every run with randrepeat=1, with allrandrepeat=1 or a given randseed; else `master_seed` is mixed in.
  IoGenerator(const JobSpec& job, const Region& region, std::uint64_t master_seed, std::uint32_t thread);

  /// The next I/O; false when the job has done all of its own. The runtime is for the caller to keep.
  bool next(IoRequest& io) {
    if (!unbounded_ && (loop_ios_ == loop_ios_limit_ || loop_bytes_ >= loop_bytes_limit_) && !begin_loop())
      return false;
    if (pass_bytes_ > pass_bytes_limit_) begin_pass();
    const Direction d = mixed_ ? draw_direction() : direction_;
    io = {region_offset_ + draw_offset(d), static_cast<std::uint32_t>(block_size_[d]), d};
    ++loop_ios_;
    loop_bytes_ += block_size_[d];
    pass_bytes_ += block_size_[d];
    return true;
  }

 private:
  enum class Order : std::uint8_t { sequential, mapped, unmapped };

  bool begin_loop();
  void begin_pass();

  Direction draw_direction() {
    if (window_left_ == 0) window_left_ = 100, window_reads_ = rwmixread_;
    const bool read = random_.below(window_left_) < window_reads_;
    --window_left_;
    window_reads_ -= read;
    return static_cast<Direction>(!read);  // a coin toss: no branch to mispredict
  }

  std::uint64_t draw_offset(Direction d) {
    switch (order_) {
      case Order::mapped: return permutation_.next() * block_size_[d];
      case Order::unmapped: return random_.below(blocks_[d]) * block_size_[d];
      case Order::sequential: break;
    }
    if (position_[d] > region_bytes_ - block_size_[d]) position_[d] = 0;
    const std::uint64_t at = position_[d];
    position_[d] += block_size_[d];
    return at;
  }

  RandomStream random_;
  BlockPermutation permutation_;
  std::uint64_t pass_bytes_ = 0;
  std::uint64_t pass_bytes_limit_ = 0;  ///< a pass goes on up to this many bytes
  std::uint64_t loop_ios_ = 0;
  std::uint64_t loop_ios_limit_ = 0;
  std::uint64_t loop_bytes_ = 0;
  std::uint64_t loop_bytes_limit_ = 0;
  std::uint32_t window_left_ = 0;  ///< of the 100 I/Os that share out the mix
  std::uint32_t window_reads_ = 0;
  std::uint32_t rwmixread_;
  Direction direction_;
  Order order_;
  bool mixed_;
  bool unbounded_;
  bool repeats_;  ///< a new pass repeats the first
  std::uint32_t loops_left_;
  PerDirection<std::uint64_t> position_;
  PerDirection<std::uint64_t> blocks_;
  PerDirection<std::uint64_t> block_size_;
  std::uint64_t region_offset_;
  std::uint64_t region_bytes_;
  RandomStream first_pass_;
};

/// When a direction paced by rate_iops may issue its I/O number `issued` (from 0), counted from the job's start.
constexpr Time paced_issue_time(std::uint64_t issued, std::uint64_t rate_iops) {
  const auto ps = static_cast<Wide>(issued) * Time::s(1).ps() / rate_iops;
  if (ps > Time::max().ps()) throw TimeOverflow{};
  return Time::ps(static_cast<std::uint64_t>(ps));
}

}  // namespace gnomon::fio
