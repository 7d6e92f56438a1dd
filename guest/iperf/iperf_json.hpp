// SPDX-License-Identifier: Apache-2.0
// iperf 3.12's --json, field for field, as far as there is something to say; tabs as iperf3 (cJSON) has them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "guest/iperf/spec.hpp"
#include "guest/iperf/statistics.hpp"

namespace gnomon::iperf {

struct RunReport {
  const IperfSpec& spec;
  std::vector<const StreamStatistics*> streams;
  Time now;                ///< the run's end
  double cpu_percent = 0;  ///< busy share of the streams' CPUs together; 100 is one of them
};

nlohmann::ordered_json to_iperf_json(const RunReport& run);

/// `document` as iperf3 prints it.
std::string write_iperf_json(const nlohmann::ordered_json& document);

}  // namespace gnomon::iperf
