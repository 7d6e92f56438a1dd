#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# import_command_test.sh GNOMON: gnomon import and gnomon inspect: exit codes, and nothing half-written.
set -euo pipefail
gnomon=$(realpath -- "$1")
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.."
source tests/support/expect.sh
traces=tests/data/traces

# run EXPECTED_CODE WORD...: its output in $out
run() {
  local expected=$1 code=0
  shift
  out=$("$gnomon" "$@" 2>&1 </dev/null) || code=$?
  expect_equal "$code" "$expected"
}

run 0 import "$traces/intel-6.1.ftrace" "$traces/intel-6.1.qtrace" -o "$world/a.gtrace"
expect_in "$out" "2 streams" "k_qisubmit" "not an event gnomon knows" "real-time clock of QEMU's host"
run 0 inspect "$world/a.gtrace" --events 2
expect_in "$out" "gtrace version 1, 2 streams" "io_submit device=nvme0n1 operation=write"
run 0 inspect "$world/a.gtrace" --json --events all
python3 -c 'import json, sys; d = json.load(sys.stdin); assert len(d["listing"]) == d["events"] > 50' <<<"$out" || fail "JSON"
run 2 inspect "$world/a.gtrace" --stream 2
expect_in "$out" "there is no stream 2"
run 2 inspect "$traces/blkparse.txt"
expect_in "$out" "blkparse.txt:1:1: error: not a gtrace"
head -c -1 "$world/a.gtrace" >"$world/cut.gtrace"
run 2 inspect "$world/cut.gtrace"
expect_in "$out" "truncated"

# What is refused leaves what was there, and nothing beside it.
cp "$world/a.gtrace" "$world/kept.gtrace"
printf 'nonsense\n' >"$world/bad"
cat "$traces/intel-6.1.ftrace" "$world/bad" >"$world/mixed"
for bad in "$world/bad" "$world/mixed" "$world/missing" "$world" "$world/a.gtrace"; do
  run 2 import "$bad" -o "$world/kept.gtrace"
  expect_in "$out" "$bad:" ": error: "
done
cmp -s "$world/a.gtrace" "$world/kept.gtrace" || fail "a refused import changed the file"
run 2 import "$world/mixed" -o "$world/new.gtrace"
expect_equal "$(find "$world" -name 'new.gtrace' -o -name '.gnomon-*')" ""
run 2 import "$world/mixed" -o "$world/mixed"
expect_in "$out" "would replace a trace"
run 74 import "$traces/blkparse.txt" -o "$world/no/folder.gtrace"

# Mappings at rising addresses: their unmaps tell them apart, in a second pass, which a pipe cannot give.
line() { printf '             fio-7       [000] .....     1.%06d: %s\n' "$1" "$2"; }
{
  line 1 'map: IOMMU: iova=0x0000000000010000 - 0x0000000000011000 paddr=0x0000000000001000 size=4096'
  line 2 'map: IOMMU: iova=0x0000000000011000 - 0x0000000000012000 paddr=0x0000000000002000 size=4096'
  line 3 'unmap: IOMMU: iova=0x0000000000010000 - 0x0000000000011000 size=4096 unmapped_size=4096'
} >"$world/rising"
run 0 import "$world/rising" -o "$world/rising.gtrace" --json
expect_in "$out" '"map": 2'
code=0
out=$("$gnomon" import - -o "$world/pipe.gtrace" <"$world/rising" 2>&1) || code=$?
expect_equal "$code" 2
expect_in "$out" "cannot be read twice"
[[ ! -e $world/pipe.gtrace ]] || fail "a refused import wrote"

# A trace.dat needs trace-cmd, and says so.
printf '\x17\x08\x44tracing6\0' >"$world/dat"
code=0
out=$(PATH=$world "$gnomon" import "$world/dat" -o "$world/dat.gtrace" 2>&1) || code=$?
expect_equal "$code" 2
expect_in "$out" "trace-cmd, which is not installed"
