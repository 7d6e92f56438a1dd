#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# readme_commands.sh FILE: runs, here, each command of FILE's ```sh blocks that starts with ./gnomon or gnomon,
# and closes with `N passed, N failed`. Not run: a line marked `# not in CI`, and plain `./gnomon test`, which
# .ci/run has run by then. A backslash at the end of a line joins it to the next.
set -euo pipefail

readme=$1
passed=0 failed=0
output=$(mktemp)
trap 'rm -f -- "$output"' EXIT

lines=$(awk '
  /^ *```/                { inside = !inside && $0 ~ /^ *```sh *$/; next }
  !inside                 { next }
  line == ""              { sub(/^ +/, "") }
  sub(/\\$/, "")          { line = line $0; next }
                          { line = line $0 }
  line ~ /^(\.\/)?gnomon( |$)/ && line !~ /# not in CI/ && line !~ /^\.\/gnomon test *(#.*)?$/ { print line }
                          { line = "" }' "$readme")

commands=()
if [[ -n $lines ]]; then
  mapfile -t commands <<<"$lines"
else
  echo "$readme: no command to run" >&2
  failed=1
fi
for command in "${commands[@]}"; do
  SECONDS=0 status=0
  timeout -k 10 600 bash -euo pipefail -c "$command" </dev/null >"$output" 2>&1 || status=$?
  if ((status == 0)); then
    passed=$((passed + 1))
    printf 'ok    %4d s  %s\n' "$SECONDS" "$command"
  else
    failed=$((failed + 1))
    printf 'FAIL  %4d s  %s  (exit %d)\n' "$SECONDS" "$command" "$status"
    sed 's/^/  | /' "$output"
  fi
done
printf '%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
