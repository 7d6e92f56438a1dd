#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# include_rules.sh ROOT: which folder may include which, and where SystemC may be seen. Prints each breach as
# FILE:LINE: what; exit 1 if there is one. The longest folder that fits a file has its rule.
set -euo pipefail
cd -- "$1"

# folder: the folders of this repository it may include from, besides itself. + after a folder: it may see SystemC.
# shared stands for what every core may use. A model's shell knows its own core and the fabric, never a sibling.
shared='models/base models/spec models/memory models/trace models/cpu/core'
rules='
models/base:
models/spec:             models/base
models/trace:            models/base
models/memory:           models/base
models/pgtable:          models/base models/spec models/memory
models/cpu/core:         models/base models/trace
models/iommu/core:       shared models/pgtable
models/iommu/vtd:        shared models/pgtable models/iommu/core
models/iommu/amdvi:      shared models/pgtable models/iommu/core
models/iommu/smmuv3:     shared models/pgtable models/iommu/core
models/iommu/s390:       shared models/pgtable models/iommu/core
models/hypervisor/core:  shared models/pgtable
models/nvme/core:        shared
models/nic/core:         shared
models/iommu/tegra:      shared models/pgtable models/iommu/core
models/dma_master/core:  shared
guest:                   shared models/pgtable
platform/config:         models/base
platform/gtrace:
platform/trace_import:   models/base platform/config platform/gtrace
platform/conform:        models/base models/trace models/cpu/core guest platform/gtrace platform/replay
platform/replay:         models/base guest platform/gtrace
platform/observe:        models/base models/spec models/trace guest
platform/scenario:       shared models/*/core models/*/config.hpp models/iommu/*/config.hpp guest platform/config platform/observe platform/gtrace platform/replay
platform/results:        shared guest platform/config platform/observe platform/run platform/scenario
platform/check:          shared guest platform/config platform/observe platform/run platform/scenario platform/results
platform/report:         platform/run
models/fabric+:          shared
models/cpu+:             shared models/fabric
models/iommu+:           shared models/fabric
models/hypervisor+:      shared models/fabric
models/nvme+:            shared models/fabric
models/nic+:             shared models/fabric
models/dma_master+:      shared models/fabric
platform/wiring+:        models guest platform/scenario platform/observe
platform/run+:           models guest platform
apps+:                   models guest platform
'

find models guest platform apps -name '*.[ch]pp' -exec grep -nHE '^[[:space:]]*#[[:space:]]*include' {} + | sort |
  awk -v rules="${rules//shared/$shared}" '
  # fits(PATH, FOLDER): PATH lies in FOLDER, in which a star stands for one name.
  function fits(path, folder) {
    gsub(/\./, "[.]", folder); gsub(/\*/, "[^/]*", folder)
    return path ~ "^" folder "(/|$)"
  }
  function breach(what) { print $1 ":" $2 ": " what; found = 1 }
  BEGIN {
    FS = ":"
    lines = split(rules, line, "\n")
    for (i = 1; i <= lines; ++i) {
      split(line[i], part, ":")
      folder = part[1]
      if (sub(/\+$/, "", folder)) shell[folder] = 1
      if (folder != "") allowed[folder] = part[2]
    }
  }
  {
    home = ""
    for (folder in allowed) if (fits($1, folder) && length(folder) > length(home)) home = folder
    if (home == "") { breach("no rule for this folder"); next }
    header = $3
    sub(/^[^<"]*/, "", header)
    if (header ~ /^<(systemc|tlm)/) { if (!(home in shell)) breach(home " is pure and includes " header); next }
    if (header !~ /^"/) next
    gsub(/"/, "", header); sub(/[ \t].*/, "", header)
    if (header !~ /^(models|guest|platform|apps|tests)\//) { breach(header " is not named from the root"); next }
    ok = fits(header, home)
    count = split(allowed[home], target, " ")
    for (i = 1; i <= count; ++i) ok = ok || fits(header, target[i])
    if (!ok) breach(home " may not include " header)
  }
  END { exit found }'
