// SPDX-License-Identifier: Apache-2.0
// Seeds, limits, and the rare turns of the I/O stream; the hot path is in the header.
#include "guest/fio/io_generator.hpp"

#include <algorithm>
#include <limits>

namespace gnomon::fio {
namespace {

constexpr std::uint64_t none = std::numeric_limits<std::uint64_t>::max();

RandomStream stream_of(const JobSpec& job, std::uint64_t master_seed, std::uint32_t thread) {
  const std::uint64_t seed = job.allrandrepeat && !job.randseed_given ? default_randseed : job.randseed;
  RandomStream threads(seed, "fio.thread");
  std::uint64_t own = threads.next() + thread * 0x9e3779b97f4a7c15u;
  if (!job.randrepeat && !job.allrandrepeat && !job.randseed_given) own ^= RandomStream(master_seed, "fio").next();
  return RandomStream(own, "fio.io");
}

}  // namespace

Region resolve_region(const JobSpec& job, std::uint64_t device_bytes) {
  Region region;
  region.offset = job.offset.of(device_bytes);
  if (region.offset >= device_bytes) {
    region.error = "offset " + std::to_string(region.offset) + " is beyond the device of " +
                   std::to_string(device_bytes) + " bytes";
    return region;
  }
  region.bytes = job.size.is_set() ? job.size.of(device_bytes) : device_bytes - region.offset;
  const std::uint64_t block = is_mixed(job.pattern) ? std::max(job.block_size.read, job.block_size.write)
                              : job.pattern == Pattern::read || job.pattern == Pattern::randread
                                  ? job.block_size.read
                                  : job.block_size.write;
  if (region.bytes > device_bytes - region.offset)
    region.error = "offset plus size exceed the device of " + std::to_string(device_bytes) + " bytes";
  else if (region.bytes < block)
    region.error = "size " + std::to_string(region.bytes) + " is below the block size of " + std::to_string(block);
  return region;
}

IoGenerator::IoGenerator(const JobSpec& job, const Region& region, std::uint64_t master_seed, std::uint32_t thread)
    : random_(stream_of(job, master_seed, thread)),
      rwmixread_(job.rwmixread),
      direction_(job.pattern == Pattern::read || job.pattern == Pattern::randread ? Direction::read
                                                                                  : Direction::write),
      order_(!is_random(job.pattern) ? Order::sequential
             : job.norandommap       ? Order::unmapped
                                     : Order::mapped),
      mixed_(is_mixed(job.pattern)),
      unbounded_(job.time_based),
      repeats_(!job.time_based && (job.randrepeat || job.allrandrepeat || job.randseed_given)),
      loops_left_(job.loops),
      block_size_(job.block_size),
      region_offset_(region.offset),
      region_bytes_(region.bytes),
      first_pass_(random_) {
  for (const Direction d : directions) blocks_[d] = region_bytes_ / block_size_[d];
  if (order_ == Order::mapped) permutation_ = BlockPermutation(blocks_[direction_]);
  const std::uint64_t least = mixed_ ? std::min(block_size_.read, block_size_.write) : block_size_[direction_];
  const std::uint64_t last_start = region_bytes_ - least;  // an I/O starts while this many bytes or fewer are done
  // A map ends with its last block, a bounded sequence with its region; the others have no passes.
  const bool passes = order_ == Order::mapped || (order_ == Order::sequential && !job.time_based);
  pass_bytes_limit_ = passes ? last_start : none;
  loop_ios_limit_ = job.number_ios != 0 ? job.number_ios : none;
  loop_bytes_limit_ = job.io_size != 0 ? job.io_size : last_start + 1;
  begin_pass();
}

bool IoGenerator::begin_loop() {
  if (loops_left_ == 1) return false;
  --loops_left_;
  loop_ios_ = 0;
  loop_bytes_ = 0;
  return true;
}

void IoGenerator::begin_pass() {
  if (repeats_) {
    random_ = first_pass_;
    window_left_ = 0;
  }
  if (order_ == Order::mapped) permutation_.rekey(random_);
  pass_bytes_ = 0;
  position_ = {};
}

}  // namespace gnomon::fio
