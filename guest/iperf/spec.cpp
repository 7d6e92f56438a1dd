// SPDX-License-Identifier: Apache-2.0
#include "guest/iperf/spec.hpp"

#include <stdexcept>
#include <string>

#include "models/base/address.hpp"

namespace gnomon::iperf {

namespace {

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(std::string("iperf: ") + what);
}

}  // namespace

void validate(const IperfSpec& s) {
  require(s.parallel >= 1 && s.parallel <= 128, "there are 1 to 128 parallel streams");
  require(s.length >= 1024 && s.length <= (1u << 20), "length is 1 KiB to 1 MiB");
  require(s.time != Time{} && s.time <= Time::s(86'400), "time is positive and at most a day");
  require(s.omit <= Time::s(60), "omit is at most 60 s");
  require(s.interval != Time{}, "interval is positive");
  require(s.window >= 256 * 1024 && s.window <= std::uint64_t{1} << 30, "window is 256 KiB to 1 GiB");
  require(s.length <= s.window / 2, "length is at most half the window");
  require(s.mtu >= 576 && s.mtu <= 9'216, "mtu is 576 to 9216 bytes");
  require(s.ack_every <= s.window / 2, "ack_every is at most half the window");
  require(s.recycled_ppm <= 1'000'000, "at most a million pages in a million are recycled");
  require(s.live_mapping % page_size == 0, "live_mapping is a whole number of 4 KiB pages");
}

}  // namespace gnomon::iperf
