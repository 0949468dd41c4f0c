# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes what a run did as JSON lines, for the idempotence gate."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gate_events
type: notification
short_description: Write what a run did to a file, one JSON object a line
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Writes one JSON object a line for the run's beginning and end, every play with the hosts that it matched, and every result with
    its task, file, line, host, difference and outcome.
  - A line is also written for every task, with its keywords, and for the variables that hold templates, so that a reader can tell what
    depends on check mode.
  - Each line has a number, and the last one tells how many there are and what Ansible itself counted, so that a reader knows
    whether it read everything.
  - The module M(arcodange.sandbox.idempotence_gate) turns it on for its runs.
  - Without O(path) the plugin does nothing.
  - What a task hides by C(no_log) is not in the file. Differences are, as C(--diff) shows them; the file is the user's alone.
requirements:
  - enable in configuration
options:
  path:
    description: File to write to. It must not be there yet.
    type: str
    env:
      - name: ARCODANGE_SANDBOX_EVENTS
  output:
    description: Also write what commands printed.
    type: bool
    default: false
    env:
      - name: ARCODANGE_SANDBOX_EVENTS_OUTPUT
"""

import json
import os
import time

from ansible import context
from ansible.release import __version__
from ansible.plugins.callback import CallbackBase

# Maximal size of one difference in the file, in characters.
_DIFF_LIMIT = 32768


# Keywords that decide whether, where and how often a task runs, and what it returns.
_DECIDING = ("loop", "action", "delegate_to", "run_once", "changed_when", "failed_when")
# Variables of Ansible itself that hold others.
_COLLECTIONS = ("ansible_facts", "hostvars", "groups", "vars")


def _texts(value, depth=0):
    """Yield every string in a value that may be or contain an expression."""
    if isinstance(value, str):
        yield value
    elif depth < 8 and isinstance(value, dict):
        for one in value.values():
            yield from _texts(one, depth + 1)
    elif depth < 8 and isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one, depth + 1)


def _templates(value):
    return [text for text in _texts(value) if "{{" in text or "{%" in text]


def _collect(into, variables):
    """Add the templates of variables to those of the same name."""
    for name, value in variables.items():
        if name not in _COLLECTIONS:
            found = _templates(value)
            if found:
                into.setdefault(str(name), set()).update(found)


def _text(value):
    return value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True, indent=1)


def _conditions(value):
    """Return a condition as a list, which Ansible makes of it only when it evaluates it."""
    return [str(one) for one in (value if isinstance(value, list) else [] if value is None else [value])]


def _keyword(keyword, value, texts=None):
    return {"keyword": keyword, "value": _text(value)[:300], "texts": _templates(value) if texts is None else texts}


def _differs(diff):
    """Return whether a module's diff shows a difference."""
    if isinstance(diff, list):
        return any(_differs(one) for one in diff)
    if not isinstance(diff, dict):
        return bool(diff)
    if diff.get("prepared"):
        return True
    return ("before" in diff or "after" in diff) and diff.get("before") != diff.get("after")


def _shown(diff):
    """Return a difference as a list of before and after, shortened for the report."""
    out = []
    for one in diff if isinstance(diff, list) else [diff]:
        if not isinstance(one, dict) or not _differs(one):
            continue
        entry = {"header": str(one.get("after_header") or one.get("before_header") or "")}
        for key in ("before", "after", "prepared"):
            if key in one:
                entry[key] = _text(one[key])[:_DIFF_LIMIT]
        out.append(entry)
    return out


class CallbackModule(CallbackBase):
    """Writes each event with one write, so that a killed run leaves complete lines."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "gate_events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._file = None
        self._count = 0
        self._tasks = {}
        self._started = {}
        self._items = {}
        self._play = None
        self._roles = set()
        self._with_output = False

    def set_options(self, task_keys=None, var_options=None, direct=None):
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        path = self.get_option("path")
        if not path:
            self.disabled = True
            return
        self._with_output = bool(self.get_option("output"))
        # The loader reports an exception here and disables the plugin: without the file, the gate has no verdict.
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        arguments = context.CLIARGS
        self._write(
            "begin",
            {
                "version": 1,
                "ansible_core": __version__,
                "check": bool(arguments.get("check")),
                "tags": [str(tag) for tag in arguments.get("tags") or []],
                "skip_tags": [str(tag) for tag in arguments.get("skip_tags") or []],
                "start_at": str(arguments.get("start_at_task") or ""),
            },
        )

    def _write(self, kind, event):
        event["event"] = kind
        event["number"] = self._count
        event["time"] = time.time()
        self._count += 1
        line = json.dumps(event, default=str, separators=(",", ":")).encode("utf-8", "surrogateescape") + b"\n"
        while line:
            line = line[os.write(self._file, line):]

    def _task(self, task):
        """Return the fields that all results of a task share, computed once."""
        known = self._tasks.get(task._uuid)
        if known is None:
            block, rescued, imports = task._parent, False, []
            while block is not None:
                rescued = rescued or bool(getattr(block, "rescue", None))
                if getattr(block, "statically_loaded", False):
                    imports.append(getattr(block, "args", None))
                block = getattr(block, "_parent", None)
            known = {
                "task": str(task.get_name()).strip(),
                "where": task.get_path() or "",
                "action": str(task.action),
                "implicit": str(task.action).rpartition(".")[2] in ("gather_facts", "setup") and not getattr(task, "_ds", None),
                "rescued": rescued,
                "changed_when": _conditions(task.changed_when),
                "failed_when": _conditions(task.failed_when),
                "check_mode": task.check_mode if isinstance(task.check_mode, bool) else None,
                "when": _conditions(task.when),
            }
            if not task.implicit:
                self._describe(task, dict(known, id=task._uuid), imports)
            known["id"] = task._uuid
            self._tasks[task._uuid] = known
        return known

    def _variables(self, *sources):
        """Write the templates of variables, by name."""
        known = {}
        for variables in sources:
            _collect(known, variables)
        if known:
            self._write("variables", {"templates": {name: sorted(texts) for name, texts in known.items()}})

    def _describe(self, task, event, imports):
        """Write a task as it is in its file, with the fields that cannot be read."""
        try:
            role = task._role
            if role is not None and id(role) not in self._roles:
                self._roles.add(id(role))
                self._variables(role.get_default_vars(), role.get_vars())
            own, short = task.get_vars(), event["action"].rpartition(".")[2]
            event["vars"] = {str(name): [text for text in _texts(value) if "{" in text] for name, value in own.items()}
            event["keywords"] = []
            for name in _DECIDING:
                value = getattr(task, name)
                if value and isinstance(value, (str, list, tuple, dict)):
                    # A whole condition is an expression; in other texts only the part in braces.
                    event["keywords"].append(_keyword(name, value, list(_texts(value)) if name.endswith("_when") else None))
            if short in ("include_tasks", "include_role", "include_vars"):
                imports.append(task.args)
            event["files"] = [
                _keyword("file" if "_raw_params" in args else "name", args.get("_raw_params") or args, _templates(args)) for args in imports if args
            ]
            event["args"] = _templates(task.args)
            event["sets"] = [str(name) for name in task.args] if short == "set_fact" else []
            if task.register:
                # Since ansible-core 2.21 a task may register several, by name.
                event["sets"].extend([task.register] if isinstance(task.register, str) else map(str, task.register))
        except Exception as error:  # pylint: disable=broad-except
            event["unreadable"] = str(error)
        self._write("task", event)

    def _play_keywords(self, said):
        """Write the keywords of a play, and those of its tasks that are evaluated before it starts."""
        on = [_keyword(name, said[name]) for name in ("hosts", "serial", "vars_files", "tags") if name in said]
        todo = [said.get(section) for section in ("roles", "pre_tasks", "tasks", "post_tasks", "handlers")]
        while todo:
            for entry in todo.pop() or ():
                if not isinstance(entry, dict):
                    continue
                for keyword, value in entry.items():
                    short = str(keyword).rpartition(".")[2]
                    if short in ("block", "rescue", "always"):
                        todo.append(value)
                    elif short in ("tags", "import_tasks", "import_role"):
                        on.append(_keyword(short, value))
        return [one for one in on if one["texts"]]

    def _outcome(self, result):
        """Return the relevant fields of a result, or of one item of a loop."""
        out = {"changed": bool(result.get("changed"))}
        diff = result.get("diff")
        if diff and _differs(diff):
            out["differs"] = True
            out["diff"] = _shown(diff)
        for key in ("msg", "skip_reason", "skipped_reason", "false_condition"):
            if result.get(key) not in (None, ""):
                out[key] = _text(result[key])[:2000]
        if self._with_output and "stdout" in result:
            out["stdout"] = _text(result["stdout"])
        return out

    def _result(self, result, kind, ignored=False):
        task, host = result.task, result.host.get_name()
        data = result.result
        event = dict(self._task(task))
        event["host"] = host
        event["kind"] = kind
        event["began"] = self._started.pop((host, task._uuid), None)
        if ignored:
            event["ignored"] = True
        delegated = data.get("_ansible_delegated_vars")
        on = delegated.get("ansible_delegated_host") if isinstance(delegated, dict) else None
        if not on and task.delegate_to and "{" not in str(task.delegate_to):
            on = task.delegate_to
        if on:
            event["on"] = str(on)
        event.update(self._outcome(data))
        if kind in ("failed", "skipped"):
            event[kind] = True
        became = self._items.pop((host, task._uuid), {})
        items = data.get("results")
        if task.loop is not None or task.loop_with:
            event["items"] = []
            for item in items if isinstance(items, list) else []:
                if not isinstance(item, dict):
                    continue
                outcome = self._outcome(item)
                label = item.get("_ansible_item_label", item.get("item"))
                if not item.get("_ansible_no_log") and "censored" not in item and label is not None:
                    outcome["item"] = _text(label)[:200]
                for kind_, labels in became.items():
                    if _text(label) in labels:
                        outcome[kind_] = True
                event["items"].append(outcome)
        self._write("result", event)

    def v2_playbook_on_start(self, playbook):
        self._write("playbook", {"path": os.path.join(playbook._basedir, os.path.basename(playbook._file_name))})

    def v2_playbook_on_play_start(self, play):
        self._play = {"play": str(play.get_name()).strip(), "where": play.get_path() or ""}
        event = dict(self._play)
        event["check_mode"] = play.check_mode if isinstance(play.check_mode, bool) else None
        inventory = play.get_variable_manager()._inventory
        # With serial this is called for every batch; the matched hosts are those of all batches.
        event["hosts"] = [host.get_name() for host in inventory.get_hosts(play.hosts, ignore_restrictions=True)]
        self._roles = set()
        try:
            event["keywords"] = self._play_keywords(play.get_ds() or {})
            manager = play.get_variable_manager()
            hosts = inventory.get_hosts(play.hosts, ignore_restrictions=True)
            variables = [manager.get_vars(play=play, host=host, include_hostvars=False) for host in hosts]
        except Exception as error:  # pylint: disable=broad-except
            variables, event["unreadable"] = [], str(error)
        self._write("play", event)
        self._variables(*variables)

    def v2_playbook_on_no_hosts_matched(self):
        self._write("no_hosts", dict(self._play or {}))

    # Here the task is still as in its file; a result's task may be templated.

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._task(task)

    def v2_playbook_on_handler_task_start(self, task):
        self._task(task)

    def v2_runner_on_start(self, host, task):
        self._started[(host.get_name(), task._uuid)] = time.time()

    def v2_runner_on_ok(self, result):
        self._result(result, "ok")
        if result.task.action in ("include_vars", "ansible.builtin.include_vars", "ansible.legacy.include_vars"):
            facts = result.result.get("ansible_facts")
            self._variables(facts if isinstance(facts, dict) else {})

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._result(result, "failed", ignored=bool(ignore_errors))

    def v2_runner_on_unreachable(self, result):
        self._result(result, "unreachable", ignored=bool(result.result.get("ignore_unreachable") or result.task.ignore_unreachable))

    def v2_runner_on_skipped(self, result):
        self._result(result, "skipped")

    # Ansible removes `failed` and `skipped` from an item's result before it calls callbacks; only the kind of the call shows them.

    def _item(self, result, kind):
        data = result.result
        became = self._items.setdefault((result.host.get_name(), result.task._uuid), {})
        became.setdefault(kind, set()).add(_text(data.get("_ansible_item_label", data.get("item"))))

    def v2_runner_item_on_failed(self, result):
        self._item(result, "failed")

    def v2_runner_item_on_skipped(self, result):
        self._item(result, "skipped")

    def v2_playbook_on_stats(self, stats):
        self._write("end", {"hosts": {host: stats.summarize(host) for host in sorted(stats.processed)}})
