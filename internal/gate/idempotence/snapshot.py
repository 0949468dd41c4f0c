# SPDX-License-Identifier: GPL-3.0-or-later
"""Print, as one JSON object, what a machine looks like. Arguments: the kinds to look at, then the paths to watch."""

import glob
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import time

SKIPPED = ("/proc", "/sys", "/dev", "/run")
things = {}
problems = []


def put(kind, name, state, changed):
    things["%s %s" % (kind, name)] = {"state": state, "time": changed}


def ask(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, LC_ALL="C"))
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise RuntimeError("`%s` ended with status %d: %s" % (" ".join(words[:4]), done.returncode, "".join(last)))
    return done.stdout.decode("utf-8", "replace")


def files(paths):
    def one(path):
        try:
            info = os.lstat(path)
        except FileNotFoundError:
            return
        state = "%s %o %d:%d" % (stat.filemode(info.st_mode)[0], stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)
        if stat.S_ISLNK(info.st_mode):
            state += " -> " + os.readlink(path)
        elif stat.S_ISREG(info.st_mode):
            digest = hashlib.sha256()
            try:
                with open(path, "rb") as data:
                    for block in iter(lambda: data.read(1 << 20), b""):
                        digest.update(block)
                state += " sha256:" + digest.hexdigest()
            except PermissionError:
                # Whatever is done to it moves this time, which nobody can set.
                state += " unread ctime=%d" % info.st_ctime_ns
        put("file", path, state, info.st_mtime if stat.S_ISDIR(info.st_mode) else info.st_ctime)

    def unread(error):
        if isinstance(error, PermissionError):
            info = os.lstat(error.filename)
            put("file", error.filename, "d unread ctime=%d" % info.st_ctime_ns, info.st_ctime)
            return
        problems.append("%s: %s" % (error.filename, error.strerror))

    for path in paths:
        one(path)
        for folder, folders, names in os.walk(path, onerror=unread):
            folders[:] = [name for name in folders if os.path.join(folder, name) not in SKIPPED]
            for name in folders + names:
                try:
                    one(os.path.join(folder, name))
                except FileNotFoundError:
                    pass
                except OSError as error:
                    unread(error)


def packages():
    if shutil.which("dpkg-query"):
        status = os.stat("/var/lib/dpkg/status").st_mtime
        for line in ask("dpkg-query", "-W", "-f", "${binary:Package}\t${Version} ${db:Status-Abbrev}\n").splitlines():
            name, state = line.split("\t", 1)
            known = "/var/lib/dpkg/info/%s.list" % name
            put("package", name, state.strip(), os.stat(known).st_mtime if os.path.exists(known) else status)
        for path in ("/var/lib/dpkg/status", "/var/lib/apt/extended_states"):
            things["clock " + path] = {"state": "", "time": os.stat(path).st_mtime if os.path.exists(path) else 0}
    elif shutil.which("rpm"):
        for line in ask("rpm", "-qa", "--qf", "%{NAME}.%{ARCH}\t%{VERSION}-%{RELEASE}\t%{INSTALLTIME}\n").splitlines():
            name, state, when = line.split("\t")
            put("package", name, state, float(when))


def units():
    if not os.path.isdir("/run/systemd/system"):
        return
    boot = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
    wanted = "Id,ActiveState,UnitFileState,InvocationID,TriggeredBy,BusName,Type,StateChangeTimestampMonotonic"
    shown = ask("systemctl", "show", "--property=" + wanted, "--type=service,socket,timer", "*")
    for block in shown.strip().split("\n\n"):
        unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        name = unit.get("Id", "")
        # Units that come and go by themselves: of logins and connections, woken by a timer or by a call on the bus.
        if not name or name.startswith(("user@", "user-runtime-dir@", "ssh@", "sshd@", "getty@")):
            continue
        by_itself = ".timer" in unit.get("TriggeredBy", "") or unit.get("BusName", "").startswith("org.freedesktop.")
        state = "enabled=%s" % (unit.get("UnitFileState") or "-")
        if not by_itself:
            state += " active=%s" % unit.get("ActiveState")
            if unit.get("ActiveState") == "active" and name.endswith(".service"):
                state += " run=%s" % unit.get("InvocationID")
        put("unit", name, state, boot + int(unit.get("StateChangeTimestampMonotonic") or 0) / 1e6)


def moment(text):
    """Seconds of an RFC 3339 time in UTC."""
    whole, _dot, rest = text.rstrip("Z").partition(".")
    import calendar

    seconds = calendar.timegm(time.strptime(whole[:19], "%Y-%m-%dT%H:%M:%S"))
    digits = "".join(c for c in rest[:9] if c.isdigit())
    return seconds + (float("0." + digits) if digits else 0)


def containers():
    for tool in ("docker", "podman"):
        if not shutil.which(tool):
            continue
        ids = ask(tool, "ps", "-aq", "--no-trunc").split()
        if not ids:
            continue
        for one in json.loads(ask(tool, "inspect", *ids)):
            state, started = one["State"], one["State"].get("StartedAt", "")[:30]
            put("container", "%s %s" % (tool, one["Name"].lstrip("/")),
                "%s %s %s started=%s" % (one["Id"][:12], one["Image"], state.get("Status"), started),
                max(moment(one["Created"]), moment(started) if started else 0))
    if shutil.which("crictl"):
        for one in json.loads(ask("crictl", "ps", "-a", "-o", "json")).get("containers", []):
            labels = one.get("labels") or {}
            name = "/".join(labels.get("io.kubernetes.%s.name" % part, "") for part in ("pod", "container"))
            put("container", "cri %s %s" % (labels.get("io.kubernetes.pod.namespace", ""), name),
                "%s %s %s" % (one["id"][:12], one.get("imageRef", ""), one.get("state")), int(one["createdAt"]) / 1e9)


kinds, paths = sys.argv[1].split(","), sys.argv[2:]
for kind, look in (("packages", packages), ("units", units), ("containers", containers), ("files", lambda: files(paths))):
    if kind in kinds:
        try:
            look()
        except Exception as error:  # pylint: disable=broad-except
            problems.append("%s: %s" % (kind, error))
print(json.dumps({"now": time.time(), "things": things, "problems": problems}))
