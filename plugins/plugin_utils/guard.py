# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restrict a process that loads the sandbox's inventory, whatever command or ansible.cfg it was started with.

The guard binary decides (internal/guard/loadpolicy). This file sends it the command line as Ansible parsed it, and applies
the answer: it ends the process, replaces connection plugins, and changes the environment.
"""

from __future__ import annotations

import datetime
import json
import math
import multiprocessing
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Mapping

from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleError
from ansible.executor.process.worker import WorkerProcess
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.splitter import parse_kv
# Loaded here, so that no plugin of the same name beside a playbook or in a role is loaded in their place.
from ansible.plugins.connection import local as _local, ssh as _ssh  # pylint: disable=unused-import
from ansible.plugins.loader import connection_loader
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars

from ansible_collections.arcodange.sandbox.plugins.plugin_utils.kit import PLUGINS, KitError, guard_binary, user_folder

REFUSED = 3  # exit status, of the binary too


class Refusal(Exception):
    """A refusal of the guard, in one line."""


class Process:
    """The decision about this process. Workers are forked, so they have it too."""

    boundary = digest = None  # path and SHA-256 of the manifest when it was loaded
    override = None  # whether the run may leave the sandbox
    promotion = False  # a promotion is restricted until its gate is green; the override is for the run that it then starts
    run = None  # identifies this run in the log of overrides
    early = False  # load_early was called
    environment = None  # as it was at first, for the run that a promotion starts


def state_folder():
    """Return the directory of the log of overrides."""
    return user_folder("XDG_STATE_HOME", ".local", "state")


def run_guard(command, boundary, request, *flags):
    """Run a command of the guard binary; return its exit status and what it printed."""
    try:
        done = subprocess.run(
            [guard_binary(), command, "--boundary", boundary, *flags], input=request, capture_output=True, text=True, check=False, timeout=120,
        )
    except (KitError, OSError, subprocess.SubprocessError) as error:
        raise Refusal("the guard cannot be run: %s" % error) from error
    if done.returncode not in (0, REFUSED):
        raise Refusal((done.stderr.strip().splitlines() or ["the guard ended with status %d" % done.returncode])[-1].removeprefix("prod-ip-guard: "))
    return done.returncode, done.stdout


def _plain(value):
    """Convert a value for JSON. Any other type may be a secret, and becomes an object with the type's name."""
    if value is None or isinstance(value, int) or isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, (str, float, datetime.date)):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return {"unreadable": type(value).__name__}


def sources():
    """Return the sources of the inventory, of the command line or of the configuration."""
    return [str(source) for source in context.CLIARGS.get("inventory") or ()]


def _files(path, parents=()):
    """Yield every file at or below a path. Links are followed, as Ansible follows them."""
    if not os.path.isdir(path):
        yield path
        return
    for name in sorted(os.listdir(path)) if os.path.realpath(path) not in parents else ():
        yield from _files(os.path.join(path, name), (*parents, os.path.realpath(path)))


def _manifest_in(source):
    """Return the boundary manifest that Ansible finds in a source, or None."""
    try:
        for path in _files(source):
            directories = os.path.relpath(path, source).split(os.sep)[:-1]
            if os.path.basename(path) in ("boundary.yml", "boundary.yaml") and os.path.isfile(path) and not {"group_vars", "host_vars"} & set(directories):
                return os.path.abspath(path)
    except OSError:
        pass  # Ansible cannot read it either
    return None


def _record(targets):
    """Return what the log of overrides records of this run; the binary leaves secrets of the command line out."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name  # getpass would believe the environment
    except KeyError:
        user = "uid %d" % os.getuid()
    return {"run": Process.run, "targets": targets, "command": list(map(str, sys.argv)), "user": user}


def record_host(target, boundary):
    """Record a host before a run with an override connects to it. Without a record there is no connection."""
    status, out = run_guard("override", boundary, json.dumps(_record([target])), "--reached", "--state", state_folder())
    if status:
        raise Refusal(out.strip())


def override_request(loader, early=False):
    """Return what this run was given about i_mean_prod, for the binary to decide about; None if nothing."""
    inline, later, request = {}, [], {}
    for text in map(str, context.CLIARGS.get("extra_vars") or ()):
        if text.startswith("@"):
            later.append(text[1:])
            continue
        values = loader.load(text) if text[:1] in "{[" else parse_kv(text)
        if isinstance(values, Mapping):  # else Ansible refuses it
            inline.update(values)
            later = [] if "i_mean_prod" in values else later  # Ansible takes the last value
    given, values, problem = "i_mean_prod" in inline, inline, ""
    if later if given else not early:
        try:
            merged = load_extra_vars(loader)
            values = values if given else merged
            request["effective"] = _plain(merged.get("i_mean_prod"))
        except AnsibleError as error:
            problem = " ".join(str(error).split())
    if "i_mean_prod" not in values:
        return None
    Process.run = Process.run or "%d-%d" % (int(time.time()), os.getpid())
    patterns = [str(context.CLIARGS[key]) for key in ("subset", "args", "pattern") if isinstance(context.CLIARGS.get(key), str)]
    return dict(
        _record(patterns or ["all"]), **request, value=_plain(values["i_mean_prod"]), origin="a file of variables", command_line=given, later_files=later,
        problem=problem, cluster=str(inline.get("i_mean_prod_cluster", "")), token=str(inline.get("i_mean_prod_token", "")),
        playbooks=[os.path.abspath(str(name)) for name in context.CLIARGS.get("args") or ()] if "start_at_task" in context.CLIARGS else [],
    )


def load_early():
    """Restrict this process before its first source is read: a program among the sources would run with production's credentials."""
    if not Process.early and not Process.boundary:
        Process.early = True
        if boundary := next(filter(None, map(_manifest_in, sources())), None):
            loader = DataLoader()  # without vault secrets
            if context.CLIARGS.get("basedir"):
                loader.set_basedir(context.CLIARGS["basedir"])
            _apply(loader, boundary, early=True)


def load(loader, boundary):
    """Restrict this process as its inventory is loaded."""
    if not Process.boundary:
        _apply(loader, boundary, early=False)
    elif os.path.realpath(Process.boundary) != os.path.realpath(boundary):
        stop("%s is a second boundary manifest beside %s, and a run has one; give one of the inventories" % (boundary, Process.boundary))


def _apply(loader, boundary, early):
    """Get the load policy and apply it, or end the process: Ansible would turn any other error into a warning."""
    try:
        policy = _load_policy(loader, boundary, early)
        if policy["refusal"]:
            raise Refusal(policy["refusal"])
        Process.override = policy["override"] or None if early else policy["override"]
        for warning in policy["warnings"] or ():
            Display().warning(warning)
        if not early:
            Process.boundary, Process.digest, Process.promotion = boundary, policy["digest"], policy["promotion"]
            _replace_connections(policy["connections"])
        if policy["environment"]:
            _change_environment(**policy["environment"])
    except Refusal as refusal:
        stop(refusal)
    except Exception as error:  # pylint: disable=broad-except
        stop("this run cannot be restricted to the sandbox: %s" % error)


def _load_policy(loader, boundary, early):
    try:
        extra, problem = {} if early else load_extra_vars(loader), ""
    except AnsibleError as error:
        extra, problem = {}, str(error)
    request = {
        "early": early, "granted": bool(Process.override), "override": None if Process.override else override_request(loader, early),
        "options": _plain(context.CLIARGS), "playbooks": "start_at_task" in context.CLIARGS, "extra_vars": _plain(extra), "extra_vars_problem": problem,
        "sources": [{"name": source, "files": list(_files(source)) if os.path.exists(source) else None} for source in sources()],
        "yaml_extensions": list(C.YAML_FILENAME_EXTENSIONS), "promotion_playbook": os.path.join(os.path.dirname(PLUGINS), "playbooks", "promote.yml"),
    }
    return json.loads(run_guard("load", boundary, json.dumps(request), "--state", state_folder())[1])


def stop(refusal):
    """End the process. Ansible turns an exception in an inventory plugin into a warning, but not SystemExit.

    In a worker that would be taken for a crash, so there only the task fails.
    """
    if isinstance(multiprocessing.current_process(), WorkerProcess):
        raise AnsibleError("prod-ip-guard: refused: %s" % refusal)
    print("prod-ip-guard: refused: %s" % refusal, file=sys.stderr, flush=True)
    raise SystemExit(REFUSED)


def _replace_connections(allowed):
    """Load the allowed plugin for each name of a connection, in this process and its workers."""
    original = connection_loader.get_with_context

    def replaced(name, *args, **kwargs):
        if not isinstance(name, str):
            raise AnsibleError("prod-ip-guard: refused: the connection %s is not the name of a plugin" % name)
        if name not in allowed and not kwargs.get("class_only"):
            if not Process.override:
                raise AnsibleError("prod-ip-guard: refused: the connection %s is not guarded; use ssh" % name)
            try:
                record_host("a host by the connection %s" % name, Process.boundary)
            except Refusal as refusal:
                raise AnsibleError("prod-ip-guard: refused: %s" % refusal) from refusal
        return original(allowed.get(name, name), *args, **kwargs)

    connection_loader.get_with_context = replaced


def _change_environment(unset, set, path):  # pylint: disable=redefined-builtin
    if Process.environment is None:
        Process.environment = dict(os.environ)
    for name, reason in unset.items():
        Display().vvv("prod-ip-guard: left %s out of the environment: %s" % (name, reason))
        os.environ.pop(name, None)
    os.environ.update(set)
    os.environ["PATH"] = os.pathsep.join([path] + [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part != path])
