# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare ssh with and without the guard in front of it, against a node of a running sandbox.

Usage: guard.py GUARD BOUNDARY STATE_DIRECTORY ADDRESS [CALLS]

Calls alternate, so that both meet the same machine. Printed are medians.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time


def clock(words, env=None, given=None):
    begun = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, input=given)
    return (time.perf_counter() - begun) * 1000


def row(what, measured, limit):
    print("%-66s %12s  %s" % (what, measured, limit))


def main(guard, boundary, state, address, calls=40):
    key, known = os.path.join(state, "ssh/id_ed25519"), os.path.join(state, "ssh/known_hosts")
    options = ["-F", "none", "-i", key, "-o", "UserKnownHostsFile=" + known, "-o", "BatchMode=yes", "-l", "pi"]
    with tempfile.TemporaryDirectory() as directory:
        env = dict(os.environ, XDG_STATE_HOME=directory)
        # A connection that is open already would be used again.
        alone = dict(os.environ, XDG_STATE_HOME=os.path.join(directory, "alone"))
        wrapped = [guard, "ssh", "--boundary", boundary, "--"]
        # A command line that sshexec's init leaves to main.
        main_only = [guard, "ssh", "--boundary=" + boundary, "--"]
        shared = ["-o", "ControlMaster=auto", "-o", "ControlPersist=30s"]
        plain_shared = shared + ["-o", "ControlPath=%s/plain" % directory]
        end = [address, "true"]
        times = {name: [] for name in ("ssh -G", "plain", "guarded", "plain shared", "guarded shared", "guarded shared by main")}
        clock(["ssh"] + options + plain_shared + end)
        clock(wrapped + options + shared + end, env)
        for _ in range(calls):
            times["ssh -G"].append(clock(["ssh", "-G"] + options + end))
            times["plain"].append(clock(["ssh"] + options + end))
            times["guarded"].append(clock(wrapped + options + end, alone))
            times["plain shared"].append(clock(["ssh"] + options + plain_shared + end))
            times["guarded shared"].append(clock(wrapped + options + shared + end, env))
            times["guarded shared by main"].append(clock(main_only + options + shared + end, env))
        median = {name: statistics.median(values) for name, values in times.items()}
        for path, words in (("plain", ["ssh"] + options + plain_shared), ("guarded", wrapped + options + shared)):
            subprocess.run(words + ["-O", "exit", address], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           env=env if path == "guarded" else None)
    new = median["guarded"] - median["plain"] - median["ssh -G"]
    row("guard on a new connection (%.1f ms plain), beside `ssh -G` (%.1f ms)" % (median["plain"], median["ssh -G"]), "%.1f ms" % new, "15 ms")
    row("guard on a shared connection (%.1f ms plain)" % median["plain shared"],
        "%.1f ms" % (median["guarded shared"] - median["plain shared"]), "5 ms")
    row("the same without the exec before initialisation (sshexec/early.go)", "%.1f ms" % (median["guarded shared by main"] - median["plain shared"]), "-")

    hosts = "".join('{"kind": "host", "value": "172.30.%d.%d", "from": "host %d"}\n' % (n // 250, n % 250 + 1, n) for n in range(10000)).encode()
    check = [guard, "check", "--boundary", boundary, "--targets-from-stdin"]
    took = min(clock(check, given=hosts) for _ in range(5))
    row("prod-ip-guard check, 10,000 hosts with literal addresses", "%.0f ms" % took, "300 ms")
    row("the same, memory", "%d MiB" % (resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024), "100 MiB (the largest child of this script)")


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(*sys.argv[1:5], *(int(word) for word in sys.argv[5:6]))
