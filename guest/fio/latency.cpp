// SPDX-License-Identifier: Apache-2.0
// Merging and reading of latencies. Doubles appear only on the way out.
#include "guest/fio/latency.hpp"

#include <algorithm>
#include <cmath>

namespace gnomon::fio {

void Moments::merge(const Moments& other) {
  count_ += other.count_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
  squares_ += other.squares_;
}

double Moments::mean() const {
  return count_ == 0 ? 0.0 : static_cast<double>(static_cast<long double>(sum_) / static_cast<long double>(count_));
}

double Moments::squared_deviations() const {
  if (count_ < 2) return 0.0;
  // sum((v - mean)^2) = squares - sum^2/n. With sum = q*n + r the square's integer part leaves first, so that the
  // subtraction is exact where a double would cancel: squares - (q*q*n + 2*q*r) - r*r/n.
  const Wide q = sum_ / count_, r = sum_ % count_;
  const Wide whole = squares_ - (q * q * count_ + 2 * q * r);
  return static_cast<double>(static_cast<long double>(whole) - static_cast<long double>(r) *
                                                                   static_cast<long double>(r) /
                                                                   static_cast<long double>(count_));
}

double Moments::stddev() const {
  return count_ < 2 ? 0.0 : std::sqrt(squared_deviations() / static_cast<double>(count_ - 1));
}

void Latency::merge(const Latency& other) {
  moments_.merge(other.moments_);
  if (buckets_.empty())
    buckets_ = other.buckets_;
  else
    for (std::size_t i = 0; i < other.buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
}

std::vector<std::uint64_t> Latency::percentiles(std::span<const double> list) const {
  std::vector<std::uint64_t> values;
  if (moments_.count() == 0) return values;
  std::uint64_t below = 0;
  for (std::size_t bucket = 0; bucket < buckets_.size() && values.size() < list.size(); ++bucket) {
    below += buckets_[bucket];
    // In extended precision as fio has it: 99.9 is not a binary fraction, and at an exact edge the bucket hangs on
    // that.
    while (values.size() < list.size() &&
           static_cast<long double>(below) >=
               static_cast<long double>(list[values.size()]) / 100.0L * static_cast<long double>(moments_.count()))
      values.push_back(bucket_value(bucket));
  }
  return values;
}

}  // namespace gnomon::fio
