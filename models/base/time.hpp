// SPDX-License-Identifier: Apache-2.0
// Simulated time: whole picoseconds, checked. SystemC's sc_time wraps silently past 2^64 ps (213 days); this type throws.
#pragma once

#include <compare>
#include <cstdint>
#include <stdexcept>

#include "models/base/wide.hpp"

namespace gnomon {

/// Arithmetic on simulated time left the range 0 .. 2^64-1 ps.
class TimeOverflow : public std::overflow_error {
 public:
  TimeOverflow() : std::overflow_error("simulated time left its range of 0 to 2^64-1 ps (213 days)") {}
};

/// An instant since power-on, or a span of time. Unit: picoseconds. Every operation throws TimeOverflow rather than wrap.
class Time {
 public:
  constexpr Time() = default;
  static constexpr Time ps(std::uint64_t v) { return Time{v}; }
  static constexpr Time ns(std::uint64_t v) { return Time{v} * 1'000; }
  static constexpr Time us(std::uint64_t v) { return Time{v} * 1'000'000; }
  static constexpr Time ms(std::uint64_t v) { return Time{v} * 1'000'000'000; }
  static constexpr Time s(std::uint64_t v) { return Time{v} * 1'000'000'000'000; }
  static constexpr Time max() { return Time{~std::uint64_t{0}}; }

  constexpr std::uint64_t ps() const { return ps_; }
  constexpr std::uint64_t ns() const { return ps_ / 1'000; }  ///< rounded down
  constexpr double seconds() const { return static_cast<double>(ps_) * 1e-12; }  ///< for reports, never for decisions

  constexpr auto operator<=>(const Time&) const = default;

  friend constexpr Time operator+(Time a, Time b) {
    std::uint64_t r{};
    if (__builtin_add_overflow(a.ps_, b.ps_, &r)) throw TimeOverflow{};
    return Time{r};
  }
  friend constexpr Time operator-(Time a, Time b) {
    if (b.ps_ > a.ps_) throw TimeOverflow{};
    return Time{a.ps_ - b.ps_};
  }
  friend constexpr Time operator*(Time a, std::uint64_t n) {
    std::uint64_t r{};
    if (__builtin_mul_overflow(a.ps_, n, &r)) throw TimeOverflow{};
    return Time{r};
  }
  friend constexpr Time operator*(std::uint64_t n, Time a) { return a * n; }
  friend constexpr std::uint64_t operator/(Time a, Time b) { return a.ps_ / b.ps_; }
  friend constexpr Time operator/(Time a, std::uint64_t n) { return Time{a.ps_ / n}; }
  friend constexpr Time operator%(Time a, Time b) { return Time{a.ps_ % b.ps_}; }
  constexpr Time& operator+=(Time b) { return *this = *this + b; }
  constexpr Time& operator-=(Time b) { return *this = *this - b; }

 private:
  explicit constexpr Time(std::uint64_t v) : ps_(v) {}
  std::uint64_t ps_ = 0;
};

/// The longest span a configuration may ask for, 100 days. Twice that still leaves room below 2^64 ps.
inline constexpr Time longest_span = Time::s(100 * 86'400);

/// The time `bytes` take at `bytes_per_second` (> 0), rounded up to a picosecond.
constexpr Time transfer_time(std::uint64_t bytes, std::uint64_t bytes_per_second) {
  const auto scaled = static_cast<Wide>(bytes) * 1'000'000'000'000u;
  const auto ps = (scaled + bytes_per_second - 1) / bytes_per_second;
  if (ps > ~std::uint64_t{0}) throw TimeOverflow{};
  return Time::ps(static_cast<std::uint64_t>(ps));
}

inline namespace literals {
constexpr Time operator""_ps(unsigned long long v) { return Time::ps(v); }
constexpr Time operator""_ns(unsigned long long v) { return Time::ns(v); }
constexpr Time operator""_us(unsigned long long v) { return Time::us(v); }
constexpr Time operator""_ms(unsigned long long v) { return Time::ms(v); }
constexpr Time operator""_s(unsigned long long v) { return Time::s(v); }
}  // namespace literals

}  // namespace gnomon
