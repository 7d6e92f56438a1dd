#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cut_trace_excerpt.py ARCHIVES OUT: the excerpts under tests/data/traces, cut from the archives of whole recordings.

ARCHIVES is a folder of NAME.tar.zst, each with NAME/run.ftrace (the guest's trace), NAME/run.qtrace (QEMU's log) and
NAME/boot.ftrace of one run. An excerpt is a piece of consecutive lines; the header of an ftrace piece counts its own.
"""
import pathlib
import re
import subprocess
import sys

# archive, member, what the first line holds, lines, file
EXCERPTS = [
    ("T-61-intel_cm0-strict-w4k1", "run.ftrace", "nvme_setup_cmd", 48, "intel-6.1.ftrace"),
    ("T-61-intel_cm0-strict-w4k1", "run.qtrace", "vtd_inv_qi_tail", 68, "intel-6.1.qtrace"),
    ("T-612-intel_cm1-strict-rw4k128", "run.ftrace", "nvme_setup_cmd", 64, "intel-cm-6.12.ftrace"),
    ("T-612-intel_cm1-strict-rw4k128", "run.qtrace", "vtd_reg_write", 96, "intel-cm-6.12.qtrace"),
    ("T-612-intel_cm0-lazy-w4k1", "run.qtrace", "vtd_inv_desc_iotlb_domain", 40, "intel-lazy-6.12.qtrace"),
    ("T-612-amd-strict-w4k1", "run.qtrace", "amdvi_pages_inval", 90, "amd-6.12.qtrace"),
    ("T-612-amd-strict-w4k1", "run.ftrace", "nvme_setup_cmd", 40, "amd-6.12.ftrace"),
    ("T-612-virtio-lazy-w4k1", "run.qtrace", "virtio_queue_notify", 80, "virtio-lazy-6.12.qtrace"),
    ("T-612-virtio-lazy-w64k16", "run.ftrace", "dma_map_sg", 160, "virtio-lists-6.12.ftrace"),
    ("T-612-virtio-lazy-w64k16", "boot.ftrace", "add_device_to_group", 40, "virtio-boot-6.12.ftrace"),
    ("V-61v-virtio-strict-w4k1", "run.ftrace", "nvme_setup_cmd", 40, "virtio-6.1.ftrace"),
]
LEAD = 12  # lines before the first that is asked for, so that its mapping's runs are there
COUNT = re.compile(r"# entries-in-buffer/entries-written: \d+/\d+")


def cut(text, first, lines):
    head = [line for line in text if line.startswith("#")]
    body = [line for line in text if not line.startswith("#")]
    at = next(i for i, line in enumerate(body) if first in line)
    body = body[max(0, at - LEAD):][:lines]
    return [COUNT.sub(f"# entries-in-buffer/entries-written: {len(body)}/{len(body)}", line) for line in head] + body


def main():
    archives, out = map(pathlib.Path, sys.argv[1:3])
    for archive, member, first, lines, file in EXCERPTS:
        command = ["tar", "--zstd", "-xOf", archives / f"{archive}.tar.zst", f"{archive}/{member}"]
        text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        (out / file).write_text("\n".join(cut(text, first, lines)) + "\n")


if __name__ == "__main__":
    main()
