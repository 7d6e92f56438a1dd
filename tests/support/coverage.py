# SPDX-License-Identifier: Apache-2.0
"""coverage.py BUILD [LEAST]: line coverage of the pure code of models, guest and platform, by folder and in all, as
gcovr finds it in BUILD. Exit 1 below LEAST percent (95). Pure is what never sees SystemC, itself or through an include."""
import collections
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("models", "guest", "platform")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def shells():
    """Every file that includes SystemC's headers, by whatever way."""
    includes = {}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.[ch]pp"):
            includes[str(path.relative_to(ROOT))] = INCLUDE.findall(path.read_text())
    found = {file for file, all_of in includes.items()
             if any(kind == "<" and re.match(r"systemc|tlm", name) for kind, name in all_of)}
    while more := {file for file, all_of in includes.items()
                   if file not in found and any(kind == '"' and name in found for kind, name in all_of)}:
        found |= more
    return found


def lines_of(build):
    """(file, covered, all) of what was compiled."""
    command = ["gcovr", "--root", str(ROOT), "--object-directory", build, "--json-summary", "-",
               "--gcov-ignore-parse-errors"]  # branches that forked processes counted below zero; lines are not
    for folder in FOLDERS:
        command += ["--filter", f"{ROOT}/{folder}/"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"gcovr: {done.stderr.strip()}")
    return [(f["filename"], f["line_covered"], f["line_total"]) for f in json.loads(done.stdout)["files"]]


def percent(covered, whole):
    return 100.0 * covered / whole if whole else 100.0


def main():
    build, least = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 95.0
    impure = shells()
    pure = [entry for entry in lines_of(build) if entry[0] not in impure]
    folders = collections.defaultdict(lambda: [0, 0])
    for name, covered, whole in pure:
        folder = folders[str(pathlib.PurePath(name).parent)]
        folder[0] += covered
        folder[1] += whole
    print(f"{'pure code, lines':<32} {'covered':>8} {'of':>7} {'%':>6}")
    for name, (covered, whole) in sorted(folders.items()):
        print(f"{name:<32} {covered:>8} {whole:>7} {percent(covered, whole):>6.1f}")
    covered, whole = sum(c for _, c, _ in pure), sum(w for _, _, w in pure)
    print(f"{'all':<32} {covered:>8} {whole:>7} {percent(covered, whole):>6.1f}")
    missing = sorted(((w - c, n) for n, c, w in pure if w > c), reverse=True)
    print("most lines missing: " + ", ".join(f"{name} {count}" for count, name in missing[:12]))
    if not whole or percent(covered, whole) < least:
        print(f"below {least:g} %")
        sys.exit(1)


if __name__ == "__main__":
    main()
