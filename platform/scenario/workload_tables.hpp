// SPDX-License-Identifier: Apache-2.0
// The workloads of a scenario that are not fio's: tables under [workload].
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "guest/benchmark/api_benchmark.hpp"
#include "guest/benchmark/map_benchmark.hpp"
#include "guest/dma_master/spec.hpp"
#include "guest/iperf/spec.hpp"
#include "guest/replay/replay_workload.hpp"
#include "platform/config/binder.hpp"

namespace gnomon::scenario {

/// [workload.api]: calls of the IOMMU API, as text.
struct ApiTable {
  std::vector<std::string> prepare;
  std::vector<std::string> operations;
  unsigned repeat = 1;
};

/// How VFIO takes a mapping apart.
enum class VfioUnmap { runs, pages };

/// [workload.vfio]: a VMM maps a guest's memory for a device and takes the mapping down again.
struct VfioWorkloadSpec {
  std::uint64_t memory = std::uint64_t{4} << 30;  ///< bytes, of the guest
  VfioUnmap unmap = VfioUnmap::runs;
};

/// [workload.replay]: how a recorded trace is given to the guest.
struct ReplayTable {
  guest::ReplayPacing mode = guest::ReplayPacing::closed;
  double rate = 1;
};

/// What runs instead of fio; monostate: fio.
using BenchmarkSpec =
    std::variant<std::monostate, guest::ApiBenchmarkSpec, guest::MapBenchmarkSpec, VfioWorkloadSpec, iperf::IperfSpec,
                 guest::ReplaySpec, guest::DmaMasterSpec>;

void describe(config::Description& d, ApiTable& t);
void describe(config::Description& d, VfioWorkloadSpec& t);
void describe(config::Description& d, ReplayTable& t);

/// One operation: "map ADDRESS SIZE [each=SIZE] [runs=N] [phase=SIZE]", "unmap ADDRESS SIZE [each=SIZE]", "unmap_fast
/// …", "sync", "flush_all". Addresses are hexadecimal, all are whole pages.
std::variant<guest::ApiOperation, config::QuantityError> parse_api_operation(const std::string& text);

}  // namespace gnomon::scenario

namespace gnomon::guest {
void describe(config::Description& d, MapBenchmarkSpec& t);
void describe(config::Description& d, DmaMasterSpec& t);
}  // namespace gnomon::guest

namespace gnomon::iperf {
void describe(config::Description& d, IperfSpec& t);
}  // namespace gnomon::iperf
