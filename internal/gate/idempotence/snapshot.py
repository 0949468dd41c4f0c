# SPDX-License-Identifier: GPL-3.0-or-later
"""Print a snapshot of a machine as one JSON object. Arguments: the kinds to include, the sandbox's name, then the paths to watch."""

import calendar
import glob
import hashlib
import json
import os
import re
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
                # Any change updates ctime, and no system call sets it.
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


def removals(log):
    """Record when dpkg removed each package: its log has seconds in the machine's time zone."""
    if not os.path.exists(log):
        return
    with open(log, encoding="utf-8", errors="replace") as lines:
        for words in (line.split() for line in lines):
            if len(words) > 3 and words[2] in ("remove", "purge"):
                when = time.mktime(time.strptime(" ".join(words[:2]), "%Y-%m-%d %H:%M:%S"))
                for name in (words[3], words[3].partition(":")[0]):
                    things["clock package " + name] = {"state": "", "time": when}


def packages():
    if shutil.which("dpkg-query"):
        status = os.stat("/var/lib/dpkg/status").st_mtime
        for line in ask("dpkg-query", "-W", "-f", "${binary:Package}\t${Version} ${db:Status-Abbrev}\n").splitlines():
            name, state = line.split("\t", 1)
            known = "/var/lib/dpkg/info/%s.list" % name
            put("package", name, state.strip(), os.stat(known).st_mtime if os.path.exists(known) else status)
        clock("packages", "/var/lib/dpkg/status")
        removals("/var/log/dpkg.log")
    elif shutil.which("rpm"):
        for line in ask("rpm", "-qa", "--qf", "%{NAME}.%{ARCH}\t%{VERSION}-%{RELEASE}\t%{INSTALLTIME}\n").splitlines():
            name, state, when = line.split("\t")
            put("package", name, state, float(when))


def units():
    if not os.path.isdir("/run/systemd/system"):
        return
    clock("units", "/etc/systemd/system", "/lib/systemd/system", *glob.glob("/etc/systemd/system/*.*/"))
    boot = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
    wanted = "Id,LoadState,ActiveState,UnitFileState,InvocationID,TriggeredBy,BusName,StateChangeTimestampMonotonic"
    kinds_of = "--type=service,socket,timer"
    found = {}
    for line in ask("systemctl", "list-unit-files", kinds_of, "--no-legend", "--plain", "--no-pager").splitlines():
        name, enabled = line.split()[:2]
        if "@." not in name:
            found[name] = ["enabled=" + enabled, 0]
    for block in ask("systemctl", "show", "--property=" + wanted, kinds_of, "*").strip().split("\n\n"):
        unit = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        name, active, enabled = unit.get("Id", ""), unit.get("ActiveState"), unit.get("UnitFileState")
        # A unit that a timer, a path or a D-Bus call starts runs without a task.
        by_itself = any(kind in unit.get("TriggeredBy", "") for kind in (".timer", ".path")) or unit.get("BusName", "").startswith("org.freedesktop.")
        rests = by_itself or active not in ("active", "reloading", "failed")
        if unit.get("LoadState") == "not-found" or rests and name not in found:
            continue
        state = "enabled=%s" % (enabled or "-")
        if not rests:
            # A reloading unit is active, and reports that a moment later.
            state += " active=%s" % ("failed" if active == "failed" else "active")
            if active != "failed" and name.endswith(".service"):
                state += " run=%s" % unit.get("InvocationID")
        found[name] = [state, boot + int(unit.get("StateChangeTimestampMonotonic") or 0) / 1e6]
    stopped = stops()
    for name, (state, changed) in found.items():
        # Units of logins and connections also start and stop without a task.
        if not name.startswith(("user@", "user-runtime-dir@", "ssh@", "sshd@", "getty@")):
            put("unit", name, state, changed or stopped.get(name, 0))


def stops():
    """Record when each unit was last stopped, from the journal: systemd unloads unused units."""
    if not shutil.which("journalctl"):
        return {}
    done = subprocess.run(("journalctl", "--output=json", "--no-pager", "--since=-1d", "--lines=1000", "--output-fields=UNIT",
                           "MESSAGE_ID=9d1aaa27d60140bd96365438aad20286"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    entries = [json.loads(line) for line in done.stdout.decode("utf-8", "replace").splitlines()]
    return {one["UNIT"]: int(one["__REALTIME_TIMESTAMP"]) / 1e6 for one in entries if "UNIT" in one}


def clock(name, *paths):
    """Record when any of these was last written: the only time of a removed file."""
    times = [os.stat(path).st_mtime for path in paths if os.access(path, os.F_OK)]
    things["clock " + name] = {"state": "", "time": max(times) if times else 0}


def moment(text):
    """Return the seconds of an RFC 3339 time; 0 for the zero time."""
    found = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(?:Z|([+-])(\d\d):?(\d\d))$", text)
    if not found or text.startswith("0001"):
        return 0
    whole, part, sign, hours, minutes = found.groups()
    offset = (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1) if sign else 0
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(part or 0) - offset


def containers():
    # The kubelet starts the containers of pods; the objects of the cluster are compared instead.
    for tool, socket in (("docker", "/var/run/docker.sock"), ("podman", None)):
        if not shutil.which(tool):
            continue
        if socket and not os.environ.get("DOCKER_HOST"):
            there = os.path.exists(socket)
            put("engine", tool, "socket %s" % ("there" if there else "absent"), os.stat(socket if there else os.path.dirname(socket)).st_ctime)
            if not there:
                continue
        clock("containers", "/var/lib/docker/containers", "/var/lib/containers/storage/overlay-containers")
        if tool == "docker":
            removed = ask(tool, "events", "--since=24h", "--until=0s", "--filter=type=container", "--filter=event=destroy", "--format={{json .}}")
            for event in (json.loads(line) for line in removed.splitlines()):
                name = event.get("Actor", {}).get("Attributes", {}).get("name", "")
                things["clock container docker " + name] = {"state": "", "time": event.get("timeNano", 0) / 1e9}
        ids = ask(tool, "ps", "-aq", "--no-trunc").split()
        if not ids:
            continue
        for one in json.loads(ask(tool, "inspect", *ids)):
            state = one["State"]
            began, ended = state.get("StartedAt", ""), state.get("FinishedAt", "")
            # Skip machines of other sandboxes on the same engine.
            if sandbox and (one["Config"].get("Labels") or {}).get("org.arcodange.sandbox", sandbox) != sandbox:
                continue
            put("container", "%s %s" % (tool, one["Name"].lstrip("/")),
                "%s %s %s started=%s" % (one["Id"][:12], one["Image"], state.get("Status"), began),
                max(moment(text) for text in (one["Created"], began, ended)))


kinds, sandbox, paths = sys.argv[1].split(","), sys.argv[2], sys.argv[3:]
# Containers first: listing them may start the engine's service.
for kind, look in (("containers", containers), ("packages", packages), ("units", units), ("files", lambda: files(paths))):
    if kind in kinds:
        try:
            look()
        except Exception as error:  # pylint: disable=broad-except
            problems.append("%s: %s" % (kind, error))
print(json.dumps({"now": time.time(), "things": things, "problems": problems}))
