#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cut_conformance_excerpt.py ARCHIVES OUT: the archives under tests/data/conformance, from those of whole recordings.

Each keeps the first operations of its recording: of the guest's trace all lines up to there, of QEMU's log the lines
about the vIOMMU that go with them, and what tells kernel and command line. A lazy one ends with a timer's flush, so
that nothing is left in the queue.
"""
import io
import pathlib
import re
import subprocess
import sys
import tarfile

# archive, least operations
EXCERPTS = [
    ("T-61-intel_cm0-strict-w4k1", 80),
    ("T-612-intel_cm0-lazy-rw4k128", 400),
    ("T-612-intel_cm1-strict-rw4k128", 300),
    ("T-612-amd-strict-rw4k128", 300),
    ("T-612-virtio-strict-rw4k128", 400),
    ("T-612-virtio-lazy-w64k16", 600),
    ("V-61v-virtio-strict-w4k1", 80),
]
EVENT = re.compile(r"\d+\.\d+: (\w+): ")
COUNT = re.compile(r"# entries-in-buffer/entries-written: \d+/\d+")
VIOMMU = re.compile(r":(virtio_queue_notify|virtio_iommu_(un)?map|vtd_inv_|vtd_reg_write|amdvi_(pages_inval|completion_wait|mmio_))")


def read(archives, name, member):
    command = ["tar", "--zstd", "-xOf", archives / f"{name}.tar.zst", f"{name}/{member}"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


def cut_guest(text, least, lazy):
    """The first lines, and how many runs were mapped and mappings unmapped in them, and of how many bytes."""
    head = [line for line in text if line.startswith("#")]
    body, counts = [], {"map": 0, "unmap": 0, "map bytes": 0, "unmap bytes": 0}
    ends = False
    for line in (line for line in text if not line.startswith("#")):
        event = EVENT.search(line)
        kind = event.group(1) if event else ""
        if ends and kind in ("map", "nvme_setup_cmd", "k_viommuadd", "unmap"):
            break
        body.append(line)
        if kind in counts:
            counts[kind] += 1
            counts[f"{kind} bytes"] += int(re.search(r" size=(\d+)", line).group(1))
        enough = counts["map"] + counts["unmap"] >= least
        ends = ends or (enough and (kind == "k_fqtimeout" if lazy else kind == "dma_map_page" or kind == "nvme_complete_rq"))
    head = [COUNT.sub(f"# entries-in-buffer/entries-written: {len(body)}/{len(body)}", line) for line in head]
    return head + body, counts


def cut_qemu(text, name, counts):
    wanted = {"virtio_iommu_map": counts["map bytes"], "virtio_iommu_unmap": counts["unmap bytes"]}
    if "intel_cm0-strict" in name:
        wanted = {"vtd_inv_desc": counts["unmap"]}
    elif "intel_cm1" in name:
        wanted = {"vtd_inv_desc": counts["map"] + counts["unmap"]}
    elif "intel" in name:
        wanted = {"vtd_inv_desc": counts["flush"]}
    elif "amd" in name:
        wanted = {"amdvi_pages_inval": counts["map"] + counts["unmap"]}
    out = []
    for line in text:
        if not VIOMMU.search(line):
            continue
        request = re.search(r":(virtio_iommu_map|virtio_iommu_unmap|vtd_inv_desc|amdvi_pages_inval) ", line)
        if request and "type wait" not in line:
            if wanted[request.group(1)] == 0:
                break
            span = re.search(r"virt_start=0x(\w+) virt_end=0x(\w+)", line)
            wanted[request.group(1)] -= int(span[2], 16) - int(span[1], 16) + 1 if span else 1
        starts = "notify" in line or "vtd_inv_qi_tail" in line or "vtd_reg_write" in line or "amdvi_mmio" in line
        if starts and not any(wanted.values()) and "amd" not in name:
            break
        out.append(line)
    while "amd" in name and "completion_wait" not in out[-1]:
        out.pop()
    return out


def main():
    archives, out = map(pathlib.Path, sys.argv[1:3])
    out.mkdir(parents=True, exist_ok=True)
    for name, least in EXCERPTS:
        guest, counts = cut_guest(read(archives, name, "run.ftrace"), least, "lazy" in name)
        counts["flush"] = sum(" qi_submit: " in line for line in guest)
        qemu = cut_qemu(read(archives, name, "run.qtrace"), name, counts)
        console = [line for line in read(archives, name, "console") if line.startswith(("@@INFO", "@@GROUP"))]
        members = {"cmd": read(archives, name, "cmd"), "console": console, "run.ftrace": guest, "run.qtrace": qemu}
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for member, lines in members.items():
                data = ("\n".join(lines) + "\n").encode()
                about = tarfile.TarInfo(f"{name}/{member}")
                about.size = len(data)
                archive.addfile(about, io.BytesIO(data))
        packed = subprocess.run(["zstd", "-19", "-c"], input=tar.getvalue(), check=True, stdout=subprocess.PIPE).stdout
        (out / f"{name}.tar.zst").write_bytes(packed)


if __name__ == "__main__":
    main()
