// SPDX-License-Identifier: Apache-2.0
// The report of the guest's side. The other side, as to what it sent or received, agrees: the network loses nothing
// that is counted here.
#include "guest/iperf/iperf_json.hpp"

#include <algorithm>

#include "models/spec/nic/frame.hpp"

namespace gnomon::iperf {
namespace {

using Json = nlohmann::ordered_json;

constexpr int first_port = 5201;
constexpr int first_socket = 5;

Json part(double from, double to, std::uint64_t bytes, bool sender) {
  const double seconds = to - from;
  return {{"start", from},
          {"end", to},
          {"seconds", seconds},
          {"bytes", bytes},
          {"bits_per_second", seconds > 0 ? static_cast<double>(bytes) * 8 / seconds : 0.0},
          {"omitted", false},
          {"sender", sender}};
}

Json with_socket(std::size_t stream, const Json& rest) {
  Json object = {{"socket", first_socket + 2 * static_cast<int>(stream)}};
  object.update(rest);
  return object;
}

Json start_object(const RunReport& run) {
  const IperfSpec& s = run.spec;
  Json connected = Json::array();
  for (std::size_t i = 0; i < run.streams.size(); ++i) {
    connected.push_back(with_socket(i, {{"local_host", "guest"},
                                        {"local_port", first_port + static_cast<int>(i)},
                                        {"remote_host", "peer"},
                                        {"remote_port", s.reverse ? 9 : 19}}));
  }
  return {{"connected", connected},
          {"version", "iperf 3.12"},
          {"system_info", "gnomon"},
          {"tcp_mss_default", nic::segment_payload(s.mtu)},
          {"target_bitrate", s.bitrate},
          {"sock_bufsize", s.window},
          {"sndbuf_actual", s.window},
          {"rcvbuf_actual", s.window},
          {"test_start",
           {{"protocol", "TCP"},
            {"num_streams", s.parallel},
            {"blksize", s.length},
            {"omit", s.omit / Time::s(1)},
            {"duration", s.time.seconds()},
            {"bytes", 0},
            {"blocks", 0},
            {"reverse", s.reverse ? 1 : 0},
            {"tos", 0},
            {"target_bitrate", s.bitrate}}}};
}

Json intervals_array(const RunReport& run) {
  Json intervals = Json::array();
  const std::size_t count = run.streams.empty() ? 0 : run.streams.front()->intervals().size();
  for (std::size_t i = 0; i < count; ++i) {
    const double from = (run.spec.interval * i).seconds();
    const double to = std::min(run.spec.interval * (i + 1), run.spec.time).seconds();
    Json streams = Json::array();
    std::uint64_t total = 0;
    for (std::size_t s = 0; s < run.streams.size(); ++s) {
      const std::uint64_t bytes = run.streams[s]->intervals()[i];
      total += bytes;
      streams.push_back(with_socket(s, part(from, to, bytes, run.spec.reverse)));
    }
    intervals.push_back({{"streams", streams}, {"sum", part(from, to, total, run.spec.reverse)}});
  }
  return intervals;
}

Json end_object(const RunReport& run) {
  const double seconds = run.spec.time.seconds();
  Json streams = Json::array();
  std::uint64_t total = 0;
  for (std::size_t s = 0; s < run.streams.size(); ++s) {
    const std::uint64_t bytes = run.streams[s]->bytes();
    total += bytes;
    const Json side = with_socket(s, part(0, seconds, bytes, run.spec.reverse));
    streams.push_back({{"sender", side}, {"receiver", side}});
  }
  const Json sum = part(0, seconds, total, run.spec.reverse);
  return {{"streams", streams},
          {"sum_sent", sum},
          {"sum_received", sum},
          {"cpu_utilization_percent",
           {{"host_total", run.cpu_percent},
            {"host_user", 0.0},
            {"host_system", run.cpu_percent},  // copying is the kernel's work
            {"remote_total", 0.0},
            {"remote_user", 0.0},
            {"remote_system", 0.0}}},
          {"sender_tcp_congestion", "reno"},
          {"receiver_tcp_congestion", "reno"}};
}

void write(const Json& value, std::string& out, std::size_t depth) {
  if (value.is_array()) {
    out += '[';
    bool first = true;
    for (const Json& item : value) {
      if (!first) out += ", ";
      first = false;
      write(item, out, depth + 1);
    }
    out += ']';
  } else if (value.is_object()) {
    out += "{\n";
    bool first = true;
    for (const auto& item : value.items()) {
      if (!first) out += ",\n";
      first = false;
      out.append(depth + 1, '\t');
      out += Json(item.key()).dump() + ":\t";
      write(item.value(), out, depth + 1);
    }
    out += '\n';
    out.append(depth, '\t');
    out += '}';
  } else {
    out += value.dump();
  }
}

}  // namespace

nlohmann::ordered_json to_iperf_json(const RunReport& run) {
  return {{"start", start_object(run)}, {"intervals", intervals_array(run)}, {"end", end_object(run)}};
}

std::string write_iperf_json(const nlohmann::ordered_json& document) {
  std::string out;
  write(document, out, 0);
  out += '\n';
  return out;
}

}  // namespace gnomon::iperf
