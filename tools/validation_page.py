#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/validation.md from runs of the scenarios: every published figure beside the simulated one.

    tools/validation_page.py PROGRAM [--check] [--picture FILE.svg]

PROGRAM is the gnomon binary. --check writes nothing and fails when the page is not what the runs say. The picture needs
Debian's python3-matplotlib; the page does not.
"""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "validation.md"
SCENARIOS = [
    "scenarios/virtio-iommu/randwrite-multi.toml",
    "scenarios/virtio-iommu/randrw-page.toml",
    "scenarios/virtio-iommu/ryzen-3900x.toml",
    "scenarios/vtd/first-level-iperf.toml",
    "scenarios/tegra/range-flush.toml",
    "scenarios/smmu/guest-queue.toml",
    "scenarios/smmu/contention.toml",
    "scenarios/s390/flush-queue.toml",
]
INTRODUCTION = """# Validation: published against simulated

Made by `tools/validation_page.py build/release/apps/gnomon/gnomon`; a test holds it to what the program computes. Every
figure is of seed 1. A row that misses its tolerance says so here. Which constants were fitted to which rows stands in
`platform/machines/*.toml` (`fitted_to`) and in the pages of the scenarios. In the virtio-iommu tables no constant belongs to
one row. Elsewhere a row that fixes a constant is an anchor, and tells nothing by being met: iperf's "lazy", SMMUv3's 4 KiB
rows of one thread, s390's "strict". The rows beside it are what is predicted.
"""


def run(program: str, scenario: str) -> dict:
    command = [program, "run", scenario, "--json", "--trace", "none", "--quiet", "--out", "out/validation"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return json.loads(done.stdout)


def figure(value: float, e: dict) -> str:
    """In the unit of the expectation's metric; a ratio has none."""
    metric = e["metric"]
    if e.get("relative_to"):
        return f"{value:.3f}"
    if metric.endswith("bw_bytes_per_s"):
        return f"{value / 2**30:.3f} GiB/s"
    if metric == "net.bits_per_s":
        return f"{value / 1e9:.2f} Gbit/s"
    if "_ns" in metric:
        for unit, step in (("ns", 1), ("us", 1e3), ("ms", 1e6)):
            if abs(value) < 1000 * step or unit == "ms":
                return f"{value / step:.4g} {unit}"
    return f"{value:.3f}" if value < 1e6 else f"{value:.6g}"


def allowed(e: dict) -> str:
    if e.get("tolerance") is not None:
        return f"± {figure(e['tolerance'], e)}"
    if e.get("tolerance_percent") is not None:
        return f"± {e['tolerance_percent']:g} %"
    low, high = e.get("min"), e.get("max")
    if low is None or high is None:
        return f"at {'least' if high is None else 'most'} {figure(high if low is None else low, e)}"
    return f"{figure(low, e)} to {figure(high, e)}"


def table(summary: dict) -> str:
    rows = ["| variant | metric | published | simulated | off by | allowed | holds |", "|---|---|---|---|---|---|---|"]
    plain = [e for e in summary["expectations"] if not e.get("order") and isinstance(e.get("simulated"), (int, float))]
    told = [e for e in plain if e.get("value") or (e.get("min") is not None and e.get("max") is not None) or not e["ok"]]
    for e in told:
        metric = e["metric"] + (f" / {e['relative_to']}" if e.get("relative_to") else "")
        value = e.get("value")
        published = figure(value, e) if value is not None else (e.get("source") or "").strip()
        off = f"{100 * (e['simulated'] / value - 1):+.1f} %" if value else ""
        holds = "yes" if e["ok"] else "**no**"
        rows.append(f"| {e['variant']} | {metric} | {published} | {figure(e['simulated'], e)} | {off} | {allowed(e)} | {holds} |")
    orders = [e for e in summary["expectations"] if e.get("order")]
    if orders:
        kept = sum(1 for e in orders if e["ok"])
        rows.append(f"\n{kept} of {len(orders)} orderings between groups of rows hold.")
    if len(plain) > len(told):
        rows.append(f"\n{len(plain) - len(told)} bounds, most of them of counts that must be zero, hold.")
    return "\n".join(rows)


def page(summaries: list) -> str:
    parts = [INTRODUCTION]
    for path, summary in summaries:
        parts.append(f"\n## {summary['title']}\n\n`{path}`\n\n{table(summary)}\n")
    return "".join(parts)


def picture(summaries: list, target: str) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "gnomon"
    from matplotlib import pyplot

    figure_, axes = pyplot.subplots(1, 2, figsize=(11, 4))
    labels = {"io.bw_bytes_per_s": "64 KiB random writes, 16 jobs:\nbandwidth relative to the host",
              "io.lat_ns.mean": "4 KiB random reads and writes:\nlatency relative to the host"}
    for axis, (_, summary) in zip(axes, summaries[:2]):
        rows = [e for e in summary["expectations"] if e.get("relative_to") and e.get("value") is not None]
        names = [e["variant"] for e in rows]
        at = range(len(rows))
        axis.barh([y + 0.2 for y in at], [e["value"] for e in rows], height=0.36, label="published", color="#9aa7b4")
        axis.barh([y - 0.2 for y in at], [e["simulated"] for e in rows], height=0.36, label="simulated", color="#2f6f9f")
        axis.set_yticks(list(at), names)
        axis.invert_yaxis()
        axis.set_title(labels[rows[0]["metric"]], fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[1].legend(loc="upper right", fontsize=8)
    figure_.tight_layout()
    figure_.savefig(target, metadata={"Date": None})


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("program")
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("--picture")
    options = arguments.parse_args()
    program = str(pathlib.Path(options.program).resolve())
    summaries = [(scenario, run(program, scenario)) for scenario in SCENARIOS]
    if options.picture:
        picture(summaries, options.picture)
    text = page(summaries)
    if options.check:
        if PAGE.read_text() == text:
            return 0
        print(f"{PAGE.relative_to(ROOT)} is not what the program computes: run tools/validation_page.py", file=sys.stderr)
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
