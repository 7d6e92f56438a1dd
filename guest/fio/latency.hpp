// SPDX-License-Identifier: Apache-2.0
// One latency as fio keeps it: exact moments, and fio's histogram of 29 groups of 64 buckets (FIO_IO_U_PLAT_*).
// Buckets below 128 ns are exact; above, a bucket spans 1/64 of its power of two and stands for its middle.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "models/base/wide.hpp"

namespace gnomon::fio {

inline constexpr unsigned bucket_bits = 6;
inline constexpr std::size_t bucket_count = 29u << bucket_bits;  ///< 1856

constexpr std::size_t bucket_of(std::uint64_t ns) {
  if (ns < (2u << bucket_bits)) return static_cast<std::size_t>(ns);
  const unsigned dropped =
      static_cast<unsigned>(std::bit_width(ns)) - 1 - bucket_bits;  // low bits the bucket loses
  const std::size_t bucket = ((dropped + 1u) << bucket_bits) + ((ns >> dropped) & ((1u << bucket_bits) - 1));
  return bucket < bucket_count ? bucket : bucket_count - 1;
}

/// The latency a bucket stands for, ns.
constexpr std::uint64_t bucket_value(std::size_t bucket) {
  if (bucket < (2u << bucket_bits)) return bucket;
  const auto dropped = static_cast<unsigned>(bucket >> bucket_bits) - 1;
  const std::uint64_t low = bucket & ((1u << bucket_bits) - 1);
  return (std::uint64_t{1} << (dropped + bucket_bits)) + (low << dropped) + (std::uint64_t{1} << dropped) / 2;
}

/// Count, extremes, and the sums mean and deviation come from. No rounding before the report.
class Moments {
 public:
  void record(std::uint64_t value) {
    if (value < min_) min_ = value;
    if (value > max_) max_ = value;
    ++count_;
    sum_ += value;
    squares_ += static_cast<Wide>(value) * value;
  }
  void merge(const Moments& other);

  std::uint64_t count() const { return count_; }
  std::uint64_t min() const { return count_ == 0 ? 0 : min_; }
  std::uint64_t max() const { return max_; }
  double mean() const;
  double stddev() const;  ///< of the sample, n-1, as fio's; 0 for one value
  double squared_deviations() const;

 private:
  std::uint64_t count_ = 0;
  std::uint64_t min_ = ~std::uint64_t{0};
  std::uint64_t max_ = 0;
  Wide sum_ = 0;
  Wide squares_ = 0;
};

/// Moments of a latency in ns, with a histogram where percentiles are wanted.
class Latency {
 public:
  Latency() = default;
  explicit Latency(bool with_histogram) : buckets_(with_histogram ? bucket_count : 0) {}

  void record(std::uint64_t ns) {
    moments_.record(ns);
    if (!buckets_.empty()) ++buckets_[bucket_of(ns)];
  }
  void merge(const Latency& other);

  const Moments& moments() const { return moments_; }
  std::span<const std::uint64_t> buckets() const { return buckets_; }  ///< empty, or bucket_count of them

  /// The value of the first bucket at or below which `list[i]` percent of the samples lie, for each i. `list`
  /// ascending. Not clamped to max(), like fio's. Empty without histogram or samples.
  std::vector<std::uint64_t> percentiles(std::span<const double> list) const;

 private:
  Moments moments_;
  std::vector<std::uint64_t> buckets_;
};

}  // namespace gnomon::fio
