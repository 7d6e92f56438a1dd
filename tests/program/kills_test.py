# SPDX-License-Identifier: Apache-2.0
"""kills_test.py GNOMON FAILING_WRITES: ended by a signal at many instants. No results, or whole ones, old or new."""
import os
import random
import shutil
import signal
import time

from world import World, main

INSTANTS = 12


class Kills(World):
    def setUp(self):
        super().setUp()
        self.scenario("small", "10ms")
        began = time.monotonic()
        self.assertEqual(self.run_seed(1, "out")[0], 0)
        self.length = time.monotonic() - began  # of an undisturbed run
        self.whole = self.files()

    def arguments(self, seed, out):
        return ("run", "small.toml", "--out", out, "--seed", seed, "--jobs", 2, "--trace", "perfetto,vcd,csv", "--quiet")

    def run_seed(self, seed, out):
        return self.run_program(*self.arguments(seed, out))

    def strike(self, number, out, delay):
        process = self.start(*self.arguments(2, out))
        time.sleep(delay)
        os.kill(process.pid, number)
        _, err = process.communicate(timeout=30)
        self.assert_session_empty(process.pid)
        return process.returncode, err

    def assert_whole_or_absent(self, out, may_be_absent):
        if may_be_absent and self.files(out) is None:
            return
        self.assertEqual(self.files(out), self.whole)
        self.assertEqual(set(self.statuses(out).values()), {"ok"})

    def instants(self):
        """From before main() to after the end."""
        chance = random.Random(7)
        return [self.length * (i + chance.random()) * 1.2 / INSTANTS for i in range(INSTANTS)]

    def check_termination(self, number):
        seen = set()
        for delay in self.instants():
            for out, may_be_absent in (("out", False), ("fresh", True)):
                with self.subTest(signal=number, delay=delay, out=out):
                    code, err = self.strike(number, out, delay)
                    # -number: it came before the program was there to take it
                    self.assertIn(code, (128 + number, 0, -number), err)
                    seen.add(code)
                    self.assert_whole_or_absent(out, may_be_absent)
                    self.assertEqual(self.temporaries(), [])
                if out == "fresh" and self.files(out) is not None:
                    shutil.rmtree(self.folder / "fresh")
        self.assertIn(128 + number, seen)

    def test_sigint(self):
        self.check_termination(signal.SIGINT)

    def test_sigterm(self):
        self.check_termination(signal.SIGTERM)

    def test_sigkill(self):
        left = 0
        for delay in self.instants():
            for out, may_be_absent in (("out", False), ("fresh", True)):
                with self.subTest(delay=delay, out=out):
                    self.strike(signal.SIGKILL, out, delay)
                    self.assert_whole_or_absent(out, may_be_absent)
                    left += len(self.temporaries()) > 0
                    code, _, err = self.run_seed(3, out)
                    self.assertEqual((code, err), (0, ""))
                    self.assertEqual((self.files(out), self.summary(out)["seed"]), (self.whole, 3))
                    self.assertEqual(self.temporaries(), [], "the next run leaves what the killed one left")
                if out == "fresh" and self.files(out) is not None:
                    shutil.rmtree(self.folder / "fresh")
        self.assertGreater(left, 0, "no run was killed while it had a temporary folder")

    def test_a_killed_report(self):
        page = self.folder / "page.html"
        command = ("report", "out", "-o", "page.html", "--quiet")
        began = time.monotonic()
        self.assertEqual(self.run_program(*command)[0], 0)
        length = time.monotonic() - began
        whole = page.read_bytes()
        self.assertTrue(whole.rstrip().endswith(b"</html>"))
        for number in (signal.SIGTERM, signal.SIGKILL):
            for i in range(INSTANTS):
                for old in (None, b"old"):
                    page.unlink(missing_ok=True)
                    if old:
                        page.write_bytes(old)
                    process = self.start(*command)
                    time.sleep(length * i * 1.2 / INSTANTS)
                    process.send_signal(number)
                    process.communicate(timeout=30)
                    with self.subTest(signal=number, instant=i, old=old):
                        self.assertIn(page.read_bytes() if page.exists() else None, (old, whole))

    def test_a_run_under_way_is_not_taken_for_a_killed_one(self):
        self.scenario("long", "1000s")
        process = self.start("run", "long.toml", "--out", "long", "--jobs", 2)
        self.children_of(process, 2)
        before = [name for name in self.entries() if name.startswith(".gnomon-")]
        self.assertEqual(len(before), 1)
        self.assertEqual(self.run_seed(2, "out")[0], 0)
        self.assertEqual([name for name in self.entries() if name.startswith(".gnomon-")], before)
        process.terminate()
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 128 + signal.SIGTERM)
        self.assertEqual(self.temporaries(), [])

    def test_what_only_looks_like_a_temporary_stays(self):
        names = [".gnomon-0-0.tmp", ".gnomon-x-1.tmp", ".gnomon-999999999-0.tmp.mine", "gnomon-999999999-0.tmp",
                 ".gnomon-1-0.tmp"]  # the last: process 1 lives
        for name in names:
            (self.folder / name).mkdir()
        (self.folder / ".gnomon-999999999-0.tmp").mkdir()
        (self.folder / ".gnomon-999999999-1.tmp").symlink_to(self.folder / "out")
        self.assertEqual(self.run_seed(2, "out")[0], 0)
        self.assertLessEqual(set(names), set(self.entries()))
        self.assertNotIn(".gnomon-999999999-0.tmp", self.entries())
        self.assertEqual(self.files(), self.whole)


if __name__ == "__main__":
    main()
