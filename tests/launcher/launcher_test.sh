#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./gnomon in a world of stand-ins for apt-get, cmake, ninja and ctest that write down how they were called.
# shellcheck disable=SC2016  # what is single-quoted here is for others to expand
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
source tests/support/expect.sh

clone=$world/a\ clone
calls=$world/calls
mkdir -p "$clone/cmake" "$clone/tests/support" "$world/bin" "$world/elsewhere"
cp gnomon "$clone"
cp tests/support/tally.awk "$clone/tests/support"
(cd "$clone" && mkdir models guest platform apps && touch CMakeLists.txt CMakePresets.json models/walk.cpp)
printf '%s\n' '# group package reason' 'run alpha-dev first reason' 'run beta-dev second reason' \
  'test gamma third reason' 'proof delta fourth reason' 'proof ls a command' >"$clone/cmake/packages.txt"

stand_in() { printf '#!/usr/bin/env bash\nset -eu\n%s\n' "$2" >"$world/bin/$1"; chmod +x "$world/bin/$1"; }
stand_in id 'cat "$WORLD/uid"'
stand_in sudo '[[ -e $WORLD/sudo ]] || exit 1; [[ $1 == -n ]]; shift; echo "sudo" >>"$WORLD/calls"; exec "$@"'
stand_in dpkg-query 'p=${!#}; [[ -e $WORLD/installed/$p ]] || exit 1; printf installed'
stand_in apt-get 'echo "apt-get $DEBIAN_FRONTEND $*" >>"$WORLD/calls"
  ! read -r _ || echo "apt-get reads standard input" >>"$WORLD/calls"
  for p; do case $p in *-dev | gamma | delta) [[ -e $WORLD/offline ]] || touch "$WORLD/installed/$p" ;; esac; done
  [[ ! -e $WORLD/offline ]]'
stand_in cmake 'echo "cmake $*" >>"$WORLD/calls"; mkdir -p build/release; : >build/release/build.ninja
  printf "CMAKE_HOME_DIRECTORY:INTERNAL=%s\nGNOMON_TESTS:BOOL=%s\n" "$PWD" "${*: -1:1}" |
    sed s/-DGNOMON_TESTS=// >build/release/CMakeCache.txt'
stand_in ninja 'echo "ninja ${*: -1}" >>"$WORLD/calls"; sleep 0.2; [[ ! -e $WORLD/broken ]] || exit 1
  mkdir -p "$2/apps/gnomon"; cp "$WORLD/program" "$2/apps/gnomon/gnomon"'
stand_in ctest 'echo "ctest $*" >>"$WORLD/calls"; while [[ $1 != --output-junit ]]; do shift; done
  printf "<testcase name=\"unit/x\" status=\"%s\">\n</testcase>\n" "$(cat "$WORLD/verdict")" >"$2"'
printf '#!/usr/bin/env bash\nprintf "[%%s]" "$@"; pwd; cat; exit 4\n' >"$world/program"
chmod +x "$world/program"

# launch ARGUMENT...: ./gnomon from another folder; $out, $err, $code, and in $did what it called.
launch() {
  code=0
  : >"$calls"
  out=$(export DEBIAN_FRONTEND=dialog WORLD=$world PATH=$world/bin:$PATH
        cd "$world/elsewhere" && "$clone/gnomon" "$@" <<<"typed" 2>"$world/err") || code=$?
  err=$(<"$world/err")
  did=$(<"$calls")
}

anew() {
  rm -rf -- "$clone/build" "$world"/{installed,sudo,offline,broken}
  mkdir "$world/installed"
  echo 0 >"$world/uid"
}

# Neither root nor sudo: says what is missing, and does nothing.
anew; echo 1000 >"$world/uid"; touch "$world/installed/beta-dev"
launch run x
expect_equal "$code" 2
expect_equal "$did" ""
expect_in "$err" "neither root" "alpha-dev" "first reason" "apt-get install alpha-dev"
[[ $err != *beta-dev* && $err != *gamma* ]] || fail "asks for more than is missing: $err"

# Root on a fresh machine: installs what `run` needs and says why, builds without tests, becomes the program.
anew
launch run 'a b' --set 'x=*'
expect_equal "$code" 4
expect_equal "$out" "[run][a b][--set][x=*]$world/elsewhere"$'\n'"typed"
expect_in "$err" "alpha-dev" "first reason" "beta-dev" "second reason"
expect_in "$did" "apt-get noninteractive" "Acquire::http::Timeout" "DPkg::Lock::Timeout" "update" \
  "alpha-dev beta-dev" \
  "cmake --preset release -DGNOMON_TESTS=OFF" "ninja apps/gnomon/gnomon"
[[ $did != *gamma* && $did != *delta* && $did != *"standard input"* ]] || fail "installs or reads too much: $did"

# Up to date: nothing but the program, and not a word.
launch list
expect_equal "$code$did$err" 4

# A source is edited: built again, configured no more.
touch "$clone/models/walk.cpp"
launch list
expect_equal "$did" "ninja apps/gnomon/gnomon"

# The clone has moved: the old configuration names another folder.
mv "$clone" "$world/moved"; clone=$world/moved
launch list
expect_in "$did" "cmake --fresh --preset release"
expect_equal "$code" 4

# A build that fails is no build: exit 2, tried again the next time.
touch "$clone/models/walk.cpp" "$world/broken"
launch list
expect_equal "$code" 2
rm "$world/broken"
launch list
expect_equal "$code $did" "4 ninja apps/gnomon/gnomon"

# No network: what is missing is named, and it ends.
anew; touch "$world/offline"
launch list
expect_equal "$code" 2
expect_in "$err" "could not install" "alpha-dev" "beta-dev"
[[ $did != *cmake* ]] || fail "builds without its packages: $did"

# Through sudo, where it needs no password.
anew; echo 1000 >"$world/uid"; touch "$world/sudo"
launch list
expect_equal "$code" 4
expect_in "$did" $'sudo\napt-get noninteractive'

# Two at once: one builds, the other waits for it.
anew; touch "$world/installed/alpha-dev" "$world/installed/beta-dev"
(launch list) & launch list; wait
expect_equal "$code $(grep -c ninja "$calls")" "4 1"

# The suite: its own packages, everything built, options handed on, the tally last, an exit code.
echo run >"$world/verdict"
launch test -L unit
expect_equal "$code ${out##*$'\n'}" "0 1 passed, 0 failed"
expect_in "$did" "gamma" "delta" "cmake --preset release -DGNOMON_TESTS=ON" "ninja all" "ctest --preset release" "-L unit"
echo fail >"$world/verdict"
launch test
expect_equal "$code ${out##*$'\n'}" "1 0 passed, 1 failed"
[[ $did != *cmake* ]] || fail "configures again: $did"
[[ $err != *"a command"* ]] || fail "a command that is there is installed: $err"

# Without what only proves a format, the suite runs all the same, and says so.
rm "$world/installed/delta"; touch "$world/offline"
launch test
expect_in "$err" "delta" "fourth reason" "are skipped"
expect_in "$did" "ctest --preset release"
