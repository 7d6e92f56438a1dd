// SPDX-License-Identifier: Apache-2.0
// A run over time: nothing is lost when bins grow, and series.json says what happened.
#include "platform/observe/run_series.hpp"

#include <catch2/catch.hpp>
#include <numeric>

#include "platform/observe/transcript.hpp"
#include "tests/unit/observe/random_events.hpp"

using namespace gnomon;
using observe::RunSeries;

namespace {

trace::Event reaped(std::uint64_t bytes, Time latency, std::uint32_t status = 0) {
  return trace::IoReaped{1, bytes, latency.ps(), 0, 0, trace::Direction::read, status};
}

RunSeries::Bin total(const RunSeries& series) {
  RunSeries::Bin sum;
  for (std::size_t i = 0; i < series.size(); ++i) sum.merge(series[i]);
  return sum;
}

}  // namespace

TEST_CASE("an event falls into the bin of its time", "[series]") {
  RunSeries series;
  series.on_event(Time::ps((1u << 20) - 1), reaped(4096, Time::us(1)));
  series.on_event(Time::ps(1u << 20), reaped(8192, Time::us(3)));
  REQUIRE(series.size() == 2);
  CHECK(series[0].bytes == 4096);
  CHECK(series[1].bytes == 8192);
  CHECK(series[1].latency_max_ps == 3'000'000);
}

TEST_CASE("bins double in width when time runs beyond them, and keep every count", "[series]") {
  RunSeries series;
  for (std::uint64_t i = 0; i < 5000; ++i) series.on_event(Time::us(i), reaped(i, Time::ns(i)));
  CHECK(series.size() <= RunSeries::capacity);
  CHECK(series.size() > RunSeries::capacity / 2);
  CHECK(series.bin_width() == Time::ps(1u << 24));  // 5 ms over 512 bins: above 2^23 ps
  CHECK(total(series).ios == 5000);
  CHECK(total(series).bytes == 5000u * 4999 / 2);
  CHECK(total(series).latency_max_ps == 4'999'000);
  series.on_event(Time::s(100), reaped(1, Time::ns(1)));  // many doublings at once
  CHECK(series.size() <= RunSeries::capacity);
  CHECK(total(series).ios == 5001);
}

TEST_CASE("an I/O that failed moves no bytes, and one in flight counts in bins where nothing happens", "[series]") {
  RunSeries series;
  series.on_event(Time::ps(0), trace::IoSubmitted{1, 0, 4096, 0, 0, trace::Direction::read, 0});
  series.on_event(Time::us(20), reaped(4096, Time::us(20), 5));
  CHECK(total(series).ios == 0);
  CHECK(total(series).bytes == 0);
  CHECK(series[10].in_flight_max == 1);
}

TEST_CASE("any stream of events: sums are those of its events", "[series]") {
  RunSeries series;
  std::uint64_t exits = 0, hits = 0, waited = 0;
  test::RandomEvents{7}.run(20'000, [&](Time at, const trace::Event& e) {
    if (series.wants().test(e.index())) series.on_event(at, e);
    exits += std::holds_alternative<trace::VmExit>(e);
    if (const auto* burst = std::get_if<trace::DmaBurst>(&e)) hits += burst->iotlb_hit != 0;
    if (const auto* lock = std::get_if<trace::LockAcquired>(&e)) waited += lock->waited_ps;
  });
  REQUIRE(exits > 0);
  CHECK(total(series).exits == exits);
  CHECK(total(series).iotlb_hits == hits);
  CHECK(total(series).lock_wait_ps == waited);
}

TEST_CASE("series.json", "[series]") {
  RunSeries series;
  fio::Latency latency{true};
  observe::Exposure exposure;
  series.on_event(Time::ps(1500), trace::WindowOpened{1});
  series.on_event(Time::us(1), reaped(4096, Time::ps(1234567)));
  latency.record(1234);
  latency.record(7);
  exposure.add(Time::us(3));
  const std::string text = series.to_json(latency, exposure);
  CHECK(text.find("\"bin_ns\": 1048.576,") != std::string::npos);
  CHECK(text.find("\"window_ns\": [1.500, null]") != std::string::npos);
  CHECK(text.find("\"latency_max_ns\": [1234.567]") != std::string::npos);
  CHECK(text.find("\"latency_ns\": [[7,1],[1240,1]]") != std::string::npos);  // 1232..1247 stands for 1240
  CHECK(text.find("\"exposure_ns\": [[4096,1]]") != std::string::npos);
}

TEST_CASE("a transcript counts every event and tells the first of the window", "[transcript]") {
  observe::Transcript transcript;
  transcript.on_event(Time::ns(1), trace::GuestKick{3, 0, 0});
  transcript.on_event(Time::ns(5), trace::WindowOpened{2});
  for (int i = 0; i < 100; ++i) transcript.on_event(Time::ns(7), trace::GuestKick{3, 1, 0});
  const std::string text = transcript.text();
  CHECK(
      text.starts_with("events GuestKick 101\nevents WindowOpened 1\n"
                       "+0 measured window opened, 2 jobs\n+2000 vCPU 1: kick for 3 requests\n+0 "));
  CHECK(std::count(text.begin(), text.end(), '\n') == 2 + static_cast<long>(observe::Transcript::kept));
}
