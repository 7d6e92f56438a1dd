# SPDX-License-Identifier: Apache-2.0
# CTest's JUnit file -> test cases by layer and the closing line `N passed, N failed`. Exit 1 where anything failed.
# A Catch2 binary counts its test cases, by its own last word; any other test counts as one. What did not run, or
# went wrong without a failed test case (a crash, a timeout, a leak at exit), counts as one failed. A test that says
# it lacks a program is named as skipped and counts as neither.

function attribute(name,    from) {
  from = index($0, " " name "=\"") + length(name) + 3
  return substr($0, from, index(substr($0, from), "\"") - 1)
}

/<testcase / {
  layer = name = attribute("name"); sub(/\/.*/, "", layer)
  status = attribute("status")
  good = bad = 0; counted = 0
}
/All tests passed \([0-9]+ assertions? in [0-9]+ test cases?\)/ {
  match($0, /in [0-9]+ test case/)
  good = substr($0, RSTART + 3) + 0; bad = 0; counted = 1
}
/test cases: +[0-9]+ \|/ {
  good = bad = 0; counted = 1
  fields = split($0, field, "|")
  for (i = 2; i <= fields; ++i) {
    if (field[i] ~ /passed|as expected/) good += field[i]
    else if (field[i] ~ /failed/) bad += field[i]
  }
}
/No tests ran/ { bad = 1; counted = 1 }
/<skipped message="SKIP_RETURN_CODE=/ { status = "skipped" }
/<\/testcase>/ {
  if (status == "disabled") next
  if (status == "skipped") { skipped = skipped " " name; next }
  if (!counted && status == "run") good = 1
  if (status != "run" && bad == 0) bad = 1
  if (!(layer in passed)) order[++layers] = layer
  passed[layer] += good; failed[layer] += bad
  all_passed += good; all_failed += bad
}
END {
  printf "\n%-12s %7s %7s\n", "layer", "passed", "failed"
  for (i = 1; i <= layers; ++i) printf "%-12s %7d %7d\n", order[i], passed[order[i]], failed[order[i]]
  if (skipped != "") printf "skipped:%s\n", skipped
  printf "%d passed, %d failed\n", all_passed, all_failed
  exit all_failed > 0
}
