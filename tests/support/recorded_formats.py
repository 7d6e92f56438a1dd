#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""recorded_formats.py TRACE.csv.zst OUT UNIT KERNEL MEMORY_MIB [OPTION...]: a simulated guest as a recording of it.

Writes into OUT what ftrace would have told of the guest and QEMU's log of its vIOMMU, beside the command line and the
console: the inputs of `gnomon conform`. UNIT is virtio-iommu, intel-iommu or amd-iommu. Options:
  lazy              the devices' domains are DMA-FQ
  dma=DEVICE        with the events of the DMA API (Linux 6.12), which name the device
  marks             with probes of the flush queue's functions
  start=N           the recording begins with the N-th map
  domain=N          the device's domain in QEMU's log
  shift=SECONDS     all times are so much later
"""
import csv
import io
import pathlib
import subprocess
import sys

HEADER = """# tracer: nop
#
# entries-in-buffer/entries-written: {n}/{n}   #P:{cpus}
#
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
#              | |         |   |||||     |         |
"""
FLAGS = {"map": ".....", "unmap": "d.h1.", "dma_unmap_page": "d.h1.", "k_fqtimeout": "..s1.", "k_fqiotlb": "..s1."}


class Guest:
    def __init__(self, options):
        self.options, self.lines, self.cpus = options, [], 1

    def line(self, at, cpu, event, text):
        self.cpus = max(self.cpus, cpu + 1)
        task = f"fio-{190 + cpu}" if event in ("map", "dma_map_page", "dma_map_sg") else "<idle>-0"
        flags = FLAGS.get(event, ".....")
        self.lines.append((at, f"{task:>20} [{cpu:03}] {flags} {at // 10**12:5}.{at // 10**6 % 10**6:06}: {event}: {text}"))

    def map(self, runs):
        for run in runs:
            iova, size, physical = run["iova"], run["bytes"], run["gpa"]
            self.line(run["at"], run["cpu"], "map",
                      f"IOMMU: iova=0x{iova:016x} - 0x{iova + size:016x} paddr=0x{physical:016x} size={size}")

    def mapped(self, at, row, pieces):
        if "dma" not in self.options or not pieces:
            return
        readable, writable = pieces[0]["access"] & 1, pieces[0]["access"] & 2
        direction = "BIDIRECTIONAL" if readable and writable else "TO_DEVICE" if readable else "FROM_DEVICE"
        if len(pieces) > 1:
            ends = [(p["gpa"], p["bytes"]) for p in pieces]
            text = (f"nents={len(ends)}/{len(ends)} ents=1/1 dma_addrs={{0x{int(row['iova']):x}}} "
                    f"sizes={{0x{sum(size for _, size in ends):x}}} phys_addrs={{{','.join(f'0x{a:x}' for a, _ in ends)}}} attrs=")
            self.line(at, int(row["cpu"]), "dma_map_sg", f"{self.options['dma']} dir={direction} {text}")
        else:
            self.line(at, int(row["cpu"]), "dma_map_page",
                      f"{self.options['dma']} dir={direction} dma_addr={int(row['iova']):x} size={row['bytes']} "
                      f"phys_addr={pieces[0]['gpa']:x} attrs=")

    def unmap(self, at, row):
        iova, size = int(row["iova"]), int(row["bytes"])
        self.line(at, int(row["cpu"]), "unmap",
                  f"IOMMU: iova=0x{iova:016x} - 0x{iova + size:016x} size={size} unmapped_size={size}")
        if "dma" in self.options:
            self.line(at, int(row["cpu"]), "dma_unmap_page", f"{self.options['dma']} dir=BIDIRECTIONAL dma_addr={iova:x} size={size} attrs=")

    def timer(self, at, row):
        if "marks" in self.options:
            self.line(at, int(row["cpu"]), "k_fqtimeout", "(fq_flush_timeout+0x4/0x100)")

    def flush(self, at, row):
        if "marks" in self.options:
            self.line(at, int(row["cpu"]), "k_fqiotlb", "(fq_flush_iotlb+0x4/0x40)")

    def text(self):
        return HEADER.format(n=len(self.lines), cpus=self.cpus) + "".join(line + "\n" for _, line in self.lines)


class Unit:
    """Of QEMU's log: what was announced comes behind the notification."""

    def __init__(self, kind, options):
        self.kind, self.domain, self.lines, self.waiting, self.tail, self.waits = kind, int(options.get("domain", 2)), [], [], 0, 0

    def put(self, at, text):
        self.lines.append((at, f"28191@{1795213160 + at // 10**12}.{at // 10**6 % 10**6:06}:{text}"))

    def request(self, row, access):
        iova, size, kind = int(row["iova"]), int(row["bytes"]), row["type"]
        if kind not in ("map", "unmap", "invalidate", "wait"):
            return
        if self.kind == "virtio-iommu":
            span = f"domain={self.domain} virt_start=0x{iova:x} virt_end=0x{iova + size - 1:x}"
            self.waiting.append([f"virtio_iommu_{kind} {span}" + (f" phys_start=0x{int(row['gpa']):x} flags={access}" if kind == "map" else "")])
        elif self.kind == "intel-iommu":
            self.waiting.append(self.vtd(row, iova, size))
        elif kind == "invalidate":
            self.waiting.append([f"amdvi_pages_inval AMD-Vi pages for domain 0x{self.domain:x} invalidated"])
        else:
            self.waits += 1
            self.waiting.append([f"amdvi_completion_wait completion wait requested with store address 0x41e5000 and store data 0x{self.waits:x}"])

    def vtd(self, row, iova, size):
        if row["type"] == "wait":
            self.waits += 1
            return ["vtd_inv_desc invalidate desc type wait high 0x437c724 low 0x200000025",
                    "vtd_inv_desc_wait_sw wait invalidate status write addr 0x437c724 data 0x2"]
        whole = size == 2**64 - 1
        if whole:
            every = row["domain"] == str(2**32 - 1)
            low, high = (0xd2 if every else 0xe2), 0
            tells = "vtd_inv_desc_iotlb_global iotlb invalidate global" if every else f"vtd_inv_desc_iotlb_domain iotlb invalidate whole domain 0x{self.domain:x}"
        else:
            mask = (size // 4096 - 1).bit_length()
            low, high = 0xf2, iova | mask | (0x40 if row["flags"] == "1" else 0)
            tells = f"vtd_inv_desc_iotlb_pages iotlb invalidate domain 0x{self.domain:x} addr 0x{iova:x} mask 0x{mask:x}"
        return [f"vtd_inv_desc invalidate desc type iotlb high 0x{high:x} low 0x{low | self.domain << 16:x}", tells]

    def kick(self, at):
        if self.kind == "virtio-iommu":
            self.put(at, "virtio_queue_notify vdev 0x55993fe15600 n 0 vq 0x7f23fedd9010")
        elif self.kind == "intel-iommu":
            self.tail = (self.tail + len(self.waiting)) % 256
            self.put(at, f"vtd_inv_qi_tail write tail {self.tail}")
        else:
            head, self.tail = self.tail, (self.tail + 16 * len(self.waiting)) % 0x2000
            self.put(at, "amdvi_mmio_read AMDVI_MMIO_COMMAND_TAIL read addr 0x2008, size 4 offset 0x2008")
            self.put(at, f"amdvi_command_exec command buffer head at 0x{head:x} command buffer tail at 0x{self.tail:x} command buffer base at 0x41f4000")
        for lines in self.waiting:
            for line in lines:
                self.put(at, line)
        self.waiting = []


def rows_of(path):
    text = subprocess.run(["zstd", "-dc", path], check=True, stdout=subprocess.PIPE, text=True).stdout
    return csv.DictReader(io.StringIO(text))


def convert(path, kind, options):
    guest, unit = Guest(options), Unit(kind, options)
    begun = False  # before the first mapping the unit is told of the domain
    start, shift, seen, access = int(options.get("start", 0)), int(options.get("shift", 0)) * 10**12, 0, 0
    runs, unmapping = {}, {}  # by CPU: of the mapping under way; when an unmap began
    for row in rows_of(path):
        at, event = int(row["time_ps"]) + shift, row["event"]
        begun = begun or event == "mapping_added"
        if event == "mapping_added":
            access = int(row["readable"]) | int(row["writable"]) << 1
            here = runs.setdefault(row["cpu"], [])
            piece = {key: int(row[key]) for key in ("iova", "bytes", "gpa", "cpu")} | {"at": at, "access": access}
            if here and all(here[-1][key] + here[-1]["bytes"] == piece[key] for key in ("iova", "gpa")):
                here[-1]["bytes"] += piece["bytes"]  # the driver was called twice for one run
            else:
                here.append(piece)
        elif event == "map_returned":
            seen += 1
            mapped = runs.pop(row["cpu"], [])
            if seen > start:
                guest.map(mapped)
                guest.mapped(at, row, mapped)
        elif event == "guest_request":
            if begun and seen >= start:
                unit.request(row, access)
        elif not begun or seen < start:
            continue
        elif event == "mapping_removed":
            unmapping.setdefault(row["cpu"], at)
        elif event == "unmap_returned":
            guest.unmap(unmapping.pop(row["cpu"]), row)
        elif event == "guest_kick" and row["suppressed"] == "0":
            unit.kick(at)
        elif event == "flush_queue_flushed":
            began = int(row["began_ps"]) + shift
            if row["cause"] == "timer":
                guest.timer(began, row)
            guest.flush(began, row)
    guest.lines.sort(key=lambda line: line[0])
    return guest, unit


def main():
    path, out, kind, kernel, memory = sys.argv[1:6]
    options = dict((word + "=").split("=")[:2] for word in sys.argv[6:])
    guest, unit = convert(path, kind, options)
    folder = pathlib.Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    lazy = "lazy" in options
    (folder / "run.ftrace").write_text(guest.text())
    (folder / "run.qtrace").write_text("".join(line + "\n" for _, line in unit.lines))
    device = {"intel-iommu": f"intel-iommu,caching-mode={options.get('cm', 'off')},intremap=off", "virtio-iommu": "virtio-iommu-pci"}
    (folder / "cmd").write_text(
        f"qemu-system-x86_64 -M q35 -smp {options.get('cpus', guest.cpus)} -m {memory} -append 'iommu.passthrough=0 "
        f"iommu.strict={0 if lazy else 1}{' intel_iommu=on' if kind == 'intel-iommu' else ''}' -device {device.get(kind, kind)}\n")
    (folder / "console").write_text(f"@@INFO kernel={kernel} cmdline=\n@@GROUP 2 type=DMA{'-FQ' if lazy else ''} devs=0000:00:03.0\n")


if __name__ == "__main__":
    main()
