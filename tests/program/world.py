# SPDX-License-Identifier: Apache-2.0
"""A scratch folder with a small scenario in it, and the program run there. Standard library only."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
FAILING_WRITES = str(pathlib.Path(sys.argv[2]).resolve())

JOB = """[write]
filename=/dev/nvme0n1
ioengine=libaio
direct=1
rw=randwrite
bs=4k
iodepth=4
time_based
runtime={runtime}
"""

SCENARIO = """title = "two variants of a small guest"
[machine]
profile = "intel-desktop-2023"
[guest]
vcpus  = 2
memory = "1GiB"
kernel = "6.12"
[iommu]
device = "virtio-iommu"
[workload]
fio = "small.fio"
[[variant]]
name = "first"
set  = { "guest.cmdline" = "iommu.strict=1" }
[[variant]]
name = "second"
set  = { "guest.cmdline" = "iommu.strict=0" }
"""


# In memory where there is such a place: results are synced to the disk, file by file, and these tests write many.
SCRATCH = next((p for p in (os.environ.get("TMPDIR"), "/dev/shm") if p and os.access(p, os.W_OK)), None)


class World(unittest.TestCase):
    def setUp(self):
        # Resolved: what the program prints and /proc shows has no symbolic links in it.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gnomon-", dir=SCRATCH)).resolve()
        self.addCleanup(shutil.rmtree, self.folder)
        self.scenario("small", "1ms")

    def scenario(self, name, runtime, text=SCENARIO):
        """NAME.toml and NAME.fio, whose job runs for RUNTIME, as fio writes it."""
        (self.folder / f"{name}.fio").write_text(JOB.format(runtime=runtime))
        (self.folder / f"{name}.toml").write_text(text.replace("small.fio", f"{name}.fio"))

    def start(self, *arguments, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([PROGRAM, *map(str, arguments)], cwd=self.folder, start_new_session=True,
                                text=True, **options)

    def run_program(self, *arguments, timeout=60, **options):
        """(exit code, standard output, standard error)"""
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=timeout)
        return process.returncode, out, err

    def entries(self):
        return sorted(p.name for p in self.folder.iterdir())

    def temporaries(self):
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*")
                      if p.name.startswith(".gnomon-") or p.name.endswith((".tmp", ".part")))

    def files(self, out="out"):
        """Of a result folder: every file but its time stamps; None where there is no folder."""
        root = self.folder / out
        return sorted(str(p.relative_to(root)) for p in root.rglob("*")) if root.is_dir() else None

    def summary(self, out="out"):
        return json.loads((self.folder / out / "summary.json").read_text())

    def statuses(self, out="out"):
        return {v["name"]: v["status"] for v in self.summary(out)["variants"]}

    def children_of(self, process, count):
        """The ids of its `count` children, in the order of their birth, once they are there."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and process.poll() is None:
            children = []
            for each in pathlib.Path("/proc").glob("[0-9]*"):
                try:
                    fields = (each / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[1]) == process.pid:
                    children.append((int(fields[19]), int(each.name)))
            if len(children) >= count:
                return [pid for _, pid in sorted(children)]
            time.sleep(0.005)
        self.fail("the variants' processes did not start")

    def assert_session_empty(self, session):
        """Nobody of the session lives, zombies apart; children follow their parent within moments."""
        deadline = time.monotonic() + 5
        while True:
            alive = []
            for each in pathlib.Path("/proc").glob("[0-9]*"):
                try:
                    fields = (each / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[3]) == session and fields[0] not in "ZX":
                    alive.append(each.name)
            if not alive:
                return
            if time.monotonic() > deadline:
                self.fail(f"processes that outlive the program: {alive}")
            time.sleep(0.01)


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=1)
