// SPDX-License-Identifier: Apache-2.0
// One job of a fio job file with every value resolved: what a simulated submitter has to do, and how it is
// reported.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/base/time.hpp"

namespace gnomon::fio {

enum class Direction : std::uint8_t { read, write };
inline constexpr Direction directions[] = {Direction::read, Direction::write};

/// A value for each direction.
template <class T>
struct PerDirection {
  T read{};
  T write{};
  constexpr T& operator[](Direction d) { return d == Direction::read ? read : write; }
  constexpr const T& operator[](Direction d) const { return d == Direction::read ? read : write; }
  bool operator==(const PerDirection&) const = default;
};

enum class Pattern : std::uint8_t { read, write, readwrite, randread, randwrite, randrw };
constexpr bool is_random(Pattern p) {
  return p >= Pattern::randread;
}
constexpr bool is_mixed(Pattern p) {
  return p == Pattern::readwrite || p == Pattern::randrw;
}
std::string_view to_string(Pattern pattern);  ///< as fio's job line prints it: "rw" for readwrite

enum class Engine : std::uint8_t { libaio, io_uring, psync, null };
std::string_view to_string(Engine engine);

/// A number of bytes, or a share of something known later (a device). Neither: not given.
struct Amount {
  std::uint64_t bytes = 0;
  std::uint32_t percent = 0;  ///< 1..100; 0: `bytes` counts
  constexpr bool is_set() const { return bytes != 0 || percent != 0; }
  constexpr std::uint64_t of(std::uint64_t total) const {
    return percent == 0 ? bytes : total / 100 * percent + total % 100 * percent / 100;
  }
};

/// An option as it stands in the file, variables replaced.
struct OptionText {
  std::string key;
  std::string value;
  bool has_value = false;  ///< false: a bare flag, which fio leaves out of its "job options"
  std::string file;        ///< empty: the job file itself, else the included file
  std::uint32_t line = 0;  ///< 1-based, as are the columns
  std::uint32_t column = 0;
  std::uint32_t value_column = 0;
};

/// An accepted option that changes nothing in a simulation, and why.
struct IgnoredOption {
  OptionText option;
  std::string reason;
};

inline constexpr std::uint64_t default_randseed = 0x89;  ///< fio 3.33

/// The percentiles fio 3.33 reports by default.
std::vector<double> default_percentiles();

struct JobSpec {
  std::string name;
  std::uint32_t line = 0;      ///< of the section header
  std::uint32_t group_id = 0;  ///< reporting group, counted as fio counts them

  Pattern pattern = Pattern::read;
  std::uint32_t rwmixread = 50;  ///< percent of a mixed pattern that reads
  PerDirection<std::uint64_t> block_size{4096, 4096};
  Amount size;                   ///< of the region; not set: from `offset` to the end of the device
  Amount offset;                 ///< where the region starts
  std::uint64_t io_size = 0;     ///< bytes to do per loop; 0: `size`. Ignored by fio when time_based
  std::uint64_t number_ios = 0;  ///< I/Os per loop at most; 0: no such limit. Ignored by fio when time_based
  std::uint32_t loops = 1;

  Engine engine = Engine::psync;
  std::uint32_t iodepth = 1;                     ///< already 1 for a synchronous engine
  std::uint32_t iodepth_batch = 1;               ///< I/Os per submission, 1..iodepth
  std::uint32_t iodepth_batch_complete_min = 1;  ///< 0: poll without waiting, ..iodepth
  std::uint32_t iodepth_batch_complete_max = 1;  ///< min..
  std::uint32_t numjobs = 1;                     ///< clones; not expanded here

  bool stonewall = false;  ///< wait for every job above
  bool new_group = false;
  bool group_reporting = false;

  bool has_runtime = false;
  Time runtime;
  bool time_based = false;
  Time ramp_time;  ///< run before measuring, in addition to `runtime`
  Time startdelay;
  Time thinktime;                         ///< idle after each I/O
  PerDirection<std::uint64_t> rate_iops;  ///< linear pacing of each direction; 0: none

  std::uint64_t randseed = default_randseed;
  bool randseed_given = false;  ///< fio repeats such a sequence even with randrepeat=0
  bool randrepeat = true;
  bool allrandrepeat = false;
  bool norandommap = false;

  bool slat_percentiles = false;
  bool clat_percentiles = true;
  bool lat_percentiles = false;
  std::vector<double> percentile_list = default_percentiles();  ///< ascending, (0, 100]

  std::string write_bw_log, write_lat_log, write_iops_log;  ///< prefixes of the logs' names; empty: none
  std::uint32_t log_avg_msec = 0;                           ///< 0: a row for every I/O
  bool log_offset = false;

  unsigned kb_base = 1024;  ///< 1024 or 1000: how k, m, g are read, and what the human report prefers
  bool direct = false;
  std::string filename;
  std::string description;

  std::vector<OptionText> options;     ///< of the job's own section, in file order
  std::vector<IgnoredOption> ignored;  ///< of [global] too
};

}  // namespace gnomon::fio
