#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The closing line of ./gnomon test, from results of every kind CTest writes.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
source tests/support/expect.sh

# tally LINE...: the last line and the exit code, from a results file of these lines.
tally() {
  local code=0
  printf '%s\n' "$@" >"$world/junit.xml"
  awk -f tests/support/tally.awk "$world/junit.xml" >"$world/out" || code=$?
  printf '%s, exit %d' "$(tail -n 1 "$world/out")" "$code"
}
# case_of NAME STATUS [OUTPUT]
case_of() {
  printf '\t<testcase name="%s" classname="%s" time="0.1" status="%s">\n%s\n\t</testcase>' "$1" "$1" "$2" "${3-}"
}

good='All tests passed (10 assertions in 3 test cases)'
expect_equal "$(tally "$(case_of unit/a run "$good")")" "3 passed, 0 failed, exit 0"
expect_equal "$(tally "$(case_of unit/a run "<system-out>All tests passed (1 assertion in 1 test case)")")" \
  "1 passed, 0 failed, exit 0"
expect_equal "$(tally "$(case_of unit/a fail 'test cases: 9 | 5 passed | 3 failed | 1 failed as expected')")" \
  "6 passed, 3 failed, exit 1"
expect_equal "$(tally "$(case_of unit/a fail 'test cases: 2 | 2 failed')")" "0 passed, 2 failed, exit 1"
expect_equal "$(tally "$(case_of unit/script run)")" "1 passed, 0 failed, exit 0"
expect_equal "$(tally "$(case_of unit/crash fail)")" "0 passed, 1 failed, exit 1"
expect_equal "$(tally "$(case_of unit/leak fail "$good")")" "3 passed, 1 failed, exit 1"
expect_equal "$(tally "$(case_of unit/absent notrun)")" "0 passed, 1 failed, exit 1"
expect_equal "$(tally "$(case_of unit/hollow run 'No tests ran')")" "0 passed, 1 failed, exit 1"
expect_equal "$(tally "$(case_of unit/off disabled Disabled)")" "0 passed, 0 failed, exit 0"
expect_equal "$(tally "$(case_of unit/a run "$good")" "$(case_of property/b fail)" "$(case_of unit/c run)")" \
  "4 passed, 1 failed, exit 1"
expect_in "$(<"$world/out")" "unit               4       0" "property           0       1"
skipped='<skipped message="SKIP_RETURN_CODE=77"/>'
expect_equal "$(tally "$(case_of unit/a run)" "$(case_of platform/b notrun "$skipped")")" "1 passed, 0 failed, exit 0"
expect_equal "$(sed -n 's/^skipped: //p' "$world/out")" "platform/b"
