# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# For shell tests to source: expectations that go on after a failure, a scratch folder $world, and an exit code.
failures=0
world=$(mktemp -d)
trap 'rm -rf -- "$world"; ((failures == 0)) || exit 1' EXIT

fail() {
  failures=$((failures + 1))
  printf '%s:%d: %s\n' "${BASH_SOURCE[2]}" "${BASH_LINENO[1]}" "$1"
}

# expect_equal ACTUAL EXPECTED
expect_equal() { [[ $1 == "$2" ]] || fail "is:        $1"$'\n'"should be: $2"; }

# expect_in TEXT PART...
expect_in() {
  local text=$1 part
  shift
  for part; do [[ $text == *"$part"* ]] || fail "no \"$part\" in:"$'\n'"$text"; done
}
