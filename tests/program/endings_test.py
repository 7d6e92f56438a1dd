# SPDX-License-Identifier: Apache-2.0
"""endings_test.py GNOMON FAILING_WRITES: variants that cannot finish. The others do, and the exit code is 3."""
import os
import resource
import signal

from world import SCENARIO, World, main


class Endings(World):
    def explanation(self, name):
        return next(v for v in self.summary()["variants"] if v["name"] == name).get("explanation", "")

    def with_fault(self, fault, name="first"):
        """The scenario whose variant `name` has the setting `fault`."""
        marker = f'name = "{name}"\nset  = {{'
        self.assertIn(marker, SCENARIO)
        self.scenario("small", "1ms", SCENARIO.replace(marker, f"{marker} {fault},"))

    def run_small(self, *arguments):
        code, out, err = self.run_program("run", "small.toml", "--out", "out", *arguments)
        return code, out + err

    def test_a_request_the_device_swallows_is_a_deadlock(self):
        self.with_fault('"faults.swallow_request" = 9')
        code, text = self.run_small()
        self.assertEqual(code, 3, text)
        self.assertEqual(self.statuses(), {"first": "deadlock", "second": "ok"})
        for part in ("cpu 0: spins on the used ring of virtio-iommu's request queue",
                     "lock viommu_request: held by cpu 0", "requests in flight"):
            self.assertIn(part, self.explanation("first"))
            self.assertIn(part, text)

    def test_whoever_waits_for_the_lock_of_a_deadlock_is_named(self):
        self.scenario("small", "1ms\nnumjobs=2", SCENARIO.replace('name = "first"\nset  = {', 'name = "first"\n'
                      'set  = { "faults.swallow_request" = 60,'))
        self.assertEqual(self.run_small()[0], 3)
        self.assertRegex(self.explanation("first"),
                         r"cpu (\d): spins for lock viommu_request\n(.*\n)*lock viommu_request: held by cpu \d, "
                         r"waited for by cpu \1\n")

    def test_a_command_the_drive_loses_is_a_deadlock(self):
        self.with_fault('"faults.lose_completion" = 5', "second")
        code, text = self.run_small()
        self.assertEqual(code, 3, text)
        self.assertEqual(self.statuses(), {"first": "ok", "second": "deadlock"})
        self.assertIn("nvme0: 1 commands in flight", self.explanation("second"))

    def test_a_guest_that_tries_for_ever_meets_the_watchdog(self):
        """The host has no room for one more mapping than the drive's queues: every I/O is requeued, again and again."""
        self.with_fault('"guest.kernel" = "6.1", "hypervisor.dma_entry_limit" = 8')
        code, text = self.run_small()
        self.assertEqual(code, 3, text)
        self.assertEqual(self.statuses(), {"first": "watchdog", "second": "ok"})
        self.assertRegex(self.explanation("first"), r"no I/O and no DMA between 0\.\d+ s and 10\.\d+ s")

    def test_a_workload_that_outlasts_its_own_limits_meets_the_watchdog(self):
        code, text = self.run_small("--only", "first", "--set", "study=sensitivity",
                                    "--set", "machine.nvme.media.write_latency=100s")
        self.assertEqual(code, 3, text)
        self.assertEqual(self.statuses(), {"first": "watchdog", "second": "skipped"})
        self.assertRegex(self.explanation("first"), r"own limits end it at 0\.001000 s, and it is still running at \d")

    def test_a_guest_without_room_for_its_queues_says_so(self):
        self.with_fault('"guest.kernel" = "6.1", "hypervisor.dma_entry_limit" = 2')
        self.assertEqual(self.run_small()[0], 3)
        self.assertEqual(self.statuses(), {"first": "crashed", "second": "ok"})
        self.assertEqual(self.explanation("first"), "nvme: the DMA API refuses to map a queue's memory")

    def test_out_of_memory(self):
        limit = 400 << 20  # of address space: less than the guest's 1 GiB
        code, text = self.run_program("run", "small.toml", "--out", "out", "--jobs", "2", preexec_fn=lambda:
                                      resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))[:2]
        self.assertEqual(code, 3, text)
        self.assertEqual(set(self.statuses().values()), {"out_of_memory"})

    def struck(self, strike, *arguments):
        """The first of two variants runs for long, and is struck."""
        self.scenario("small", "1000s", SCENARIO.replace('name = "second"\nset  = {', 'name = "second"\n'
                      'set  = { "workload.runtime" = "1ms",'))
        process = self.start("run", "small.toml", "--out", "out", "--jobs", "2", *arguments)
        first = self.children_of(process, 1)[0]
        os.kill(first, strike)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 3, out + err)
        self.assertEqual(self.statuses()["second"], "ok")
        self.assertEqual(self.temporaries(), [])
        self.assert_session_empty(process.pid)
        return self.statuses()["first"], self.explanation("first")

    def test_a_variant_that_crashes(self):
        for strike, name in ((signal.SIGSEGV, "SIGSEGV"), (signal.SIGKILL, "SIGKILL"), (signal.SIGABRT, "SIGABRT")):
            with self.subTest(name):
                status, explanation = self.struck(strike)
                self.assertEqual(status, "crashed")
                self.assertIn(f"killed by {name}", explanation)

    def test_a_variant_that_hangs(self):
        status, explanation = self.struck(signal.SIGSTOP, "--stall", "1")
        self.assertEqual(status, "watchdog")
        self.assertIn("no progress for 1 s", explanation)

    def test_check_too_ends_a_variant_that_hangs(self):
        self.scenario("small", "1000s", SCENARIO.partition('[[variant]]\nname = "second"')[0])
        process = self.start("check", "small.toml", "--no-cache", "--stall", "1")
        os.kill(self.children_of(process, 1)[0], signal.SIGSTOP)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 3, out + err)
        self.assertIn("no progress for 1 s", out)


if __name__ == "__main__":
    main()
