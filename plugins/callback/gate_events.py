# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes what a run did as JSON lines. It reports and decides nothing: whoever reads the file judges."""

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
    its task, file, line, host, difference and what became of it.
  - A line is also written for a task or a play that hinges on check mode where no result would tell of it, such as a C(meta) with a
    condition that mentions C(ansible_check_mode), by itself or through variables.
  - Each line has a number, and the last one tells how many there are and what Ansible itself counted, so that a reader knows
    whether it read everything.
  - The module M(arcodange.sandbox.idempotence_gate) turns it on for the runs that it watches.
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
import re
import time

from ansible import context
from ansible.release import __version__
from ansible.plugins.callback import CallbackBase

# What one difference may take in the file. Whether there is one is judged before it is cut.
_DIFF_LIMIT = 32768


_CHECK_MODE = re.compile(r"(?i)check[ _-]?mode")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Keywords that decide whether, where and how often a task runs, and what it says of itself.
_DECIDING = ("loop", "action", "delegate_to", "run_once", "changed_when", "failed_when")


def _texts(value, depth=0):
    """Every text within a value that may be an expression or hold one."""
    if isinstance(value, str):
        yield value
    elif depth < 8 and isinstance(value, dict):
        for one in value.values():
            yield from _texts(one, depth + 1)
    elif depth < 8 and isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one, depth + 1)


class _CheckMode:
    """Finds out what hinges on check mode: it mentions it, or a variable whose text does, however many steps away.

    It goes by names, wherever a variable of that name is set, so that it rather finds too much than too little.
    """

    def __init__(self):
        self._carriers = set()  # variables that a task of this run has set from what hinges on it
        self._known = {}  # the templates of the play's variables, its hosts' and its roles', by name
        self._roles = set()
        self._play = None
        self._judged = {}

    def begin(self, play):
        self._play, self._known, self._roles, self._judged = play, None, set(), {}

    def _learn(self, variables):
        for name, value in variables.items():
            if name in ("ansible_facts", "hostvars", "groups", "vars"):
                continue
            found = list(_templates(value))
            if found:
                self._known.setdefault(name, set()).update(found)

    def _of(self, name, task):
        """The templates that a variable of this name may be made of."""
        if self._known is None:
            self._known = {}
            manager = self._play.get_variable_manager()
            for host in manager._inventory.get_hosts(self._play.hosts, ignore_restrictions=True):
                self._learn(manager.get_vars(play=self._play, host=host, include_hostvars=False))
        role = task._role if task is not None else None
        if role is not None and id(role) not in self._roles:
            self._roles.add(id(role))
            self._learn(role.get_default_vars())
            self._learn(role.get_vars())
            self._judged.clear()
        return self._known.get(name, ())

    def hinges(self, value, task=None, own=None, seen=None):
        """Whether a keyword's value does, of a task with variables of its own."""
        for text in _texts(value):
            if _CHECK_MODE.search(text):
                return True
            for name in _NAME.findall(text):
                if self._variable(name, task, own, seen):
                    return True
        return False

    def _variable(self, name, task, own, seen):
        if name in self._carriers:
            return True
        if seen is not None and name in seen:
            return False
        # What a task's own variables say holds for that task alone.
        if not own and name in self._judged:
            return self._judged[name]
        inner = (seen or set()) | {name}
        found = bool(own) and name in own and self.hinges([text for text in _texts(own[name]) if "{" in text], task, own, inner)
        found = found or self.hinges(list(self._of(name, task)), task, own, inner)
        if not own and (found or seen is None):
            self._judged[name] = found
        return found

    def carry(self, names):
        self._carriers.update(names)
        self._judged.clear()

    def learn(self, variables):
        """Take note of variables that came during the run."""
        if self._known is not None:
            self._learn(variables)
            self._judged.clear()


def _templates(value):
    return (text for text in _texts(value) if "{{" in text or "{%" in text)


def _text(value):
    return value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True, indent=1)


def _conditions(value):
    """A condition as a list, which it is only after Ansible has worked it out."""
    return [str(one) for one in (value if isinstance(value, list) else [] if value is None else [value])]


def _said(keyword, value):
    return {"keyword": keyword, "says": _text(value)[:300]}


def _differs(diff):
    """Whether what a module returned as its difference is one."""
    if isinstance(diff, list):
        return any(_differs(one) for one in diff)
    if not isinstance(diff, dict):
        return bool(diff)
    if diff.get("prepared"):
        return True
    return ("before" in diff or "after" in diff) and diff.get("before") != diff.get("after")


def _shown(diff):
    """Return a difference as a list of before and after, cut to a size that a report can hold."""
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
    """Writes events as they come. Each is one write, so that a run that is killed leaves whole lines."""

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
        self._seen = set()
        self._mode = _CheckMode()
        self._imported = set()
        self._with_output = False

    def set_options(self, task_keys=None, var_options=None, direct=None):
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        path = self.get_option("path")
        if not path:
            self.disabled = True
            return
        self._with_output = bool(self.get_option("output"))
        # An exception here is the loader's to report, and the plugin is then not in the run: no file, no verdict.
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
        """What every result of a task has in common, found once."""
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
                event = {"task": known["task"], "where": known["where"], "action": known["action"]}
                self._hinge(event, lambda: self._hinging(task, known, imports))
            self._tasks[task._uuid] = known
        return known

    def _hinge(self, event, found):
        """Tell of what no result would: that check mode decides on it. What cannot be found out is told too."""
        try:
            on = found()
        except Exception as error:  # pylint: disable=broad-except
            on = [{"keyword": "?", "says": "it could not be found out: %s" % error}]
        if on:
            self._write("hinge", dict(event, hinges=on))

    def _hinging(self, task, known, imports):
        """The keywords of a task that hinge on check mode, with what they say."""
        own, on = task.get_vars(), []
        short = known["action"].rpartition(".")[2]
        for keyword in _DECIDING:
            value = getattr(task, keyword)
            if not value or not isinstance(value, (str, list, tuple, dict)):
                continue
            # All of a condition is an expression, and of the others what stands in braces.
            if self._mode.hinges(value if keyword.endswith("_when") else list(_templates(value)), task, own):
                on.append(_said(keyword, value))
        if short in ("include_tasks", "include_role", "include_vars"):
            imports.append(task.args)
        for args in imports:
            if args and self._mode.hinges(list(_templates(args)), task, own):
                on.append(_said("file" if "_raw_params" in args else "name", args.get("_raw_params") or args))
        # That a task was skipped is in its result; what `meta` does is nowhere.
        by = [text for text in known["when"] if self._mode.hinges(text, task, own)]
        if by:
            known["hinging_when"] = by
            if short == "meta":
                on.append(_said("when", " and ".join(by)))
        sets = [str(name) for name in task.args] if short == "set_fact" else []
        if task.register:
            # Since ansible-core 2.21 a task may register several, by name.
            sets.extend([task.register] if isinstance(task.register, str) else map(str, task.register))
        if sets and (by or self._mode.hinges(list(_templates(task.args)), task, own)):
            self._mode.carry(sets)
        on = [one for one in on if one["keyword"] not in ("file", "name") or one["says"] not in self._imported]
        self._imported.update(one["says"] for one in on if one["keyword"] in ("file", "name"))
        return on

    def _hinging_play(self, said):
        """The same of a play, and of what it leaves out before it begins."""
        on = [
            _said(keyword, said[keyword]) for keyword in ("hosts", "serial", "vars_files", "tags")
            if keyword in said and self._mode.hinges(list(_templates(said[keyword])))
        ]
        todo = [said.get(section) for section in ("roles", "pre_tasks", "tasks", "post_tasks", "handlers")]
        while todo:
            for entry in todo.pop() or ():
                if not isinstance(entry, dict):
                    continue
                for keyword, value in entry.items():
                    short = str(keyword).rpartition(".")[2]
                    if short in ("block", "rescue", "always"):
                        todo.append(value)
                    elif short in ("tags", "import_tasks", "import_role") and self._mode.hinges(list(_templates(value))):
                        on.append(_said(short, value))
                        self._imported.add(_said(short, value)["says"])
        return on

    def _outcome(self, result):
        """What a result, or one item of a loop, says of itself."""
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
        # Of a play that goes by batches, every batch begins here; what it matched is all of them.
        event["hosts"] = [host.get_name() for host in inventory.get_hosts(play.hosts, ignore_restrictions=True)]
        self._write("play", event)
        self._mode.begin(play)
        self._hinge(self._play, lambda: self._hinging_play(play.get_ds() or {}))

    def v2_playbook_on_no_hosts_matched(self):
        self._write("no_hosts", dict(self._play or {}))

    # Here a task is still as it was written; that of a result may have been worked out.

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
            self._mode.learn(facts if isinstance(facts, dict) else {})

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._result(result, "failed", ignored=bool(ignore_errors))

    def v2_runner_on_unreachable(self, result):
        self._result(result, "unreachable", ignored=bool(result.result.get("ignore_unreachable") or result.task.ignore_unreachable))

    def v2_runner_on_skipped(self, result):
        self._result(result, "skipped")

    # Ansible takes `failed` and `skipped` out of what it hands to callbacks; of an item only these still tell.

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
