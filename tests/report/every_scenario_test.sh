#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# every_scenario_test.sh GNOMON: each scenario of the repository makes a report without a word of warning. What
# takes long is cut short: figures are checked elsewhere.
set -euo pipefail
gnomon=$1
# Results are synced to the disk, file by file.
[[ -w /dev/shm ]] && export TMPDIR=${TMPDIR:-/dev/shm}
source tests/support/expect.sh
while read -r scenario; do
  name=${scenario#scenarios/}
  name=${name//\//-}
  # Two variants are enough; of VFIO's one with the largest pages, which is quick.
  # The name of a point in a matrix has commas, without a space after them.
  variants=$("$gnomon" run "$scenario" --only '?' 2>&1 | sed -n 's/^accepted: //p' | sed 's/, /\n/g') || true
  shorter=()
  while read -r variant; do shorter+=(--only "$variant"); done < <(head -2 <<<"$variants")
  if grep -q '^\[workload.vfio\]' "$scenario"; then
    large=$(grep -m 1 hugetlb <<<"$variants" || grep -m 1 thp <<<"$variants") && shorter=(--only "$large")
  fi
  if grep -q '^fio *=' "$scenario"; then shorter+=(--set workload.runtime=2ms --set workload.ramp_time=1ms); fi
  if grep -q '^\[workload.iperf\]' "$scenario"; then
    shorter+=(--set workload.iperf.time=2ms --set workload.iperf.omit=1ms --set workload.iperf.interval=1ms)
  fi
  code=0
  said=$("$gnomon" run "$scenario" "${shorter[@]}" --trace none --quiet --out "$world/${name%.toml}" 2>&1) || code=$?
  expect_equal "$scenario $code:$said" "$scenario 0:"
  said=$("$gnomon" report "$world/${name%.toml}" -o "$world/$name.html" --quiet 2>&1) || code=$?
  expect_equal "$scenario $code:$said" "$scenario 0:"
  size=$(stat -c %s "$world/$name.html")
  ((size > 80000 && size < 3000000)) || fail "$scenario: a page of $size bytes"
  expect_in "$(<"$world/$name.html")" "</html>" "default-src 'none'"
done < <(find scenarios -name '*.toml' -not -path '*/bad/*' | sort)
