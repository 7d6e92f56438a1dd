# SPDX-License-Identifier: Apache-2.0
# spoil.py FOLDER: gives a result what few results have: blame, findings, a crash, an expectation that fails, markup.
import json
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
summary = json.loads((folder / "summary.json").read_text())
summary["scenario"] = "<img src=x onerror=fail()>"
summary["title"] = "</script><script>fail()</script>"
causes = ["guest_cpu", "lock_wait", "exit", "hypervisor", "media"]
for i, variant in enumerate(summary["variants"]):
    for j, cause in enumerate(causes):
        variant["metrics"][f"blame.{cause}_ns"] = 1000 * (j + 1) * (i + 1)
summary["variants"].append({"name": "broken", "status": "crashed", "explanation": "killed by <SIGSEGV>", "metrics": {}})
summary["expectations"][0].update(ok=False, reason="off by a lot", value=12.5)
(folder / "summary.json").write_text(json.dumps(summary))
(folder / "strict" / "findings.txt").write_text("stale_dma <b>here</b>\n")
(folder / "broken").mkdir()
(folder / "broken" / "config.toml").write_text('title = "<i>"  # default\n')
