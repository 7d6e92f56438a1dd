// SPDX-License-Identifier: Apache-2.0
// What the kernel files say, release by release, where the software depends on it.
#include <catch2/catch.hpp>

#include "platform/scenario/data_root.hpp"
#include "platform/scenario/resolve.hpp"

namespace gnomon::scenario {
namespace {

using guest::DriverCalls;

KernelFile kernel(const std::string& name) {
  config::Diagnostics diagnostics;
  const auto loaded = load_kernel(name, {}, diagnostics);
  INFO(diagnostics.render());
  REQUIRE(loaded);
  return loaded->file;
}

struct Row {
  const char* name;
  bool virtio;
  DriverCalls calls;
  bool sync_map, sync_map_can_fail, gather, never_empty;
  const char* amd_policy;
  const char* intel_policy;
  unsigned batch;
  bool claims_all, lazy_first_level;
};

TEST_CASE("kernels by release", "[scenario]") {
  constexpr auto whole = DriverCalls::whole_range;
  constexpr auto page = DriverCalls::per_page;
  constexpr auto counted = DriverCalls::counted;
  const char* split = "natural-split";
  const std::vector<Row> rows{
      {"3.10", false, whole, false, false, false, false, "full", "generic", 1, true, false},
      {"4.3", false, page, false, false, false, false, "full", "generic", 1, true, false},
      {"5.12", false, page, true, false, true, false, "full", "generic", 1, true, false},
      {"5.15", true, counted, true, false, true, false, split, "generic", 1, false, false},
      {"6.1", true, counted, true, false, true, false, split, "generic", 1, false, true},
      {"6.5-rfc", true, counted, true, false, true, false, split, "generic", 1, false, true},
      {"6.7", true, counted, true, true, true, false, split, "generic", 1, false, true},
      {"6.12", true, counted, true, true, true, false, split, "generic", 16, false, true},
      {"7.2", true, counted, true, true, true, true, split, "page-selective", 16, false, true}};
  CHECK(rows.size() == toml_names(kernels_folder()).size());
  for (const Row& row : rows) {
    INFO(row.name);
    const KernelFile k = kernel(row.name);
    CHECK((k.virtio_driver == DriverPresence::present) == row.virtio);
    CHECK(k.core.calls == row.calls);
    CHECK(k.core.sync_map == row.sync_map);
    CHECK(k.core.sync_map_can_fail == row.sync_map_can_fail);
    CHECK(k.core.gather == row.gather);
    CHECK(k.core.fill_empty_gather == row.never_empty);
    CHECK(k.core.skip_empty_gather == row.never_empty);
    CHECK(k.amd.flush_policy == guest::find_flush_policy(row.amd_policy));
    CHECK((k.amd.pde_bit == guest::PdeBit::tables_freed) == row.never_empty);
    CHECK(k.amd_split_flush_all == (std::string{"6.12"} == row.name));
    CHECK(k.amd_gather_deferred != row.never_empty);
    CHECK(k.amd_walk_every_leaf != row.never_empty);
    CHECK(k.intel.flush_policy == guest::find_flush_policy(row.intel_policy));
    CHECK(k.intel.descriptors_per_submit == row.batch);
    CHECK(k.intel.claims_all_sizes == row.claims_all);
    CHECK(domain_kernel(k).first_level_may_be_lazy == row.lazy_first_level);
  }
}

TEST_CASE("a kernel file names flush policies by the registry", "[scenario]") {
  const auto names = flush_policy_names();
  REQUIRE(names.size() == guest::flush_policies().size());
  for (const auto& entry : names) CHECK(guest::find_flush_policy(entry.name) == entry.value);
}

}  // namespace
}  // namespace gnomon::scenario
