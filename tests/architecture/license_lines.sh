#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# license_lines.sh ROOT: every source names its licence in its first lines. Prints those that do not; exit 1 if any.
set -euo pipefail
cd -- "$1"
found=0
files=$(find . \( -path ./build -o -path ./out -o -path ./.git -o -path ./.cache -o -path ./report/node_modules \) -prune -o -type f \
  \( -name '*.[ch]pp' -o -name '*.proto' -o -name '*.cmake' -o -name CMakeLists.txt -o -name '*.sh' \
  -o -name '*.awk' -o -name '*.py' -o -path ./gnomon -o -path ./.ci/run -o -path './platform/machines/*.toml' \
  -o -path './guest/kernels/*.toml' \) -print | sort)
while IFS= read -r file; do
  if ! head -n 3 -- "$file" | grep -q 'SPDX-License-Identifier: Apache-2\.0'; then
    printf '%s: no SPDX-License-Identifier in its first lines\n' "$file"
    found=1
  fi
done <<<"$files"
exit "$found"
