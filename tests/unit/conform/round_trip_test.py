#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""round_trip_test.py GNOMON: what the simulated guest did, written as ftrace and QEMU would have, conforms.

Of machines that were never recorded: other kernels, CPU counts, memory sizes, block sizes, several jobs and devices.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
ALL_SIZES = ", ".join(f'"{4 << shift}KiB"' for shift in range(9)) + ', "2MiB", "4MiB"'

# name, IOMMU, kernel, CPUs, MiB, lazy, block, jobs, depth, options of the conversion
CASES = [
    ("virtio-small", "virtio-iommu", "6.12", 1, 512, False, "4k", 1, 1, []),
    ("virtio-odd", "virtio-iommu", "6.12", 2, 3072, False, "20k", 2, 4, ["dma=0000:00:03.0"]),
    ("virtio-6.1", "virtio-iommu", "6.1", 2, 1024, False, "12k", 1, 8, []),
    ("virtio-6.7", "virtio-iommu", "6.7", 4, 2048, False, "128k", 4, 1, []),
    ("virtio-beyond-the-caches", "virtio-iommu", "6.12", 1, 1024, False, "1m", 1, 2, []),
    ("virtio-lazy", "virtio-iommu", "6.12", 1, 1024, True, "64k", 1, 16, ["marks"]),
    ("virtio-lazy-unmarked", "virtio-iommu", "6.12", 1, 1024, True, "64k", 1, 16, []),
    ("virtio-lazy-races", "virtio-iommu", "6.12", 2, 1024, True, "4k", 2, 16, ["marks", "dma=0000:00:03.0"]),
    ("intel-strict", "intel-iommu", "6.12", 2, 8192, False, "12k", 1, 4, ["cm=on"]),
    ("intel-6.1", "intel-iommu", "6.1", 1, 1024, False, "256k", 1, 4, ["cm=on"]),
    ("amd-odd", "amd-iommu", "6.12", 2, 1024, False, "20k", 1, 4, []),
    ("amd-6.1", "amd-iommu", "6.1", 1, 1024, False, "4k", 1, 1, []),
]


def write_scenario(folder, case):
    _, unit, kernel, cpus, memory, lazy, block, jobs, depth, _ = case
    sizes = f"page_sizes = [{ALL_SIZES}]\n" if unit == "virtio-iommu" else ""
    (folder / "s.toml").write_text(
        f'title = "round trip"\n[machine]\nprofile = "intel-desktop-2023"\n[guest]\nkernel = "{kernel}"\nvcpus = {cpus}\n'
        f'memory = "{memory}MiB"\ncmdline = "iommu.strict={0 if lazy else 1}"\n[iommu]\ndevice = "{unit}"\n{sizes}'
        f'[[device]]\nmodel = "nvme"\n[workload]\nfio = "a.fio"\nruntime = "{"40ms" if lazy else "4ms"}"\n')
    (folder / "a.fio").write_text(
        f"[j]\nioengine=libaio\ndirect=1\nrw=randrw\nbs={block}\niodepth={depth}\nnumjobs={jobs}\n"
        "filename=/dev/nvme0n1\nsize=1g\n")


def record(gnomon, folder, case, out, more=()):
    name, unit, kernel, cpus, memory, lazy, *_, options = case
    if not (folder / "o").exists():
        write_scenario(folder, case)
        subprocess.run([gnomon, "run", "s.toml", "--trace", "csv", "--out", "o", "--quiet"], cwd=folder, check=True)
    words = [f"cpus={cpus}"] + (["lazy"] if lazy else []) + list(options) + list(more)
    subprocess.run([ROOT / "tests/support/recorded_formats.py", folder / "o/default/trace.csv.zst", folder / out, unit, kernel,
                    str(memory), *words], check=True)
    return folder / out


def pack(folder):
    subprocess.run(["tar", "-cf", f"{folder}.tar", "-C", folder.parent, folder.name], check=True)
    return f"{folder}.tar"


def conform(gnomon, archive, code=0):
    done = subprocess.run([gnomon, "conform", archive], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != code:
        sys.exit(f"{archive}: exit {done.returncode}, not {code}\n{done.stdout}")
    return done.stdout


def lines_of(path):
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


def submissions(path, number):
    """QEMU's lines by notification or tail write."""
    groups = []
    for line in lines_of(path):
        if not groups or re.search("notify|qi_tail|COMMAND_TAIL", line):
            groups.append((float(re.search(r"@(\d+\.\d+):", line)[1]), number, []))
        groups[-1][2].append(line)
    return groups


def two_devices(first, second, out):
    """The guests of two recordings become one of two devices; the second's CPUs come behind the first's."""
    def moved(line):
        return re.sub(r"-(\d+)(\s+)\[00(\d)\]", lambda m: f"-{int(m[1]) + 100}{m[2]}[00{int(m[3]) + 4}]", line)
    guest = [(line, line) for line in lines_of(first / "run.ftrace")] + [(line, moved(line)) for line in lines_of(second / "run.ftrace")]
    guest.sort(key=lambda pair: float(re.search(r"\s(\d+\.\d+): ", pair[0])[1]))
    unit = sorted(submissions(first / "run.qtrace", 0) + submissions(second / "run.qtrace", 1), key=lambda group: group[:2])
    out.mkdir()
    (out / "run.ftrace").write_text("# tracer: nop\n" + "".join(line + "\n" for _, line in guest))
    (out / "run.qtrace").write_text("".join(line + "\n" for group in unit for line in group[2]))
    for name in ("cmd", "console"):
        (out / name).write_text((first / name).read_text())
    return out


def main():
    gnomon = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as world:
        folders = {}
        for case in CASES:
            folders[case[0]] = pathlib.Path(world) / case[0]
            folders[case[0]].mkdir()
            out = conform(gnomon, pack(record(gnomon, folders[case[0]], case, "t")))
            if "IOVAs: all" not in out or "commands: all" not in out:
                sys.exit(f"{case[0]}: not everything was compared\n{out}")
        by_name = {case[0]: case for case in CASES}

        def part(name, device, domain):
            return record(gnomon, folders[name], by_name[name], f"d{domain}", [f"dma={device}", f"domain={domain}"])

        # Two devices: domains of a virtio-iommu tell them apart, and so do names for a unit that tells no addresses.
        merged = two_devices(part("virtio-odd", "0000:00:03.0", 2), part("virtio-small", "0000:00:04.0", 3), pathlib.Path(world) / "two")
        out = conform(gnomon, pack(merged))
        if "2 of 2 traces conform" not in out:
            sys.exit(out)
        merged = two_devices(part("intel-strict", "0000:00:03.0", 2), part("intel-6.1", "0000:00:04.0", 3), pathlib.Path(world) / "vtd")
        out = conform(gnomon, pack(merged), 1)  # of one kernel only is it: the other's commands differ
        if "1 of 2 traces conform" not in out:
            sys.exit(out)
        # A request that is missing from the log is found.
        log = folders["virtio-small"] / "t" / "run.qtrace"
        lines = log.read_text().splitlines()
        gone = next(i for i, line in enumerate(lines) if "virtio_iommu_unmap" in line)
        log.write_text("".join(line + "\n" for i, line in enumerate(lines) if i != gone))
        if "DOES NOT CONFORM" not in conform(gnomon, pack(folders["virtio-small"] / "t"), 1):
            sys.exit("a missing request was not found")


if __name__ == "__main__":
    main()
