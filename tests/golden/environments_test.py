# SPDX-License-Identifier: Apache-2.0
"""environments_test.py GNOMON [--update]: the trace hashes of the shipped scenarios, shortened, are those of
scenario_hashes.txt, and nothing about the process, its folder or its environment changes a byte of the results."""
import ctypes
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
HASHES = pathlib.Path(__file__).with_name("scenario_hashes.txt")
SHORT_FIO = ("--set", "workload.runtime=12ms", "--set", "workload.ramp_time=1ms")
SHORT_IPERF = ("--set", "workload.iperf.time=5ms", "--set", "workload.iperf.omit=1ms", "--set", "workload.iperf.interval=5ms")
NO_RANDOMIZE = 0x0040000  # ADDR_NO_RANDOMIZE of personality(2)
HOST_FILES = {"summary.json", "config.toml"}  # they tell of the host's time, and of paths


def addresses_in_order():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.personality(ctypes.c_ulong(NO_RANDOMIZE)) == -1:
        raise OSError(ctypes.get_errno(), "personality")


def addresses_can_be_in_order():
    try:
        return subprocess.run(["true"], preexec_fn=addresses_in_order, check=False).returncode == 0
    except subprocess.SubprocessError:
        return False


def shipped():
    return sorted(p for p in (ROOT / "scenarios").rglob("*.toml") if "bad" not in p.relative_to(ROOT).parts)


class Environments(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gnomon-")).resolve()
        self.addCleanup(shutil.rmtree, self.folder)

    def results(self, scenario, *arguments, out="out", **options):
        """The summary, and every other file of the results by its path."""
        options = {"cwd": ROOT, "stdin": subprocess.DEVNULL, **options}
        done = subprocess.run([PROGRAM, "run", str(scenario), "--seed", "1", "--quiet", "--out",
                               str(self.folder / out), *arguments], capture_output=True, text=True, check=False, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        whole = self.folder / out
        files = {str(p.relative_to(whole)): p.read_bytes() for p in whole.rglob("*")
                 if p.is_file() and p.name not in HOST_FILES}
        summary = json.loads((whole / "summary.json").read_text())
        shutil.rmtree(whole)
        return summary, files

    def short(self, scenario):
        """The arguments that shorten it; a benchmark of an API has an end of its own."""
        text = scenario.read_text()
        made_short = SHORT_IPERF if "[workload.iperf]" in text else SHORT_FIO if "[workload]\nfio" in text else ()
        return (*made_short, "--trace", "none")

    def test_hashes_of_the_shipped_scenarios(self):
        lines = []
        for scenario in shipped():
            summary, _ = self.results(scenario, *self.short(scenario))
            name = scenario.relative_to(ROOT / "scenarios").with_suffix("")
            lines += [f"{v['trace_hash']}  {name} {v['name']}\n" for v in summary["variants"]]
        if "--update" in sys.argv:
            HASHES.write_text("".join(lines))
        self.assertEqual("".join(lines), HASHES.read_text(),
                         "if that is meant: tests/golden/environments_test.py build/release/apps/gnomon/gnomon --update")

    def test_what_is_around_the_process(self):
        scenario = ROOT / "scenarios" / "quickstart.toml"
        short = (*SHORT_FIO, "--trace", "perfetto")
        _, plain = self.results(scenario, *short)
        self.assertTrue({"strict/trace.pftrace", "strict/series.json", "strict/trace.hashes"} <= plain.keys(), plain.keys())
        for name, arguments, options in self.surroundings():
            with self.subTest(name):
                _, files = self.results(options.pop("scenario", scenario), *short, *arguments, **options)
                self.assertEqual(sorted(files), sorted(plain))
                self.assertEqual([path for path in plain if files[path] != plain[path]], [])

    def surroundings(self):
        elsewhere = self.folder / "a folder with ünusual letters" / ("deep" * 30)
        shutil.copytree(ROOT / "scenarios", elsewhere)
        bare = {"PATH": os.environ["PATH"]}
        yield "one at a time", ("--jobs", "1"), {}
        yield "all at a time", ("--jobs", "64"), {}
        if addresses_can_be_in_order():
            yield "addresses in order", (), {"preexec_fn": addresses_in_order}
        yield "nothing in the environment", (), {"env": bare}
        for size in (1, 4095, 100_003):
            yield f"{size} bytes more in it", (), {"env": {**bare, "FILLER": "x" * size}}
        for locale, zone in (("C", "UTC"), ("de_DE.UTF-8", "Pacific/Kiritimati"), ("tr_TR.UTF-8", "America/St_Johns")):
            yield f"{locale} {zone}", (), {"env": {**bare, "LC_ALL": locale, "LANG": locale, "TZ": zone}}
        yield "another folder", (), {"cwd": "/", "scenario": elsewhere / "quickstart.toml"}


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
