#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Draws one I/O of a run's event trace as a picture, its neighbourhood beside it.

    tools/timeline_picture.py TRACE.csv.zst OUT.svg [--io N]

A row each for what a vCPU does, its exits, the locks, the IOMMU's invalidations, the device's queue and media, in the time
from the I/O's submission until it is reaped; the steps of the I/O are numbered. Needs zstd.
"""

import argparse
import csv
import io
import subprocess
from xml.sax.saxutils import escape

WIDTH, LEFT, ROW, TOP = 1000, 150, 34, 40
COLOURS = {"task": "#7aa6d6", "interrupt": "#d9a441", "softirq": "#e0c27a", "idle": "#e8e8e8", "exit": "#c8553d",
           "lock": "#8b6fb5", "map": "#3f8f6b", "unmap": "#3f8f6b", "media": "#4f7f52", "wait": "#b0413e"}
ROWS = ["I/O", "activity", "VM exits", "DMA API", "locks", "invalidation queue", "media"]


def rows_of(path):
    text = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True, text=True).stdout
    return list(csv.DictReader(io.StringIO(text)))


def spans(events, began, ended):
    """(row, from, to, colour, title) of what falls into the time."""
    for e in events:
        now, kind = int(e["time_ps"]), e["event"]
        if kind == "cpu_span":
            yield "activity", int(e["began_ps"]), now, COLOURS.get(e["activity"], "#999"), e["activity"]
        elif kind == "vm_exit":
            yield "VM exits", int(e["began_ps"]), now, COLOURS["exit"], e["reason"]
        elif kind in ("map_returned", "unmap_returned"):
            yield "DMA API", now - int(e["took_ps"]), now, COLOURS["map"], kind.split("_")[0]
        elif kind == "lock_released":
            yield "locks", now - int(e["held_ps"]), now, COLOURS["lock"], f"lock {e['lock']} held"
        elif kind == "invalidation_wait_done":
            yield "invalidation queue", int(e["submitted_ps"]), now, COLOURS["wait"], "wait descriptor"
        elif kind == "media_busy":
            yield "media", int(e["began_ps"]), int(e["ends_ps"]), COLOURS["media"], f"command {e['command']}"


def steps(events, number):
    """(time, word) of the I/O itself."""
    command = None
    for e in events:
        now, kind = int(e["time_ps"]), e["event"]
        if e.get("io") == number and kind.startswith("io_"):
            yield now, kind.removeprefix("io_")
            if kind == "io_dispatched":
                command = (e["device"], e["queue"], e["command"])
            if kind == "io_completed":
                command = None
        elif command and (e["device"], e["queue"], e["command"]) == command and kind in ("command_fetched",
                                                                                         "command_completed"):
            yield now, kind.replace("command_completed", "completion posted").replace("command_fetched", "fetched")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trace")
    parser.add_argument("picture")
    parser.add_argument("--io", default=None)
    arguments = parser.parse_args()
    events = rows_of(arguments.trace)
    reaped = {e["io"] for e in events if e["event"] == "io_reaped"}
    number = arguments.io or sorted(reaped, key=int)[len(reaped) // 2]
    path = list(steps(events, number))
    began, ended = path[0][0], path[-1][0]
    scale = (WIDTH - LEFT - 20) / (ended - began)
    x = lambda ps: LEFT + (min(max(ps, began), ended) - began) * scale
    height = TOP + ROW * len(ROWS) + 60
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
           f'<text x="12" y="20" font-size="14">I/O {escape(number)}: {(ended - began) / 1e6:.2f} µs</text>']
    for i, row in enumerate(ROWS):
        y = TOP + i * ROW
        out.append(f'<text x="{LEFT - 10}" y="{y + 20}" text-anchor="end">{escape(row)}</text>')
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y + ROW - 4}" y2="{y + ROW - 4}" stroke="#ddd"/>')
    for row, start, end, colour, title in spans(events, began, ended):
        if end <= began or start >= ended:
            continue
        y = TOP + ROWS.index(row) * ROW + 4
        wide = max(x(end) - x(start), 0.5)
        out.append(f'<rect x="{x(start):.2f}" y="{y}" width="{wide:.2f}" height="{ROW - 10}" fill="{colour}">'
                   f'<title>{escape(title)}: {(end - start) / 1e6:.3f} µs</title></rect>')
        if wide > 8 * len(title) and row != "media":  # those overlap
            out.append(f'<text x="{x(start) + 4:.2f}" y="{y + 16}" fill="#fff" font-size="10">{escape(title)}</text>')
    foot = TOP + ROW * len(ROWS)
    for i, (at, word) in enumerate(path, 1):
        out.append(f'<line x1="{x(at):.2f}" x2="{x(at):.2f}" y1="{TOP}" y2="{foot}" stroke="#222" stroke-dasharray="2 3"/>')
        out.append(f'<circle cx="{x(at):.2f}" cy="{TOP + 12}" r="8" fill="#222"/>'
                   f'<text x="{x(at):.2f}" y="{TOP + 16}" fill="#fff" text-anchor="middle" font-size="10">{i}</text>')
    words = "   ".join(f"{i} {word} {(at - began) / 1e6:.2f}" for i, (at, word) in enumerate(path, 1))
    out.append(f'<text x="12" y="{foot + 30}" font-size="11">{escape(words)} µs</text>')
    out.append(f'<text x="12" y="{foot + 48}" font-size="11" fill="#666">{escape("red: VM exits; purple: locks held; green: map, unmap, media; grey: idle")}</text></svg>')
    with open(arguments.picture, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
