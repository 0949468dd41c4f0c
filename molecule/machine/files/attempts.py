# SPDX-License-Identifier: GPL-3.0-or-later
"""Try, as root on a node, what would change the computer that the node runs on; print what was not refused as JSON.

Each attempt names the call as it would be made on a machine of its own. Numbers of system calls are those of x86-64 and AArch64.
"""

import ctypes
import json
import os
import platform
import stat
import struct
import subprocess
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CALLS = {
    "x86_64": {"adjtimex": 159, "settimeofday": 164, "swapon": 167, "swapoff": 168, "init_module": 175, "delete_module": 176, "kexec_load": 246,
               "perf_event_open": 298, "open_by_handle_at": 304, "finit_module": 313, "kexec_file_load": 320, "syslog": 103, "quotactl": 179,
               "clock_adjtime": 305, "acct": 163},
    "aarch64": {"adjtimex": 171, "settimeofday": 170, "swapon": 224, "swapoff": 225, "init_module": 105, "delete_module": 106, "kexec_load": 104,
                "perf_event_open": 241, "open_by_handle_at": 265, "finit_module": 273, "kexec_file_load": 294, "syslog": 116, "quotactl": 60,
                "clock_adjtime": 266, "acct": 89},
}[platform.machine()]


def call(name, *arguments):
    if LIBC.syscall(CALLS[name], *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def now():
    return struct.pack("qq", int(time.time()), 0)


def device(kind, major, minor, path="/root/device"):
    try:
        os.mknod(path, kind | 0o600, os.makedev(major, minor))
    finally:
        if os.path.lexists(path):
            os.remove(path)


def write(path, content):
    with open(path, "w", encoding="ascii") as file:
        file.write(content)


def setting_through_a_new_proc():
    os.makedirs("/root/proc", exist_ok=True)
    subprocess.run(["mount", "-t", "proc", "proc", "/root/proc"], check=True)
    try:
        write("/root/proc/sys/vm/swappiness", "77")
    finally:
        subprocess.run(["umount", "/root/proc"], check=True)


def log():
    """Write a line to the kernel's log. The node's /dev/kmsg takes it, and the fingerprint shows whether the host's has it."""
    write("/dev/kmsg", "sandbox-was-here")
    raise PermissionError


ATTEMPTS = {
    "clock_settime": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
    "settimeofday": lambda: call("settimeofday", now(), None),
    "adjtimex sets the frequency": lambda: call("adjtimex", struct.pack("I", 2).ljust(256, b"\0")),
    "clock_adjtime sets the time": lambda: call("clock_adjtime", 0, struct.pack("I", 0x100).ljust(256, b"\0")),
    "date": lambda: subprocess.run(["date", "--set=@%d" % time.time()], check=True, capture_output=True),
    "timedatectl": lambda: subprocess.run(["timedatectl", "set-time", "2020-01-01"], check=True, capture_output=True),
    "init_module": lambda: call("init_module", b"x", 1, b""),
    "finit_module": lambda: call("finit_module", os.open("/etc/hosts", os.O_RDONLY), b"", 0),
    "delete_module": lambda: call("delete_module", b"dummy", 0),
    "kexec_load": lambda: call("kexec_load", 0, 0, None, 0),
    "kexec_file_load": lambda: call("kexec_file_load", 0, 0, 0, b"", 0),
    "swapon": lambda: call("swapon", b"/root/swap", 0),
    "swapoff": lambda: call("swapoff", b"/root/swap"),
    "quotactl": lambda: call("quotactl", 0x800002 << 8, b"/", 0, None),
    "acct": lambda: call("acct", b"/root/acct"),
    "syslog clears the log": lambda: call("syslog", 5, None, 0),
    "syslog silences the console": lambda: call("syslog", 6, None, 0),
    "perf_event_open": lambda: call("perf_event_open", struct.pack("II", 0, 112).ljust(112, b"\0"), -1, 0, -1, 0),
    "open_by_handle_at": lambda: call("open_by_handle_at", -100, struct.pack("Ii8s", 8, 1, b"\2"), 0),
    "the first disk": lambda: device(stat.S_IFBLK, 8, 0),
    "a virtual disk": lambda: device(stat.S_IFBLK, 254, 0),
    "an NVMe disk": lambda: device(stat.S_IFBLK, 259, 0),
    "a loop device": lambda: device(stat.S_IFBLK, 7, 0),
    "loop control": lambda: device(stat.S_IFCHR, 10, 237),
    "memory": lambda: device(stat.S_IFCHR, 1, 1),
    "I/O ports": lambda: device(stat.S_IFCHR, 1, 4),
    "the kernel's log": lambda: device(stat.S_IFCHR, 1, 11),
    "the watchdog": lambda: device(stat.S_IFCHR, 10, 130),
    "the clock's hardware": lambda: device(stat.S_IFCHR, 254, 0),
    "a console": lambda: device(stat.S_IFCHR, 4, 1),
    "device mapper": lambda: device(stat.S_IFCHR, 10, 236),
    "virtual machines": lambda: device(stat.S_IFCHR, 10, 232),
    "losetup": lambda: subprocess.run(["losetup", "--find", "--show", "/etc/hosts"], check=True, capture_output=True),
    "a kernel setting through a /proc of its own": setting_through_a_new_proc,
    "transparent huge pages": lambda: write("/sys/kernel/mm/transparent_hugepage/enabled", "never"),
    "a module's parameter": lambda: write("/sys/module/kernel/parameters/panic", "1"),
    "an interrupt's processors": lambda: write("/proc/irq/default_smp_affinity", "1"),
    "sysrq": lambda: write("/proc/sysrq-trigger", "h"),
    "the kernel's log through /dev/kmsg": log,
}


def main():
    done = {}
    for name, attempt in ATTEMPTS.items():
        try:
            attempt()
        except (OSError, subprocess.CalledProcessError):
            continue
        done[name] = "was not refused"
    print(json.dumps({"attempts": len(ATTEMPTS), "done": done}))


if __name__ == "__main__":
    main()
