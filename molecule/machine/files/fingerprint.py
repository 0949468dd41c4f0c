# SPDX-License-Identifier: GPL-3.0-or-later
"""Describe the state of this computer that no sandbox may change, and write it to a file, or compare it with one.

usage: fingerprint.py FILE [compare]
Left out is what changes by itself (counters, pools) and what the engine makes for its own containers.
"""

import glob
import json
import os
import re
import subprocess
import sys
import time

# Kernel settings that are counters, or belong to an interface that comes and goes with a container.
VOLATILE = re.compile(r"(fs/(dentry|inode|file|aio)-|fs/inode-state|fs/quota/|kernel/random/|kernel/pty/nr|kernel/ns_last_pid|kernel/hung_task_detect"
                      r"|net/ipv[46]/(conf|neigh)/(?!all|default)|net/netfilter/nf_conntrack_count|/cache_stat|debug/|sunrpc)")
ENGINE = re.compile(r"/var/lib/docker|/run/docker|/run/containerd|/var/lib/containerd|nsfs|/docker/|/tmp/")


def text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError as error:
        return "unreadable: %s" % error.strerror


def files(pattern, skip=re.compile("^$")):
    """Return the content of the files that can be written, by path; the others are counters and versions."""
    return {path: text(path) for path in glob.glob(pattern, recursive=True)
            if os.path.isfile(path) and os.stat(path).st_mode & 0o222 and not skip.search(path)}


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    except FileNotFoundError:
        return []


def mounts():
    fields = [line.split() for line in text("/proc/self/mountinfo").splitlines()]
    return sorted({" ".join([part[4], part[5]]) for part in fields if not ENGINE.search(part[4])})


def rules():
    """Return the packet filter's rules, without those of the engine's own bridges."""
    own = re.compile(r"br-|docker0|DOCKER|counter packets|127\.0\.0\.11")
    return [re.sub(r"\[\d+:\d+\]", "", line) for command in ("iptables-save", "ip6tables-save") for line in output(command)
            if not own.search(line) and not line.startswith("#")] + \
        [line for line in output("nft", "list", "tables") if "docker" not in line]


def groups():
    return sorted(path for path in glob.glob("/sys/fs/cgroup/**/", recursive=True) if not re.search("docker|arcodange-sandbox", path))


def fingerprint():
    return {
        "settings": files("/proc/sys/**", VOLATILE),
        "parameters": files("/sys/module/*/parameters/*") | files("/sys/kernel/mm/*/*"),
        "modules": sorted(line.split()[0] for line in text("/proc/modules").splitlines() if "unreadable" not in line),
        "mounts": mounts(),
        "rules": rules(),
        "groups": groups(),
        "loop devices": {path: text(path) for path in glob.glob("/sys/block/loop*/loop/backing_file")},
        "swap": text("/proc/swaps").splitlines(),
        "name": os.uname().nodename,
        "time zone": [os.path.realpath("/etc/localtime"), text("/etc/timezone")],
        "hosts": text("/etc/hosts"),
        "kernel's log": [line for line in output("dmesg") if "sandbox-was-here" in line],
    }


def main():
    path = sys.argv[1]
    now = {"offset": time.time() - time.clock_gettime(time.CLOCK_BOOTTIME), "state": fingerprint()}
    if len(sys.argv) < 3:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(now, file)
        return
    with open(path, encoding="utf-8") as file:
        before = json.load(file)
    changed = []
    # A time service may slew the clock a little; an hour, a day or a year it does not.
    if abs(before["offset"] - now["offset"]) > 2:
        changed.append("clock: moved by %.1f s" % (now["offset"] - before["offset"]))
    for kind, was in before["state"].items():
        current = now["state"][kind]
        if isinstance(was, dict):
            changed += ["%s: %s: %s -> %s" % (kind, name, was.get(name), current.get(name))
                        for name in sorted(set(was) | set(current)) if was.get(name) != current.get(name)]
        elif isinstance(was, list):
            changed += ["%s: gone: %s" % (kind, line) for line in was if line not in current]
            changed += ["%s: new: %s" % (kind, line) for line in current if line not in was]
        elif was != current:
            changed.append("%s: %s -> %s" % (kind, was, current))
    print("\n".join(changed) or "unchanged")
    sys.exit(1 if changed else 0)


if __name__ == "__main__":
    main()
