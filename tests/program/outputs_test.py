# SPDX-License-Identifier: Apache-2.0
"""outputs_test.py GNOMON FAILING_WRITES: what a run leaves is read by the programs people read such files with."""
import collections
import csv
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys
import unittest
import xml.etree.ElementTree

from world import World, main

JOB = """[rw]
filename=/dev/nvme0n1
ioengine=libaio
direct=1
rw=randrw
bs=4k
iodepth=4
time_based
runtime=60ms
write_bw_log=rw
write_lat_log=rw
write_iops_log=rw
"""


def needs(program, package):
    return unittest.skipIf(shutil.which(program) is None, f"there is no {program} (Debian package {package})")


class Outputs(World):
    def setUp(self):
        super().setUp()
        (self.folder / "small.fio").write_text(JOB)
        code, _, err = self.run_program("run", "small.toml", "--out", "out", "--only", "second",
                                        "--trace", "perfetto,vcd,csv")
        self.assertEqual(code, 0, err)
        self.results = self.folder / "out" / "second"
        self.metrics = self.summary("out")["variants"][1]["metrics"]

    def shell(self, *command):
        done = subprocess.run(list(map(str, command)), cwd=self.results, capture_output=True, text=True, timeout=100)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    @needs("vcd2fst", "gtkwave")
    def test_vcd(self):
        self.shell("vcd2fst", "trace.vcd", "trace.fst")
        back = self.shell("fst2vcd", "trace.fst") if shutil.which("fst2vcd") else None
        self.assertGreater((self.results / "trace.fst").stat().st_size, 1000)
        if back is not None:  # signals and changes survive the way there and back
            text = (self.results / "trace.vcd").read_text()
            names = lambda vcd: sorted(re.findall(r"\$var wire (\d+) \S+ (\S+)", vcd))
            self.assertEqual(names(back), names(text))
            self.assertEqual(len(re.findall(r"^#\d+$", back, re.M)), len(re.findall(r"^#\d+$", text, re.M)))

    @needs("zstd", "zstd")
    def test_csv(self):
        packed = (self.results / "trace.csv.zst").read_bytes()
        rows = subprocess.run(["zstd", "-dc"], input=packed, capture_output=True, check=True).stdout.decode()
        counts, last, latency = collections.Counter(), 0, 0
        for row in csv.DictReader(io.StringIO(rows)):
            counts[row["event"]] += 1
            self.assertGreaterEqual(int(row["time_ps"]), last)
            last = int(row["time_ps"])
            self.assertNotIn(None, row, "a row with more fields than the header")
        self.assertEqual(counts["io_reaped"], self.metrics["io.completed_total"])
        self.assertEqual(counts["vm_exit"] > 0, self.metrics["exits.total"] > 0)
        self.assertEqual(counts["window_opened"], 1)

    @needs("zstd", "zstd")
    def test_picture_of_one_io(self):
        tool = pathlib.Path(__file__).resolve().parents[2] / "tools" / "timeline_picture.py"
        self.shell(sys.executable, tool, "trace.csv.zst", "timeline.svg")
        picture = xml.etree.ElementTree.parse(self.results / "timeline.svg").getroot()
        texts = [e.text or "" for e in picture.iter("{http://www.w3.org/2000/svg}text")]
        for row in ("activity", "VM exits", "DMA API", "media"):
            self.assertIn(row, texts)
        steps = [text for text in texts if text.startswith("1 submitted 0.00")]
        self.assertEqual(len(steps), 1)
        for step in ("dispatched", "fetched", "completion posted", "completed", "reaped"):
            self.assertIn(step, steps[0])

    @needs("fio_jsonplus_clat2csv", "fio")
    def test_json_plus(self):
        self.shell("fio_jsonplus_clat2csv", "fio-plus.json", "clat.csv")
        said = self.shell("fio_jsonplus_clat2csv", "--validate", "fio-plus.json", "clat.csv")
        self.assertIn("clat_job0.csv validated", said)
        plain, plus = (json.loads((self.results / name).read_text()) for name in ("fio.json", "fio-plus.json"))
        bins = plus["jobs"][0]["read"]["clat_ns"].pop("bins")
        self.assertEqual(sum(bins.values()), plus["jobs"][0]["read"]["clat_ns"]["N"])
        self.assertEqual(plus["jobs"][0]["read"]["clat_ns"], plain["jobs"][0]["read"]["clat_ns"])

    @needs("fio2gnuplot", "fio")
    def test_fio2gnuplot(self):
        for option, kind in (("--bandwidth", "bw"), ("--iops", "iops")):
            said = self.shell("fio2gnuplot", option, "-p", f"rw_{kind}.1.log")
            self.assertIn("1 files Selected", said)
            average = (self.results / f"rw_{kind}.1.average").read_text()
            self.assertGreater(float(average.split()[-1]), 0)

    @needs("fio_generate_plots", "fio")
    @needs("gnuplot", "gnuplot-nox")
    def test_fio_generate_plots(self):
        self.shell("fio_generate_plots", "run")
        for kind in ("lat", "slat", "clat", "bw", "iops"):
            picture = (self.results / f"run-{kind}.svg").read_text()
            self.assertIn("</svg>", picture)
            self.assertGreater(picture.count(" L") + picture.count("<use"), 10, f"nothing is drawn in {kind}")


if __name__ == "__main__":
    main()
