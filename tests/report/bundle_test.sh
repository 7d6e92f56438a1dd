#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# platform/report/page.html is, byte for byte, what report/ makes.
set -euo pipefail
source tests/report/node_modules.sh
node report/build.mjs --check
