# SPDX-License-Identifier: GPL-3.0-or-later

"""How long parity_assert takes on a sandbox that stands. usage: parity.py KIT BOUNDARY KUBECONFIG MANIFEST WAIVERS"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIMES = 11


def main():
    kit, boundary, kubeconfig, manifest, waivers = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        call = json.dumps({
            "_kit_call": "parity_assert", "manifest": manifest, "waiver_file": waivers, "kubeconfig": kubeconfig, "boundary": boundary,
            "report": str(Path(directory) / "report.json"),
            # What the playbook gathers before.
            "hosts": {"pi2": {"groups": ["postgres", "gitea"], "containers": [
                {"name": "postgres-postgres-1", "project": "postgres", "service": "postgres", "image": "postgres:17", "status": "running", "health": "healthy"},
            ]}},
        })
        took = []
        for dummy in range(TIMES):
            begun = time.monotonic()
            done = subprocess.run([kit, "-"], input=call, capture_output=True, text=True, check=False)
            took.append(time.monotonic() - begun)
            result = json.loads(done.stdout)
            if "verdict" not in result:
                sys.exit(result["msg"])
    took.sort()
    print("%-66s %12s  %s" % ("parity_assert on the three nodes, median (slowest) of %d" % TIMES, "%.3f (%.3f) s" % (statistics.median(took), took[-1]), "2 s"))


main()
