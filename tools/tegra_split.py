#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the published times of a Tegra SMMU's range flush say of the costs behind them, and what they leave open.

    tools/tegra_split.py PROGRAM [--write | --check]

PROGRAM is the gnomon binary. It simulates scenarios/tegra/range-flush.toml once as it stands and once for each constant,
changed by one microsecond: a row's time is a sum of constants, each times a whole number, so that this gives every
number exactly. A linear program over the rows' tolerances then finds the least and the largest share each part can have
of what the range flush gains. --write puts the table into docs/tegra-range-flush.md and the extremes into
scenarios/tegra/what-the-rows-fix.toml, which `gnomon check` holds against the rows; --check fails where they differ.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import tomllib
from fractions import Fraction

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCENARIO = ROOT / "scenarios" / "tegra" / "range-flush.toml"
EXTREMES = ROOT / "scenarios" / "tegra" / "what-the-rows-fix.toml"
PAGE = ROOT / "docs" / "tegra-range-flush.md"
BEGIN, END = "<!-- tools/tegra_split.py -->\n", "<!-- end -->\n"
# Free to be anything from 0 on. table_page, table_free and entry_store stay as the machine has them: a thousandth of any
# row, and 10 ns beside page's and iommu_call's.
CONSTANTS = {
    "call": "software.iommu_call",
    "page": "tegra_smmu.page",
    "element": "software.scatter_element",
    "clean": "tegra_smmu.clean_line",
    "barrier": "tegra_smmu.barrier",
    "write": "tegra_smmu.register_write",
    "read": "tegra_smmu.register_read",
}
PARTS = {
    "register writes: TLB, page-table cache": ["write"],
    "read backs that wait for them": ["read"],
    "cleaning of CPU cache lines": ["clean"],
    "barriers that wait for it": ["barrier"],
    "TLB maintenance: writes and read backs": ["write", "read"],
    "DMA sync: cleaning and barriers": ["clean", "barrier"],
}
GAINS = {"map, 128K": "map 128k", "map, 4M": "map 4m", "unmap, 128K": "unmap 128k", "unmap, 4M": "unmap 4m"}


def run(program, settings):
    """Nanoseconds by (map or unmap, variant), and the constants' values."""
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "run", str(SCENARIO), "--out", folder, "--quiet", "--set", 'study="sensitivity"']
        for key, ns in settings.items():
            command += ["--set", f'machine.{key}="{ns}ns"']
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        with open(pathlib.Path(folder) / "summary.json", encoding="utf-8") as file:
            summary = json.load(file)
    times = {}
    for variant in summary["variants"]:
        for what in ("map", "unmap"):
            times[what, variant["name"]] = Fraction(str(variant["metrics"][f"api.{what}_ns.mean"]))
    return times


def machine_values():
    with open(ROOT / "platform" / "machines" / "tegra210.toml", "rb") as file:
        machine = tomllib.load(file)
    values = {}
    for name, key in CONSTANTS.items():
        table, entry = key.split(".")
        text = machine[table][entry]["value"]
        values[name] = int(text.removesuffix("ns"))
    return values


def bounds():
    """(map or unmap, variant): least and most ns, as the scenario expects them."""
    with open(SCENARIO, "rb") as file:
        scenario = tomllib.load(file)
    rows = {}
    for e in scenario["expect"]:
        if e["metric"] not in ("api.map_ns.mean", "api.unmap_ns.mean"):
            continue
        if "value" in e:
            value, part = Fraction(str(e["value"])), Fraction(e["tolerance_percent"], 100)
            low, high = value * (1 - part), value * (1 + part)
        else:
            low, high = Fraction(e["min"]), Fraction(e["max"])
        rows[e["metric"].removeprefix("api.").removesuffix("_ns.mean"), e["variant"]] = (low, high)
    return rows


def simplex(rows, right, goal):
    """Maximises goal x under rows x <= right, x >= 0, exactly; None where that has no solution. Bland's rule."""
    m, n = len(rows), len(goal)
    table = [list(map(Fraction, row)) + [Fraction(i == j) for j in range(m)] + [Fraction(-1), Fraction(b)]
             for i, (row, b) in enumerate(zip(rows, right))]
    basis = list(range(n, n + m))
    artificial = n + m

    def pivot(r, c):
        table[r] = [v / table[r][c] for v in table[r]]
        for i, row in enumerate(table):
            if i != r and row[c] != 0:
                factor = row[c]
                table[i] = [a - factor * b for a, b in zip(row, table[r])]
        basis[r] = c

    def maximise(objective, allowed):
        while True:
            reduced = list(objective)
            for r, b in enumerate(basis):
                if objective[b] != 0:
                    reduced = [a - objective[b] * v for a, v in zip(reduced, table[r])]
            entering = next((j for j in range(allowed) if reduced[j] > 0), None)
            if entering is None:
                return sum(objective[b] * table[r][-1] for r, b in enumerate(basis))
            ratios = [(table[r][-1] / table[r][entering], basis[r], r) for r in range(m) if table[r][entering] > 0]
            if not ratios:
                sys.exit("the linear program has no bound")
            pivot(min(ratios)[2], entering)

    if min(row[-1] for row in table) < 0:
        pivot(min(range(m), key=lambda r: table[r][-1]), artificial)
        if maximise([Fraction(0)] * artificial + [Fraction(-1), Fraction(0)], artificial + 1) != 0:
            return None
        if artificial in basis:
            r = basis.index(artificial)
            pivot(r, next(j for j in range(artificial) if table[r][j] != 0))
    for row in table:
        row[artificial] = Fraction(0)
    best = maximise([Fraction(v) for v in goal] + [Fraction(0)] * (m + 2), artificial)
    x = [Fraction(0)] * n
    for r, b in enumerate(basis):
        if b < n:
            x[b] = table[r][-1]
    return best, x


def extreme(model, gain, parts, sign):
    """The share of `parts` in the gain, least (-1) or largest (+1), and the constants that have it. By Charnes and
    Cooper: the constants are scaled so that the gain is 1, and the scale is one more variable."""
    names = list(CONSTANTS)
    rows, right = [], []
    for row, (low, high) in model["bounds"].items():
        fixed, numbers = model["fixed"][row], [model["numbers"][row][n] for n in names]
        rows.append(numbers + [fixed - high])
        rows.append([-v for v in numbers] + [low - fixed])
        right += [0, 0]
    what, size = gain.split()
    before, after = (what, f"before-{size}"), (what, f"after-{size}")
    spared = [model["numbers"][before][n] - model["numbers"][after][n] for n in names]
    rows += [spared + [0], [-v for v in spared] + [0]]
    right += [1, -1]
    goal = [sign * v if n in parts else 0 for n, v in zip(names, spared)] + [0]
    found = simplex(rows, right, goal)
    if found is None:
        sys.exit("no constants fit the rows")
    best, x = found
    return sign * best, {n: x[i] / x[-1] for i, n in enumerate(names)}


def make_model(program):
    values, rows = machine_values(), bounds()
    base = run(program, {})
    model = {"bounds": rows, "numbers": {row: {} for row in rows}, "fixed": dict(base)}
    for name, key in CONSTANTS.items():
        changed = run(program, {key: values[name] + 1000})
        for row in rows:
            number = (changed[row] - base[row]) / 1000
            if number.denominator != 1:
                sys.exit(f"{row}: {number} times {name} is no whole number")
            model["numbers"][row][name] = number
            model["fixed"][row] -= number * values[name]
    model["fixed"] = {row: model["fixed"][row] for row in rows}
    # A little inside, so that the rows hold for constants rounded to nanoseconds too.
    model["bounds"] = {row: (low + (high - low) / 40, high - (high - low) / 40) for row, (low, high) in rows.items()}
    return model


def percent(share):
    return f"{float(share * 100):.0f} %"


def table(model):
    values = machine_values()
    text = "| part of the gain | " + " | ".join(GAINS) + " |\n|---|" + "---|" * len(GAINS) + "\n"
    for name, parts in PARTS.items():
        cells = []
        for gain in GAINS.values():
            low, high = (extreme(model, gain, parts, sign)[0] for sign in (-1, 1))
            what, size = gain.split()
            before, after = model["numbers"][what, f"before-{size}"], model["numbers"][what, f"after-{size}"]
            spared = {n: (before[n] - after[n]) * values[n] for n in CONSTANTS}
            ours = sum(spared[n] for n in parts) / sum(spared.values())
            cells.append(f"{percent(low)} to {percent(high)} ({percent(ours)})")
        text += f"| {name} | " + " | ".join(cells) + " |\n"
    return text


SETS = {
    "writes": ("register writes have the largest share", ["write"]),
    "read-backs": ("read backs have the largest share", ["read"]),
    "cleaning": ("cleaning has the largest share", ["clean"]),
    "barriers": ("barriers have the largest share", ["barrier"]),
}


def scenario(model):
    source = SCENARIO.read_text(encoding="utf-8")
    head, expectations = source.split("[matrix]\n")[0], source[source.index("[[expect]]"):]
    head = head.replace('title  = "Tegra SMMU: entry by entry, or one flush a call"',
                        'title  = "Tegra SMMU: costs as far apart as the published times allow"\nstudy  = "sensitivity"')
    matrix = source[source.index("[matrix]\n"):]
    matrix = matrix[:matrix.index("]\n\n") + 3]
    sets = ""
    for name, (why, parts) in SETS.items():
        constants = extreme(model, "unmap 4m", parts, 1)[1]
        keys = ", ".join(f'"machine.{key}" = "{round(constants[n])}ns"' for n, key in CONSTANTS.items())
        sets += f'  {{ name = "{name}", set = {{ {keys} }} }},  # {why}\n'
    matrix = matrix.replace("[matrix]\n", f"[matrix]\ncosts = [\n{sets}]\n")
    note = ("# Made by tools/tegra_split.py: four sets of constants that could hardly differ more, and every row of\n"
            "# range-flush.toml holds with each. What a flush's time is spent on cannot be read from those rows.\n\n")
    rows = expectations.split("# Whole tables leave")[0]
    rows = rows.replace('variant           = "', 'variant           = "*-').replace('variant = "', 'variant = "*-')
    return head + note + matrix + rows.rstrip() + "\n"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("program")
    arguments.add_argument("--write", action="store_true")
    arguments.add_argument("--check", action="store_true")
    given = arguments.parse_args()
    model = make_model(given.program)
    made = table(model)
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else BEGIN + END
    before, rest = page.split(BEGIN)
    wanted = {PAGE: before + BEGIN + made + END + rest.split(END)[1], EXTREMES: scenario(model)}
    if given.write:
        for path, text in wanted.items():
            path.write_text(text, encoding="utf-8")
    print(made, end="")
    if given.check:
        stale = [str(p.relative_to(ROOT)) for p, t in wanted.items() if not p.exists() or p.read_text("utf-8") != t]
        if stale:
            sys.exit(f"not what the program computes: {', '.join(stale)}; tools/tegra_split.py {given.program} --write")


if __name__ == "__main__":
    main()
