# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the binary that holds a module, and run it.

Two kits exist. The *target* kit holds the modules that run where the task runs; it lies unpacked beside the modules so
that Ansible can transfer it. The *controller* kit holds the modules that only ever run on the controller, and the guard; it is
large, so it is packed, and unpacked into a cache by content.

This file knows where binaries are and how Ansible runs them. It decides nothing else: arguments are checked, and
results made, by the binaries.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import lzma
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time

from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.text.converters import to_text
from ansible.plugins.action import ActionBase

COLLECTION = "arcodange.sandbox"
CALL_KEY = "_kit_call"

PLUGINS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
MODULES = os.path.join(PLUGINS, "modules")
PACKED = os.path.join(PLUGINS, "bin")
SUMS = os.path.join(PACKED, "SHA256SUMS")

_GOOS = {"linux": "linux", "darwin": "darwin"}
_GOARCH = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}

# Timeout for a binary to clean up after SIGTERM, slightly longer than its own.
_GRACE_SECONDS = 25


class KitError(Exception):
    """A binary is missing, is for another platform, or has another digest."""


def platform_name(system, machine):
    """Return ``goos_goarch`` for what ``uname -s`` and ``uname -m`` print."""
    goos = _GOOS.get((system or "").strip().lower())
    goarch = _GOARCH.get((machine or "").strip().lower())
    if goos is None or goarch is None:
        raise KitError(
            "there is no binary for %s on %s; the collection is built for linux and darwin on x86_64 and arm64"
            % (system or "an unknown system", machine or "an unknown machine")
        )
    return "%s_%s" % (goos, goarch)


def controller_platform():
    """Return the controller's own ``goos_goarch``."""
    return platform_name(platform.system(), platform.machine())


def _how_to_build():
    if os.path.exists(os.path.join(os.path.dirname(PLUGINS), "go.mod")):
        return "run `make build` in the checkout"
    return "install the collection again: ansible-galaxy collection install --force %s" % COLLECTION


def _sums():
    try:
        with open(SUMS, encoding="utf-8") as lines:
            return {name: digest for digest, name in (line.split() for line in lines if line.strip())}
    except (OSError, ValueError) as error:
        raise KitError("the list of binaries %s cannot be read (%s); %s" % (SUMS, error, _how_to_build())) from None


# Digests of files that this process has read, with metadata that changes with the content. Ansible's workers are
# forked from the process that loaded the inventory and verified the guard, so they need not read it again.
_digests = {}


def _digest(path):
    """Return the SHA-256 of a file in hexadecimal, cached until the file changes."""
    with open(path, "rb") as data:
        begun, at_first = time.time(), _identity(data)
        known = _digests.get(path)
        if known and known[0] == at_first:
            return known[1]
        digest = hashlib.file_digest(data, "sha256").hexdigest()
        # A second write within one tick of the file system's clock would not change the metadata.
        if at_first == _identity(data) and begun - os.fstat(data.fileno()).st_ctime > 2:
            _digests[path] = (at_first, digest)
        return digest


def _identity(file):
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _wanted(name):
    digest = _sums().get(name)
    if digest is None:
        raise KitError("the collection has no binary %s; %s" % (name, _how_to_build()))
    return digest


def _verify(path, name):
    wanted = _wanted(name)
    try:
        found = _digest(path)
    except OSError as error:
        raise KitError("the binary %s cannot be read (%s); %s" % (path, error.strerror, _how_to_build())) from None
    if found != wanted:
        raise KitError(
            "the binary %s is not the one that was built: its SHA-256 is %s and must be %s; %s"
            % (path, found, wanted, _how_to_build())
        )
    return path


def target_binary(platform_):
    """Return the verified path of the target kit for ``goos_goarch``."""
    name = "target_%s" % platform_
    return _verify(os.path.join(MODULES, "__" + name), name)


def user_folder(variable, *usual):
    """Return this project's folder below the one that ``variable`` names, or below ``usual`` in the user's home.

    A relative name is passed over, as the XDG Base Directory Specification wants it; the binaries do the same.
    """
    base = os.environ.get(variable, "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), *usual)
    return os.path.join(base, "arcodange-sandbox")


def _cache_dir():
    return os.path.join(user_folder("XDG_CACHE_HOME", ".cache"), "bin")


def _forget_old(keep):
    """Remove binaries of other versions, unused for a month; ignore those that cannot be removed."""
    root, newest = os.path.dirname(keep), time.time() - 30 * 24 * 3600
    for name in os.listdir(root):
        directory = os.path.join(root, name)
        try:
            if directory != keep and os.stat(directory).st_mtime < newest:
                shutil.rmtree(directory, ignore_errors=True)
        except OSError:
            continue


# The names under which the controller kit is the guard.
_NAMES = ("ssh", "scp", "sftp", "prod-ip-guard")


def controller_binary():
    """Return the verified path of the controller kit."""
    return _unpacked("controller", _NAMES)


def guard_binary():
    """Return the verified path of the guard; next to it are the links through which it replaces OpenSSH's programs."""
    return os.path.join(os.path.dirname(controller_binary()), "prod-ip-guard")


def _unpacked(kit, names=()):
    """Return the verified path of a packed kit, unpacking it first if no play has yet.

    The cache is by content, so another version of the collection never finds this one's binary. Several processes may
    unpack at once: they take turns, and a file shows up under its name only once it is whole.
    """
    name = "%s_%s" % (kit, controller_platform())
    wanted = _wanted(name)
    directory = os.path.join(_cache_dir(), wanted)
    path = os.path.join(directory, name)

    def ready():
        return (
            os.path.exists(path)
            and _digest(path) == wanted
            and all(os.path.realpath(os.path.join(directory, other)) == os.path.realpath(path) for other in names)
        )

    if ready():
        with contextlib.suppress(OSError):  # a cache that is only read
            os.utime(directory)  # it is in use: see _forget_old
        return path
    packed = os.path.join(PACKED, name + ".xz")
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        lock = open(os.path.join(directory, ".lock"), "w", encoding="utf-8")
    except OSError as error:
        raise KitError("unpacking %s into %s: %s; make that directory writable" % (packed, directory, error.strerror)) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready():
            return path
        handle, unpacked = tempfile.mkstemp(prefix=name, dir=directory)
        try:
            with os.fdopen(handle, "wb") as out, lzma.open(packed) as data:
                while block := data.read(1 << 20):
                    out.write(block)
            _verify(unpacked, name)
            os.chmod(unpacked, 0o700)
            os.replace(unpacked, path)
            for other in names:
                link = os.path.join(directory, ".%s.%d" % (other, os.getpid()))
                os.symlink(name, link)
                os.replace(link, os.path.join(directory, other))
            _forget_old(directory)
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise KitError("unpacking %s: %s; %s" % (packed, error, _how_to_build())) from None
        finally:
            if os.path.exists(unpacked):
                os.unlink(unpacked)
    return path


def parse_result(stdout, stderr, code, what, silent=False):
    """Return the JSON object that a binary printed, or a failure that describes its output.

    What the binary said on standard error helps to see why, and may hold anything: with ``silent`` it is left out.
    """
    try:
        text = to_text(stdout, errors="strict").strip()
        result = json.loads(text) if text else None
    except ValueError:
        text, result = "?", None
    if code >= 0 and isinstance(result, dict):
        return result
    if code < 0:
        problem = "was killed by %s" % _signal_name(-code)
    elif text:
        problem = "ended with status %d and printed something else than one JSON object" % code
    else:
        problem = "ended with status %d and no result" % code
    last = [line for line in to_text(stderr, errors="replace").strip().splitlines() if line.strip()][-1:]
    if last and not silent:
        problem += ": " + last[0].strip()
    return {"failed": True, "changed": False, "msg": "%s %s" % (what, problem)}


def _signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return "signal %d" % number


def run_binary(path, args, environment=None, what="the module"):
    """Run a kit on the controller with ``args`` and return its result.

    The arguments may hold secrets: they go through a pipe and never touch a disk or a command line. If the caller is
    interrupted (a task's timeout, Ctrl-C), the binary gets SIGTERM and this waits for it, so that it can clean up.
    """
    env = dict(os.environ)
    env.update(environment or {})
    with subprocess.Popen(
        [path, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, start_new_session=True
    ) as process:
        try:
            stdout, stderr = process.communicate(json.dumps(args).encode("utf-8"))
        except BaseException:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    return parse_result(stdout, stderr, process.returncode, what, silent=bool(args.get("_ansible_no_log")))


# Prints the first folder of this list in which a program can run.
_FIND_EXECUTABLE = (
    "for base in /dev/shm /var/tmp /tmp /run/user/$(id -u) /run/lock; do "
    't=$(mktemp -d "$base/ansible-XXXXXXXX" 2>/dev/null) || continue; '
    "printf '#!/bin/sh\\nexit 0\\n' >\"$t/x\"; chmod 700 \"$t/x\"; "
    'if "$t/x" 2>/dev/null; then rm -r "$t"; echo "$base"; break; fi; rm -r "$t"; done'
)


def _not_executable(result):
    """Return whether the target's shell was not allowed to run the binary."""
    said = to_text(result.get("module_stderr") or "") + to_text(result.get("module_stdout") or "")
    return result.get("rc") == 126 and "ermission denied" in said


class KitAction(ActionBase):
    """Base class of the collection's action plugins. Each subclass is one module, named like its file."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    # The kit with the module: "target" or "controller".
    kit = "target"

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        name = self._task.action.rpartition(".")[2]
        args = self._arguments()
        try:
            if self.kit == "controller":
                found = self._run_here(controller_binary(), name, args, task_vars)
            elif self._connection.transport == "local" and not self._play_context.become:
                found = self._run_here(target_binary(controller_platform()), name, args, task_vars)
            else:
                found = self._run_there(name, args, task_vars)
        except KitError as error:
            raise AnsibleActionFail("%s: %s" % (name, error)) from None
        result.update(found)
        return result

    def _arguments(self):
        """Return the task's arguments; keys of Ansible and of this plugin are refused."""
        args = dict(self._task.args)
        smuggled = sorted(key for key in args if key == CALL_KEY or str(key).startswith("_ansible_"))
        if smuggled:
            raise AnsibleActionFail(
                "unsupported arguments: %s; they are set by Ansible itself, remove them from the task" % ", ".join(smuggled)
            )
        return args

    def _run_here(self, path, name, args, task_vars):
        """Run a kit as a child of this process: nothing to transfer, no interpreter to find."""
        environment = {}
        self._compute_environment_string(environment)
        environment.update(self._told())
        args = dict(args)
        args[CALL_KEY] = name
        args["_ansible_check_mode"] = bool(self._task.check_mode)
        args["_ansible_diff"] = bool(self._task.diff)
        args["_ansible_no_log"] = bool(self._task.no_log)
        args["_ansible_verbosity"] = self._display_verbosity()
        return run_binary(path, args, environment, what="%s.%s" % (COLLECTION, name))

    @staticmethod
    def _display_verbosity():
        from ansible.utils.display import Display

        return Display().verbosity

    def _told(self):
        """Return variables for the binary that a task must not be able to set."""
        return {}

    def _run_there(self, name, args, task_vars):
        """Let Ansible transfer the target kit for the target's own platform and run it there."""
        kit = target_binary(self._target_platform(task_vars))
        args = dict(args)
        args[CALL_KEY] = name
        module = "%s.%s" % (COLLECTION, os.path.basename(kit))
        result = self._execute_module(module_name=module, module_args=args, task_vars=task_vars)
        if not _not_executable(result):
            return result
        # Python's modules run from a folder on a file system without programs (noexec); a binary does not.
        shell = self._connection._shell
        refused = os.path.dirname((shell.tmpdir or "").rstrip("/"))
        found = to_text(self._low_level_execute_command(_FIND_EXECUTABLE, sudoable=False).get("stdout", "")).split()
        if found:
            before = shell.get_option("remote_tmp"), shell.get_option("system_tmpdirs")
            self._remove_tmp_path(shell.tmpdir)
            shell.tmpdir = None
            try:
                shell.set_option("remote_tmp", found[0])
                shell.set_option("system_tmpdirs", found[:1])
                result = self._execute_module(module_name=module, module_args=args, task_vars=task_vars)
            finally:
                shell.set_option("remote_tmp", before[0])
                shell.set_option("system_tmpdirs", before[1])
        if not _not_executable(result):
            return result
        return {"failed": True, "changed": False, "msg": (
            "%s: programs cannot run there (the file system is mounted noexec), and in no other folder that was tried; "
            "set ansible_remote_tmp of this host to a folder where they can" % refused)}

    def _target_platform(self, task_vars):
        facts = task_vars.get("ansible_facts") or {}
        system, machine = facts.get("system"), facts.get("architecture")
        if self._task.delegate_to:
            # The available facts may be those of the delegating host.
            delegated = (task_vars.get("ansible_delegated_vars") or {}).get(self._task.delegate_to) or {}
            facts = delegated.get("ansible_facts") or {}
            system, machine = facts.get("system"), facts.get("architecture")
        if not (system and machine):
            answer = self._low_level_execute_command("uname -s && uname -m", sudoable=False)
            words = to_text(answer.get("stdout", "")).split()
            if answer.get("rc") != 0 or len(words) < 2:
                raise KitError(
                    "finding out the platform of %s: `uname -s && uname -m` ended with status %s: %s"
                    % (task_vars.get("inventory_hostname", "the target"), answer.get("rc"), to_text(answer.get("stderr", "")).strip())
                )
            system, machine = words[-2:]
        return platform_name(system, machine)
