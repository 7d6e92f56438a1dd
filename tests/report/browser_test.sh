#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# browser_test.sh GNOMON FOLDER: the page in headless Chromium. Screenshots are left in FOLDER/screenshots.
set -euo pipefail
gnomon=$1 shots=$2/screenshots
source tests/report/node_modules.sh
command -v chromium >/dev/null || skip "there is no chromium (Debian package chromium)"
source tests/support/expect.sh
"$gnomon" run scenarios/quickstart.toml --trace none --quiet --out "$world/quickstart"
"$gnomon" run scenarios/virtio-iommu/randrw-page.toml --trace none --quiet --out "$world/repeated" --repeat 2 \
  --only host --only strict --only lazy-sq-map
"$gnomon" run scenarios/quickstart.toml --trace none --quiet --out "$world/contended" --only strict \
  --set workload.section=randwrite_multi --set workload.runtime=20ms --set workload.ramp_time=5ms
# A folder with everything a summary may hold: blame, findings, a variant that crashed, and markup in its texts.
cp -r "$world/quickstart" "$world/spoiled"
python3 tests/report/spoil.py "$world/spoiled"
"$gnomon" report "$world/quickstart" "$world/repeated" "$world/contended" "$world/spoiled" -o "$world/report.html" --quiet
"$gnomon" diff "$world/quickstart/strict" "$world/quickstart/lazy-sq-map" -o "$world/diff.html" >/dev/null
mkdir -p "$shots"
NODE_PATH=report/node_modules node tests/report/browser_test.mjs "$world" "$shots"
