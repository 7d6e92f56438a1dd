// SPDX-License-Identifier: Apache-2.0
#include "platform/report/noise.hpp"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <numeric>

namespace gnomon::report {

Difference difference(const Sample& a, const Sample& b) {
  Difference d{b.mean - a.mean, std::nullopt, a.mean == b.mean ? 1.0 : 0.0};
  if (a.n < 2 && b.n < 2) return d;
  const auto count = [](const Sample& s) { return static_cast<double>(s.n); };
  double variance = 0, freedom = 0;
  if (a.n >= 2 && b.n >= 2) {
    const double va = a.stddev * a.stddev / count(a), vb = b.stddev * b.stddev / count(b);
    variance = va + vb;
    if (variance > 0)  // Welch and Satterthwaite's degrees of freedom
      freedom = variance * variance / (va * va / (count(a) - 1) + vb * vb / (count(b) - 1));
  } else {
    const Sample& many = a.n >= 2 ? a : b;
    variance = many.stddev * many.stddev * (1 + 1 / count(many));
    freedom = count(many) - 1;
  }
  if (!(variance > 0)) return d;
  const boost::math::students_t distribution(freedom);
  const double error = std::sqrt(variance);
  d.ci95 = quantile(complement(distribution, 0.025)) * error;
  d.p = 2 * cdf(complement(distribution, std::abs(d.value) / error));
  return d;
}

std::vector<bool> significant(const std::vector<double>& p, double rate) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return p[i] < p[j]; });
  std::size_t findings = 0;
  for (std::size_t rank = 1; rank <= order.size(); ++rank)
    if (p[order[rank - 1]] <= rate * static_cast<double>(rank) / static_cast<double>(p.size())) findings = rank;
  std::vector<bool> out(p.size(), false);
  for (std::size_t i = 0; i < findings; ++i) out[order[i]] = true;
  return out;
}

}  // namespace gnomon::report
