#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""page_code.py PAGE OUT: writes the code of a page of docs/ as the files it belongs to, below OUT.

A code block whose line before is
  <!-- file: PATH -->              is that file;
  <!-- in: PATH, after: LINE -->   is put into the repository's PATH behind its line LINE, which must be there once.
Fails where a page and the repository no longer fit. Run in the root of the repository.
"""
import pathlib
import re
import sys

BLOCK = re.compile(r"^<!-- (file|in): ([^,\n]+?)(?:, after: ([^\n]+))? -->\n```cpp\n(.*?)^```$", re.M | re.S)


def main(page, out):
    files = {}
    for kind, path, after, code in BLOCK.findall(pathlib.Path(page).read_text()):
        if kind == "file":
            if path in files or pathlib.Path(path).exists():
                sys.exit(f"{page}: {path} is there already")
            files[path] = code
            continue
        text = files.get(path) or pathlib.Path(path).read_text()
        found = [line for line in text.splitlines() if line.strip() == after.strip()]
        if len(found) != 1:
            sys.exit(f"{page}: {path} has {len(found)} lines '{after}', not one")
        files[path] = text.replace(found[0] + "\n", found[0] + "\n" + code, 1)
    if not files:
        sys.exit(f"{page}: no code")
    for path, text in files.items():
        target = pathlib.Path(out) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_text() != text:
            target.write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
