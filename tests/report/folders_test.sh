#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# folders_test.sh GNOMON: report and diff from outside: pages that are whole or absent, folders that are damaged.
set -euo pipefail
gnomon=$1
source tests/support/expect.sh
"$gnomon" run scenarios/quickstart.toml --trace none --quiet --out "$world/a" --set 'workload.runtime=2ms' \
  --set 'workload.ramp_time=1ms'
cp -r "$world/a" "$world/b"

# does COMMAND... : sets said and code.
does() {
  code=0
  said=$("$gnomon" "$@" 2>&1) || code=$?
}

does report "$world/a" "$world/b" -o "$world/page.html"
expect_equal "$code" 0
expect_in "$(<"$world/page.html")" "</html>" '"scenario":"quickstart"'
does report "$world" -o "$world/both.html"
expect_equal "$code" 0
cmp "$world/page.html" "$world/both.html" || fail "a folder of results is not its results"
does diff "$world/a" "$world/b" --exit-code
expect_equal "$code" 0
expect_in "$said" "0 of " "The traces are the same, "
does diff "$world/a/strict" "$world/a/lazy-sq-map" --exit-code --json
expect_equal "$code" 1
expect_in "$said" '"name": "strict -> lazy-sq-map"' '"metric": "io.lat_ns.mean"' "The traces agree for "
does diff "$world/a/strict" "$world/a/lazy-sq-map" -o "$world/diff.html"
expect_in "$(<"$world/diff.html")" '"name":"strict -> lazy-sq-map"'

# Wherever a file of a folder ends, it is told, and nothing is written.
for file in summary.json strict/series.json strict/config.toml; do
  rm -rf "$world/b" "$world/page.html"
  cp -r "$world/a" "$world/b"
  rm "$world/b/$file"
  does report "$world/b" -o "$world/page.html"
  expect_equal "$code" 2
  expect_in "$said" "gnomon report: $world/b"
  [[ ! -e $world/page.html ]] || fail "a page of a damaged folder"
done
rm -rf "$world/b"
cp -r "$world/a" "$world/b"
for size in 0 1 100 1000; do
  for file in summary.json strict/series.json; do
    head -c "$size" "$world/a/$file" >"$world/b/$file"
    does report "$world/b" -o "$world/page.html"
    expect_equal "$code" 2
    does diff "$world/a" "$world/b"
    expect_equal "$code" 2
    cp "$world/a/$file" "$world/b/$file"
  done
done
head -c 1000 "$world/a/strict/trace.hashes" >"$world/b/strict/trace.hashes"
does diff "$world/a" "$world/b"
expect_equal "$code" 2
expect_in "$said" "strict/trace.hashes: is damaged, at line "

# A disk that is full leaves what was there.
echo before >"$world/old.html"
does report "$world/a" -o /dev/full
expect_equal "$code" 74
(ulimit -f 8; trap '' XFSZ; "$gnomon" report "$world/a" -o "$world/old.html") >/dev/null 2>&1 && fail "it fits in 8 KiB"
expect_equal "$(<"$world/old.html")" before
expect_equal "$(find "$world" -maxdepth 1 -name '.gnomon*')" ""
