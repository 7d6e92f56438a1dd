#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# reference_test.sh GNOMON [--update]: the pages under docs/reference are what `gnomon reference` prints, byte for
# byte. --update writes them.
set -euo pipefail
gnomon=$(realpath -- "$1")
update=${2:-}
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
export GNOMON_DATA=$PWD
source tests/support/expect.sh

while read -r page file; do
  "$gnomon" reference "$page" >"$world/page"
  if [[ $update == --update ]]; then
    cp -- "$world/page" "docs/reference/$file"
  elif ! difference=$(diff -u -- "docs/reference/$file" "$world/page" 2>&1); then
    fail "docs/reference/$file is not what the program prints:"$'\n'"${difference:0:4000}"
  fi
done <<'PAGES'
params scenario.md
machine machines.md
metrics metrics.md
gtrace gtrace.md
import import.md
schema gnomon.schema.json
PAGES

if [[ $update == --update ]]; then exit 0; fi
if ((failures)); then echo "to write them anew: tests/golden/reference_test.sh $1 --update"; fi
others=$(cd docs/reference && ls -- *)
expect_equal "$others" $'gnomon.schema.json\ngtrace.md\nimport.md\nmachines.md\nmetrics.md\nscenario.md'
