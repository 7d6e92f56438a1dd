#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# scenarios_test.sh GNOMON: every scenario of the repository passes gnomon check, without anything skipped.
set -euo pipefail
source tests/support/expect.sh
export XDG_CACHE_HOME=$world
code=0
said=$("$1" check scenarios --quiet --junit "$world/junit.xml" 2>&1) || code=$?
expect_equal "$code" 0
[[ $code == 0 ]] || echo "$said"
# A scenario without a golden transcript is skipped there: gnomon check --update writes it.
expect_in "$(grep '^<testsuites ' "$world/junit.xml")" ' failures="0" errors="0" skipped="0"'
