#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check_test.sh GNOMON: a scenario that holds; one expectation, one cost constant and one golden line spoiled; the
# formats, read by an independent parser; the cache; exit codes.
set -euo pipefail
gnomon=$1
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
repository=$PWD
source tests/support/expect.sh
export XDG_CACHE_HOME=$world/cache GNOMON_DATA=$world/data
unset GITHUB_ACTIONS
mkdir -p "$GNOMON_DATA/platform" "$GNOMON_DATA/guest" "$GNOMON_DATA/scenarios/bad"
cp -r platform/machines "$GNOMON_DATA/platform/"
cp -r guest/kernels "$GNOMON_DATA/guest/"
cd "$GNOMON_DATA/scenarios"

printf '%s\n' '[page]' 'filename=/dev/nvme0n1' 'ioengine=libaio' 'rw=randread' 'bs=4k' 'iodepth=1' 'number_ios=200' \
  'size=1G' 'include more.fio' >page.fio
echo 'direct=1' >more.fio
cat >page.toml <<'TOML'
title = "pages"
[machine]
profile = "intel-desktop-2023"
[guest]
kernel = "6.12"
[iommu]
device = "virtio-iommu"
[[device]]
model = "nvme"
[workload]
fio = "page.fio"
[[variant]]
name = "strict"
set = { "guest.cmdline" = "iommu.strict=1" }
[[variant]]
name = "lazy"
set = { "guest.cmdline" = "iommu.strict=0" }
[[expect]]
variant = "strict"
metric = "io.completed"
value = 200
tolerance = 0
source = "Table 3, row 1"
TOML
echo 'titel = "x"' >bad/typo.toml

# check [OPTION...]: sets said and code.
check() {
  code=0
  said=$("$gnomon" check "$@" 2>&1) || code=$?
}

check
expect_equal "$code" 1
expect_in "$said" "there is no" "bad/typo.expected"
check --update
expect_equal "$code" 0
expect_in "$said" "page.toml  2 runs (2 cached)" "2 as expected, 0 not"
[[ -s page.golden && -s bad/typo.expected ]] || fail "--update wrote nothing"

# Once more, and nothing is run; other inputs are other runs.
check
expect_in "$said" "2 runs (2 cached), 3 checks"
check --no-cache
expect_in "$said" "2 runs (0 cached)"
printf 'direct=1\nnorandommap=1\n' >more.fio
check page.toml
expect_in "$said" "2 runs (0 cached)"
echo 'direct=1' >more.fio
check page.toml
expect_in "$said" "2 runs (2 cached)"
for entry in "$XDG_CACHE_HOME"/gnomon/runs/*; do echo damaged >"$entry"; done
check page.toml
expect_equal "$code" 0
expect_in "$said" "2 runs (0 cached)"

# One expectation.
sed -i.good 's/^value = 200/value = 201/' page.toml
check --junit "$world/j.xml" --markdown "$world/m.md" --bench-json "$world/b.json"
expect_equal "$code" 1
expect_in "$said" "FAILED  " "page: strict: io.completed: simulated 200, expected 201 ± 0" "page.toml:18" \
  "source: Table 3, row 1" "1 as expected, 1 not"
expect_in "$(<"$world/m.md")" "1 of 4 fail" "simulated 200, expected 201"
expect_equal "$(python3 - "$world/j.xml" "$world/b.json" <<'PYTHON'
import json, sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
cases = root.findall("testsuite/testcase")
failures = [c for c in cases if c.find("failure") is not None]
assert int(root.get("tests")) == len(cases) and int(root.get("failures")) == len(failures)
for figure in json.load(open(sys.argv[2])):
    assert set(figure) <= {"name", "unit", "value", "range", "extra"} and figure["value"] >= 0
print(len(cases), failures[0].get("name"), failures[0].get("line"), failures[0].get("file").endswith("page.toml"))
PYTHON
)" "4 strict: io.completed 18 True"
GITHUB_ACTIONS=true check page.toml
expect_in "$said" "::error file=" "page.toml,line=18,title=gnomon check%3A page::page: strict: io.completed"
mv page.toml.good page.toml

# One cost constant: 100 ns more an I/O.
machine=$GNOMON_DATA/platform/machines/intel-desktop-2023.toml
cp "$machine" "$world/machine"
sed -i '/^nvme_complete/s/"100ns"/"200ns"/' "$machine"
cmp -s "$machine" "$world/machine" && fail "the constant is not there to be spoiled"
check
expect_equal "$code" 1
expect_in "$said" "page: strict: metric io.iops is " "the golden transcript says " "page.golden:" "--update"
cp "$world/machine" "$machine"

# One golden line.
sed -i.good 's/^metric io.completed 200$/metric io.completed 199/' page.golden
check
expect_equal "$code" 1
expect_in "$said" 'page: strict: metric io.completed is "200", the golden transcript says "199"' "page.golden:"
mv page.golden.good page.golden
check --quiet
expect_equal "$code:$said" "0:2 as expected, 0 not"

# A repository's own scenario: a constant of the machine, and the published figure it answers to.
mkdir -p virtio-iommu
cp "$repository"/scenarios/quickstart.{toml,golden} .
cp "$repository"/scenarios/virtio-iommu/virtio-iommu-rfc.fio virtio-iommu/
sed -i '/^fio_per_io /s/"450ns"/"9us"/' "$machine"
cmp -s "$machine" "$world/machine" && fail "the constant is not there to be spoiled"
check quickstart.toml
expect_equal "$code" 1
expect_in "$said" "quickstart: strict: io.lat_ns.mean / host: simulated 2.4" ", expected 8.82 ± 0.7" "quickstart.toml:" \
  "source: J.-P. Brucker, single page randrw" 'quickstart: strict: metric io.completed is "' \
  'the golden transcript says "' "quickstart.golden:"
cp "$world/machine" "$machine"
check quickstart.toml
expect_equal "$code" 0
sed -i.good '0,/^metric iotlb.refills.cold /s/^\(metric iotlb.refills.cold \).*/\1999/' quickstart.golden
check quickstart.toml
expect_equal "$code" 1
expect_in "$said" 'metric iotlb.refills.cold is "' '", the golden transcript says "999" (' "quickstart.golden:"
rm -r quickstart.* virtio-iommu

# Outputs that cannot be written, scenarios that are not there or in error.
check --junit "$world/absent/j.xml"
expect_equal "$code" 74
check "$world/absent"
expect_equal "$code" 2
echo 'title = 3' >wrong.toml
check --junit "$world/j.xml"
expect_equal "$code" 2
expect_in "$(<"$world/j.xml")" "wrong: the scenario is in error"
