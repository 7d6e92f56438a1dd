# SPDX-License-Identifier: Apache-2.0
"""inputs_test.py GNOMON FAILING_WRITES: what is given and cannot be used, standard streams, the target folder."""
import os
import signal
import subprocess
import unittest

from world import World, main


class Inputs(World):
    def refused(self, *arguments, says):
        before = self.entries()
        code, out, err = self.run_program("run", *arguments)
        self.assertEqual((code, out), (2, ""), err)
        for part in says:
            self.assertIn(part, err)
        self.assertEqual(self.entries(), before, "something was created")

    def test_a_missing_scenario(self):
        self.refused("nobody.toml", says=["nobody.toml:1:1: error:", "No such file"])

    def test_a_folder_as_scenario(self):
        (self.folder / "folder.toml").mkdir()
        self.refused("folder.toml", says=["folder.toml:1:1: error:"])

    @unittest.skipIf(os.geteuid() == 0, "root reads everything")
    def test_an_unreadable_scenario(self):
        (self.folder / "small.toml").chmod(0)
        self.refused("small.toml", says=["small.toml:1:1: error:", "Permission denied"])

    def test_one_bad_scenario_among_good_ones(self):
        self.refused("small.toml", "nobody.toml", says=["nobody.toml:1:1: error:"])

    def test_a_job_file_that_is_a_folder(self):
        (self.folder / "small.fio").unlink()
        (self.folder / "small.fio").mkdir()
        self.refused("small.toml", says=["small.toml:", "small.fio"])

    def test_delays_beyond_what_a_simulation_can_count(self):
        self.refused("small.toml", "--set", "guest.flush_queue_timeout=8640001s",
                     says=["--set:1:27: error:", "longer than a simulation can be", "at most 8640000s"])
        self.refused("small.toml", "--set", "study=sensitivity", "--set", "machine.cpu.idle_wake=18446744s",
                     says=["--set:1:23: error:", "longer than a simulation can be"])

    def test_jobs_that_together_outlast_simulated_time(self):
        self.scenario("long", "60d\nstonewall\nramp_time=30d")
        code, _, err = self.run_program("validate", "long.toml")
        self.assertEqual((code, err), (0, ""))
        self.scenario("long", "60d\nramp_time=50d")
        self.refused("long.toml", says=["long.fio:1:1: error: job 'write' would end after", "8640000s"])
        self.scenario("long", "60d\n[after]\nfilename=/dev/nvme0n1\nrw=randwrite\ndirect=1\nstonewall\nruntime=60d")
        self.refused("long.toml", says=["long.fio:10:1: error: job 'after' would end after"])


class Streams(World):
    def test_closed_standard_output(self):
        code, _, err = self.run_program("run", "small.toml", "--out", "out", preexec_fn=lambda: os.close(1))
        self.assertEqual(code, 74)
        self.assertIn("standard output", err)
        self.assertEqual(set(self.statuses().values()), {"ok"})
        self.assertEqual(self.temporaries(), [])

    def test_full_standard_output(self):
        with open("/dev/full", "w") as full:
            code, _, err = self.run_program("run", "small.toml", "--out", "out", stdout=full)
        self.assertEqual(code, 74)
        self.assertIn("standard output: No space left on device", err)

    def test_closed_standard_input_and_error(self):
        for streams in ((0,), (2,), (0, 2), (0, 1, 2)):
            with self.subTest(closed=streams):
                code, out, err = self.run_program("run", "small.toml", "--out", "out",
                                                  preexec_fn=lambda: [os.close(fd) for fd in streams])
                self.assertEqual(code, 74 if 1 in streams else 0)
                self.assertEqual(set(self.statuses().values()), {"ok"})
                self.assertEqual(self.temporaries(), [])

    def test_a_complaint_with_standard_error_closed_goes_nowhere(self):
        code, out, _ = self.run_program("run", "nobody.toml", preexec_fn=lambda: os.close(2))
        self.assertEqual((code, out), (2, ""))

    def test_a_reader_that_leaves(self):
        """As `gnomon run … | head -1`, at the first of two scenarios: the second one's folder is not left half."""
        self.scenario("other", "1ms")
        read_end, write_end = os.pipe()
        os.close(read_end)
        code, _, err = self.run_program("run", "small.toml", "other.toml", "--out", "out", stdout=write_end)
        os.close(write_end)
        self.assertEqual((code, err), (128 + signal.SIGPIPE, ""))
        self.assertEqual(set(self.statuses("out/small").values()), {"ok"})
        self.assertFalse((self.folder / "out/other").exists())
        self.assertEqual(self.temporaries(), [])


class Target(World):
    def run_into(self, out, seed=1):
        return self.run_program("run", "small.toml", "--quiet", "--seed", seed, "--out", out)

    def test_results_are_replaced_whole(self):
        self.assertEqual(self.run_into("out")[0], 0)
        (self.folder / "out/first/stray").write_text("of the run before")
        self.assertEqual(self.run_into("out", seed=2)[0], 0)
        self.assertEqual(self.summary()["seed"], 2)
        self.assertNotIn("first/stray", self.files())
        self.assertEqual(self.temporaries(), [])

    def test_anything_else_is_refused_and_left_alone(self):
        (self.folder / "folder").mkdir()
        (self.folder / "folder/mine").write_text("keep")
        (self.folder / "file").write_text("keep")
        for out in ("folder", "file", "file/below"):
            with self.subTest(out=out):
                code, printed, err = self.run_into(out)
                self.assertIn(code, (2, 74) if "/" in out else (2,))
                self.assertEqual(printed, "")
                self.assertIn("file" if "file" in out else "folder", err)
        self.assertEqual((self.folder / "folder/mine").read_text(), "keep")
        self.assertEqual((self.folder / "file").read_text(), "keep")
        self.assertEqual(self.temporaries(), [])

    def test_an_empty_folder_and_new_parents_are_fine(self):
        (self.folder / "empty").mkdir()
        for out in ("empty", "a/b/c"):
            self.assertEqual(self.run_into(out)[0], 0)
            self.assertEqual(set(self.statuses(out).values()), {"ok"})


if __name__ == "__main__":
    main()
