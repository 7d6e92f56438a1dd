# SPDX-License-Identifier: Apache-2.0
"""writes_test.py GNOMON FAILING_WRITES: whatever cannot be written is told, exit 74, and results are whole or absent."""
import errno
import os
import resource
import shutil
import sys

from world import FAILING_WRITES, World, main

EVERYTHING = ("--trace", "perfetto,vcd,csv", "--log")


class Writes(World):
    def setUp(self):
        super().setUp()
        self.scenario("small", "100us")
        with (self.folder / "small.fio").open("a") as job:
            job.write("write_lat_log=small\n")
        self.assertEqual(self.run_program("run", "small.toml", "--out", "whole", "--seed", 1, *EVERYTHING)[0], 0)
        self.whole = self.files("whole")
        self.counter = self.folder / "counter"

    def run_failing(self, at, error, *command):
        """(whether the failure came about, exit code, standard error)"""
        self.counter.write_bytes(bytes(16))
        environment = {**os.environ, "LD_PRELOAD": FAILING_WRITES, "FAIL_UNDER": f"{self.folder}/",
                       "FAIL_AT": str(at), "FAIL_ERRNO": str(error), "FAIL_COUNTER": str(self.counter)}
        command = command or ("run", "small.toml", "--out", "out", "--seed", 2, "--jobs", 1, "--quiet", *EVERYTHING)
        code, _, err = self.run_program(*command, env=environment)
        return int.from_bytes(self.counter.read_bytes()[:8], sys.byteorder) >= at, code, err

    def check_every_failure(self, error, old):
        for at in range(1, 500):
            failed, code, err = self.run_failing(at, error)
            if not failed:
                self.assertEqual((code, err), (0, ""))
                self.assertEqual(self.files(), self.whole)
                self.assertGreater(at, 30, "the program's writes go past the shim")
                return
            with self.subTest(at=at, error=errno.errorcode[error]):
                self.assertEqual(code, 74, err)
                self.assertIn(os.strerror(error), err)
                self.assertIn(str(self.folder), err, "the message names no file")
                self.assertEqual(self.temporaries(), [])
                if self.files() is not None:
                    self.assertEqual(self.files(), self.whole)
                    self.assertIn(self.summary()["seed"], (1, 2))
                self.assertTrue(not old or self.files() is not None, "the results before are lost")
                if self.files() is not None and self.summary()["seed"] == 2:
                    self.reset(old)
        self.fail("it never succeeds")

    def reset(self, old):
        self.run_program("run", "small.toml", "--out", "out", "--seed", 1, *EVERYTHING)
        if not old:
            shutil.rmtree(self.folder / "out")

    def test_every_failure_of_a_first_run(self):
        self.check_every_failure(errno.ENOSPC, old=False)

    def test_every_failure_of_a_run_that_replaces_results(self):
        self.reset(old=True)
        self.check_every_failure(errno.EIO, old=True)

    def test_every_failure_of_a_report(self):
        for command in (("report", "whole", "-o", "page.html", "--quiet"),
                        ("diff", "whole/first", "whole/second", "-o", "page.html")):
            page = self.folder / "page.html"
            page.write_text("old")
            for at in range(1, 100):
                failed, code, err = self.run_failing(at, errno.ENOSPC, *command)
                with self.subTest(command=command[0], at=at):
                    self.assertEqual(self.temporaries(), [])
                    if not failed:
                        break
                    self.assertEqual(code, 74, err)
                    self.assertIn(os.strerror(errno.ENOSPC), err)
                    self.assertEqual(page.read_text(), "old")
            self.assertEqual(code, 0, err)
            self.assertGreater(at, 2, "the page's writes go past the shim")
            self.assertTrue(page.read_text().rstrip().endswith("</html>"))

    def test_a_file_size_limit(self):
        """A stand-in for a full disk: fails within every file, and at the last byte of the largest ones."""
        sizes = {path.stat().st_size for path in (self.folder / "whole").rglob("*") if path.is_file()}
        for limit in sorted({0, 1, 4096, *(size - 1 for size in sizes)}):
            with self.subTest(limit=limit):
                code, _, err = self.run_program(
                    "run", "small.toml", "--out", "out", "--quiet", *EVERYTHING,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
                self.assertEqual(code, 74, err)
                self.assertIn(os.strerror(errno.EFBIG), err)
                self.assertIsNone(self.files())
                self.assertEqual(self.temporaries(), [])


if __name__ == "__main__":
    main()
