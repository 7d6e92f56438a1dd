// SPDX-License-Identifier: Apache-2.0
// Values of fio options: integers with suffixes, times, percentages, per-direction lists (fio 3.33's grammar).
// Stricter than fio where fio misreads in silence: it takes "1.5k" for 1, "4 k" for 4 and "1Mx" for some number.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "guest/fio/job_spec.hpp"
#include "models/base/time.hpp"

namespace gnomon::fio {

/// A value, or why there is none.
template <class T>
struct Parsed {
  T value{};
  std::string error;
  explicit operator bool() const { return error.empty(); }
};

/// `[0x]digits[suffix]`. Under kb_base 1024, k m g t p (also kb, ki) are powers of 1024 and kib mib gib tib pib
/// powers of 1000, inverted on purpose; under kb_base 1000 the other way round. Observed in fio 3.33: the inversion
/// needs the final b, "4ki" is 4096 though "4kib" is 4000.
Parsed<std::uint64_t> parse_integer(std::string_view text, unsigned kb_base);

/// A decimal number and a unit: d h m s ms msec us usec, of any case; without one, `unit` each.
Parsed<Time> parse_time(std::string_view text, Time unit);

/// 0 or 1.
Parsed<bool> parse_bool(std::string_view text);

/// Bytes, or a percentage of 1% to 100%.
Parsed<Amount> parse_amount(std::string_view text, unsigned kb_base);

/// `read[,write[,trim]]`: an empty place keeps `current`, a missing one repeats the last value. Trims are read and
/// dropped.
Parsed<PerDirection<std::uint64_t>> parse_per_direction(std::string_view text, unsigned kb_base,
                                                        PerDirection<std::uint64_t> current);

/// `50:99:99.9`, at most 20, each in (0, 100]; sorted.
Parsed<std::vector<double>> parse_percentiles(std::string_view text);

/// The candidate with the least edit distance to `word`, whose case does not count; empty when none is near.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace gnomon::fio
