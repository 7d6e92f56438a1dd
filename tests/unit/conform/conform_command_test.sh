#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# conform_command_test.sh GNOMON: gnomon conform and gnomon replay on excerpts of real recordings.
set -euo pipefail
gnomon=$(realpath -- "$1")
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.."
source tests/support/expect.sh
data=tests/data/conformance

# run EXPECTED_CODE WORD...: its output in $out
run() {
  local expected=$1 code=0
  shift
  out=$("$gnomon" "$@" 2>&1 </dev/null) || code=$?
  expect_equal "$code" "$expected"
}

for archive in "$data"/*.tar.zst; do
  run 0 conform "$archive"
  expect_in "$out" "IOVAs: all" "commands: all" "  conforms"
done

# Another kernel does something else, and that is seen: 6.1 waits for each MAP and notifies for it.
run 1 conform --kernel 6.1 "$data/T-612-virtio-lazy-w64k16.tar.zst"
expect_in "$out" "DOES NOT CONFORM"

# A command that is changed is found, with its neighbours.
tar --zstd -xf "$data/V-61v-virtio-strict-w4k1.tar.zst" -C "$world"
folder=$world/V-61v-virtio-strict-w4k1
sed -i '0,/virtio_iommu_unmap/ s/\(virtio_iommu_unmap.*virt_end=0x[0-9a-f]*\)f/\1e/' "$folder/run.qtrace"
tar -cf "$world/changed.tar" -C "$world" V-61v-virtio-strict-w4k1
run 1 conform "$world/changed.tar"
expect_in "$out" "commands: the first difference is request 1" "UNMAP"

run 2 conform "$world/missing"
run 2 conform tests/data/traces/blkparse.txt

run 0 replay "$data/T-612-virtio-lazy-w64k16.tar.zst" --variants strict,lazy,lazy-sq-map
expect_in "$out" "recorded" "strict" "lazy-sq-map" "MAP requests" "exposure" "IOTLB misses" "where the time went"
while IFS= read -r line; do  # what the page shows is what is printed
  expect_in "$out" "$line"
done < <(sed -n '/^```text$/,/^```$/p' docs/ask-what-if.md | grep -v '^```' | grep .)
run 0 replay "$data/T-612-virtio-lazy-w64k16.tar.zst" --variants strict --kernel 6.1
expect_in "$out" "Linux 6.1 (by --kernel), virtio-iommu (as recorded)"
run 2 replay "$data/T-612-virtio-lazy-w64k16.tar.zst" --variants lazier
expect_in "$out" 'there is no policy "lazier"'
run 2 replay tests/data/traces/blkparse.txt
