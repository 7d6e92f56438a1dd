#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Which lines of a README .ci/run takes for commands, and how it counts them.
# shellcheck disable=SC2016  # what is single-quoted here is for others to expand
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
source tests/support/expect.sh
script=$PWD/tests/support/readme_commands.sh

printf '%s\n' '#!/usr/bin/env bash' 'echo "$*" >>calls' '! read -r _ || echo "reads standard input" >>calls' \
  '[[ $1 != bad ]]' >"$world/gnomon"
chmod +x "$world/gnomon"
cd "$world"

cat >README.md <<'README'
```sh
git clone somewhere
./gnomon run a.toml   # a comment
  ./gnomon list \
    metrics
./gnomon test
./gnomon test   # everything
./gnomon run long.toml   # not in CI
./gnomon run piped | cat
```
./gnomon prose
```text
./gnomon output
```
```
./gnomon bare
```
README
expect_equal "$("$script" README.md <<<typed | tail -n 1)" "3 passed, 0 failed"
expect_equal "$(<calls)" $'run a.toml\nlist metrics\nrun piped'

printf '```sh\n./gnomon bad | cat\n./gnomon good\n```\n' >README.md
code=0
out=$("$script" README.md) || code=$?
expect_equal "$code ${out##*$'\n'}" "1 1 passed, 1 failed"
expect_in "$out" "FAIL" "./gnomon bad"

printf 'no command\n' >README.md
code=0
out=$("$script" README.md 2>/dev/null) || code=$?
expect_equal "$code $out" "1 0 passed, 1 failed"
