#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The rules hold in this repository, and each would be missed where it is broken.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
source tests/support/expect.sh

expect_equal "$(tests/architecture/include_rules.sh . || true)" ""
expect_equal "$(tests/architecture/license_lines.sh . || true)" ""

# breaches FILE LINE...: what the include rules say of a repository of this one file.
breaches() {
  local file=$1
  shift
  rm -rf -- "$world/tree"
  mkdir -p "$world/tree"/{models,guest,platform,apps} "$world/tree/$(dirname "$file")"
  printf '%s\n' "$@" >"$world/tree/$file"
  tests/architecture/include_rules.sh "$world/tree" || true
}

# allowed FILE HEADER, refused FILE HEADER
allowed() { expect_equal "$(breaches "$1" "#include $2")" ""; }
refused() { expect_in "$(breaches "$1" "// one line" "  #  include $2  // why")" "$1:2: " "${2//\"/}"; }

for pure in guest/dma models/{base,spec/nvme,trace,memory,pgtable,cpu/core,iommu/core,hypervisor/core,nvme/core} \
  platform/{config,observe,scenario,results,trace_import}; do
  allowed "$pure/a.hpp" '"models/base/time.hpp"'
  allowed "$pure/a.hpp" "\"$pure/b.hpp\""
  refused "$pure/a.hpp" '<systemc>'
  refused "$pure/a.cpp" '<tlm_utils/simple_target_socket.h>'
  refused "$pure/a.cpp" '"models/fabric/payload.hpp"'
  refused "$pure/a.cpp" '"apps/gnomon/commands.hpp"'
done
for model in iommu hypervisor nvme; do
  allowed "models/$model/a.hpp" '<systemc>'
  allowed "models/$model/a.hpp" "\"models/$model/core/config.hpp\""
  allowed "models/$model/a.hpp" '"models/fabric/payload.hpp"'
  refused "models/$model/a.hpp" '"guest/kernel/cpu.hpp"'
  refused "models/$model/a.hpp" '"platform/scenario/configuration.hpp"'
  for sibling in cpu iommu hypervisor nvme; do
    [[ $sibling == "$model" ]] && continue
    refused "models/$model/a.hpp" "\"models/$sibling/$sibling.hpp\""
    refused "models/$model/core/a.hpp" "\"models/$sibling/config.hpp\""
  done
done
refused models/iommu/a.cpp '"models/hypervisor/core/virtqueue_device.hpp"'
refused guest/nvme/a.cpp '"models/nvme/core/config.hpp"'
refused guest/nvme/a.cpp '"platform/observe/metrics.hpp"'
allowed platform/scenario/a.cpp '"models/cpu/config.hpp"'
refused platform/scenario/a.cpp '"models/cpu/vcpu.hpp"'
refused platform/run/a.cpp '"../wiring/platform.hpp"'
expect_in "$(breaches models/newcomer/a.hpp "#include <cstdint>")" "models/newcomer/a.hpp:1: no rule"

mkdir -p "$world/licences/models"
printf "// SPDX-License-Identifier: Apache-2.0\n" >"$world/licences/models/with.hpp"
printf "// none\n" >"$world/licences/models/without.hpp"
code=0
out=$(tests/architecture/license_lines.sh "$world/licences") || code=$?
expect_equal "$code" 1
expect_in "$out" models/without.hpp
[[ $out != *models/with.hpp* ]] || fail "takes what has its line: $out"
