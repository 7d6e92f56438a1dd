// SPDX-License-Identifier: Apache-2.0
// What the kernel says a process has used, in our units.
#pragma once

#include <sys/resource.h>

#include <cstdint>

namespace gnomon::run {

/// User and system time.
inline double cpu_seconds(const rusage& usage) {
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Linux counts ru_maxrss in KiB: getrusage(2).
inline std::uint64_t peak_rss_bytes(const rusage& usage) {
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace gnomon::run
