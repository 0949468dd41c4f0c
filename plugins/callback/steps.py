# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows a run as one line per step; the default output goes to a log file."""

from __future__ import annotations

DOCUMENTATION = r"""
name: steps
type: stdout
short_description: Show one line per step, and write the default output to a log file
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Shows one line for each task that ran, with its number, the number of tasks known so far, its duration and the hosts that it changed.
  - Skipped tasks are not shown, nor are checks of a role's arguments that pass. Both are counted.
  - Failures are shown with all that the task printed, and of a long list or dictionary in its result the first lines.
  - Differences are shown as C(--diff) gives them, and a warning once for all hosts.
  - A task that runs for longer than 20 seconds is announced while it runs.
  - The messages of a task named C(Show summary) are shown at the end, behind the recap.
  - The output of the callback P(ansible.builtin.default#callback) is written to a file in
    C($XDG_STATE_HOME/arcodange-sandbox/logs), by default C(~/.local/state/arcodange-sandbox/logs). The newest 50 files are kept.
  - With C(-v) the screen shows the default output as well, instead of the lines.
  - Lines are plain, and in colour on a terminal only, never where E(CI) is set.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - set as stdout in configuration
"""

import contextlib
import functools
import os
import re
import sys
import threading
import time

import yaml

from ansible import constants as C
from ansible import context
from ansible.plugins.callback.default import CallbackModule as Default

from ansible_collections.arcodange.sandbox.plugins.plugin_utils.kit import user_folder

_SUMMARY = "Show summary"
_KEPT_LOGS = 50
_ANNOUNCE = 20  # seconds until a task that still runs is announced
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# Keys of a failed result that say nothing about the failure, or are shown elsewhere.
_NOT_THE_ERROR = {"changed", "failed", "msg", "diff", "warnings", "deprecations", "exception", "invocation", "stdout_lines", "stderr_lines", "results",
                  "ansible_loop_var", "item", "start", "end", "delta", "assertion", "evaluated_to", "argument_errors", "argument_spec_data",
                  "validate_args_context"}


def _indent(text, by=10):
    return "\n".join(" " * by + line if line else "" for line in text.rstrip("\n").split("\n"))


def _text(message):
    """Return a message of debug, which may be a list of lines, as text."""
    if isinstance(message, str):
        return message
    if isinstance(message, list) and all(isinstance(line, str) for line in message):
        return "\n".join(message)
    return _yaml(message)


class _Dumper(yaml.SafeDumper):
    """Shows text of several lines as such, and values of unknown types as text."""


def _represent_text(dumper, value):
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(value), style="|" if isinstance(value, str) and "\n" in value else None)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_multi_representer(object, _represent_text)


def _yaml(value):
    return yaml.dump(value, Dumper=_Dumper, allow_unicode=True, default_flow_style=False, width=160, sort_keys=False).removesuffix("...\n").rstrip("\n")


def _cut(text, whole):
    """Return the first lines of a list or dictionary; what a program printed is shown whole."""
    lines = text.split("\n")
    if whole or len(lines) <= 15:
        return text
    return "\n".join([*lines[:14], "# and %d lines more, in the log" % (len(lines) - 14)])


def _duration(seconds):
    return "%d:%02d" % divmod(int(seconds), 60) if seconds >= 60 else "%.1fs" % seconds


class _Log:
    """The display that the default callback writes to: a file, and with -v the screen too."""

    def __init__(self, screen, playbook):
        self.screen, self.verbosity, self.columns = screen, screen.verbosity, 79
        folder = os.path.join(user_folder("XDG_STATE_HOME", ".local", "state"), "logs")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        name = "%s-%s-%d.log" % (time.strftime("%Y%m%dT%H%M%S"), re.sub(r"[^\w.-]", "_", os.path.splitext(os.path.basename(playbook))[0]), os.getpid())
        self.path = os.path.join(folder, name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        self.file = open(os.open(self.path, flags, 0o600), "w", encoding="utf-8", errors="surrogateescape", buffering=1)  # pylint: disable=consider-using-with
        for old in sorted(name for name in os.listdir(folder) if name.endswith(".log"))[:-_KEPT_LOGS]:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, old))

    def display(self, msg, color=None, stderr=False, screen_only=False, log_only=False, newline=True, **more):
        if not screen_only:
            with contextlib.suppress(OSError):  # a full disk does not end the run
                self.file.write(_COLOUR.sub("", msg) + ("\n" if newline else ""))
        if self.verbosity:
            self.screen.display(msg, color=color, stderr=stderr, screen_only=screen_only, log_only=log_only, newline=newline, **more)

    def banner(self, msg, color=None, cows=True):
        self.display("\n%s %s" % (msg, "*" * max(3, self.columns - len(msg))), color=color)

    def __getattr__(self, name):
        return getattr(self.screen, name)


class _Step:
    """The state of one task: its hosts and their results."""

    def __init__(self, task, number, total):
        self.task, self.number, self.total = task, number, total
        # Read the name now: Ansible restores its templates after the start of the task.
        role, colon, rest = task.get_name().strip().partition(" : ")
        self.name = role.rpartition(".")[2] + ": " + rest if colon and task._role else role + colon + rest
        self.began = time.monotonic()
        self.ended = None
        self.running = set()
        self.outcomes = {}  # by outcome, the labels of the hosts
        self.failed_items = set()  # hosts on which an item of a loop failed
        self.texts = {}  # by text, the hosts that it is shown for

    def end(self, host, outcome, label):
        self.running.discard(host)
        self.ended = time.monotonic()
        self.outcomes.setdefault(outcome, []).append(label)

    def add_text(self, text, host):
        if host not in self.texts.setdefault(text, []):
            self.texts[text].append(host)

    @property
    def counter(self):
        total = str(self.total)
        return "[%s/%s]" % (str(self.number).rjust(len(total)), total)


def _event(method):
    """Hand an event to the default callback, which writes the log, after this plugin has shown it."""
    @functools.wraps(method)
    def handle(self, *args, **kwargs):
        if not self._broken and not self._screen.verbosity:
            try:
                method(self, *args, **kwargs)
            except Exception as error:  # pylint: disable=broad-except
                self._give_up(error)
        getattr(Default, method.__name__)(self, *args, **kwargs)
    return handle


class CallbackModule(Default):
    """The default callback, which writes to a log, with lines for the screen."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "arcodange.sandbox.steps"

    def __init__(self):
        super().__init__()
        self._screen = self._display
        self._broken = False
        self._log = None
        self._began = time.monotonic()
        self._steps = {}
        self._known, self._totals, self._begun = set(), {}, {}
        self._number = self._total = 0
        self._played, self._play_hosts = set(), []
        self._warned = set()
        self._summary = []
        self._timer = None

    # --- the screen

    def _show(self, text, color=None):
        if os.environ.get("CI") or os.environ.get("GITHUB_ACTIONS"):
            text, color = _COLOUR.sub("", text), None
        self._screen.display(text, color=color)
        sys.stdout.flush()  # Ansible flushes at the end only, and a pipeline wants the line now

    def _give_up(self, error):
        """Continue as the default callback: an error of this plugin must not end or hide a run."""
        self._broken = True
        self._stop_timer()
        self._display = self._screen
        self._screen.warning("the callback arcodange.sandbox.steps failed; the default output follows (%s: %s)" % (type(error).__name__, error))

    def _stop_timer(self):
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _start_timer(self, step, after=_ANNOUNCE):
        self._stop_timer()
        self._timer = threading.Timer(after, self._announce, [step])
        self._timer.daemon = True
        self._timer.start()

    def _announce(self, step):
        # In a separate thread, and without the display's locks, which a process that is forked now would inherit.
        with contextlib.suppress(Exception):
            line = "%s %6s  %s: still running\n" % (step.counter, _duration(time.monotonic() - step.began), step.name)
            os.write(sys.stdout.fileno(), line.encode("utf-8", "replace"))
            self._start_timer(step, 60)

    def _finish_steps(self, all_of_them=False):
        """Show the steps that every host has finished."""
        for uuid, step in list(self._steps.items()):
            if step.running and not all_of_them:
                continue
            del self._steps[uuid]
            self._show_step(step)

    def _show_step(self, step):
        ended = {outcome: hosts for outcome, hosts in step.outcomes.items() if outcome != "skipped"}
        silent = not set(ended) - {"ok"} and str(step.task.action).rpartition(".")[2] == "validate_argument_spec"
        if ended and not silent:
            color = C.COLOR_ERROR if "FAILED" in ended or "UNREACHABLE" in ended else C.COLOR_CHANGED if "changed" in ended else C.COLOR_OK
            how = "; ".join(outcome if outcome == "ok" else "%s: %s" % (outcome, ", ".join(sorted(ended[outcome]))) for outcome in sorted(ended, reverse=True))
            self._show("%s %6s  %s  %s" % (step.counter, _duration(step.ended - step.began), step.name, how), color)
        for text, hosts in step.texts.items():
            label = ", ".join(sorted(hosts))
            self._show(_indent(text if not label else "%s:\n%s" % (label, _indent(text, 2))))

    # --- progress

    def _count(self, blocks, play=None):
        """Count the tasks of new blocks, without those of a rescue, which run only after a failure."""
        found = 0
        for item in blocks:
            if hasattr(item, "block"):
                found += self._count([*item.block, *item.always], play)
            elif item._uuid not in self._known and not item.implicit and str(item.action).rpartition(".")[2] not in ("meta", "import_role", "import_tasks"):
                if play is None or item.evaluate_tags(play.only_tags, play.skip_tags, {}):
                    self._known.add(item._uuid)
                    found += 1
        return found

    def _count_play(self, play):
        try:
            found = self._count(play.compile(), play)
        except Exception:  # pylint: disable=broad-except
            found = 0  # its tasks are counted as they begin
        self._totals[play._uuid] = found
        return found

    def _begin_step(self, task):
        self._finish_steps()
        if str(task.action).rpartition(".")[2] != "meta" and task._uuid not in self._begun:
            if task._uuid not in self._known:
                # It was included: its siblings are known now too.
                self._total += self._count([task, *getattr(task._parent, "block", ())])
            self._number += 1
            self._total = max(self._total, self._number)
            self._begun[task._uuid] = self._number
        self._steps[task._uuid] = step = _Step(task, self._begun.get(task._uuid, self._number), self._total)
        self._start_timer(step)

    # --- events

    def v2_playbook_on_start(self, playbook):
        try:
            self._display = self._log = _Log(self._screen, playbook._file_name)
        except Exception as error:  # pylint: disable=broad-except
            self._give_up(error)
            return
        self._start(playbook)

    @_event
    def v2_playbook_on_play_start(self, play):
        self._finish_steps(all_of_them=True)
        self._begun.clear()
        if play._uuid in self._played:  # a further batch of a play with `serial`
            self._total += self._totals.get(play._uuid, 0)
        self._played.add(play._uuid)
        manager = play.get_variable_manager()
        self._play_hosts = [host.get_name() for host in manager._inventory.get_hosts()]
        self._show("%s%s" % (play.get_name().strip() or "Play", " (check mode)" if play.check_mode else ""))

    @_event
    def v2_playbook_on_no_hosts_matched(self):
        self._show(_indent("no hosts matched"))

    @_event
    def v2_playbook_on_no_hosts_remaining(self):
        self._finish_steps(all_of_them=True)
        self._show(_indent("no hosts left"), C.COLOR_ERROR)

    @_event
    def v2_playbook_on_task_start(self, task, is_conditional):
        self._begin_step(task)

    @_event
    def v2_playbook_on_handler_task_start(self, task):
        self._begin_step(task)

    @_event
    def v2_runner_on_start(self, host, task):
        if task._uuid not in self._steps:  # shown already, of a strategy in which hosts do not wait for each other
            self._begin_step(task)
        self._steps[task._uuid].running.add(host.get_name())

    def _end(self, result, outcome):
        step = self._steps.get(result.task._uuid)
        if step is None:
            self._begin_step(result.task)
            step = self._steps[result.task._uuid]
        host, data = result.host.get_name(), result.result
        step.end(host, outcome, self.host_label(result))
        for warning in data.get("warnings") or ():
            self._warn(step, host, str(warning))
        for deprecation in data.get("deprecations") or ():
            self._warn(step, host, str(deprecation.get("msg", deprecation) if isinstance(deprecation, dict) else deprecation))
        return step, host, data

    def _warn(self, step, host, warning):
        """Show a warning once, for whichever host it is given first."""
        alike = re.sub("|".join(map(re.escape, sorted(self._play_hosts, key=len, reverse=True))) or "$^", "HOST", warning)
        if alike not in self._warned:
            self._warned.add(alike)
            step.add_text("warning: " + warning, "")

    @_event
    def v2_runner_on_ok(self, result):
        if result.task.action in C._ACTION_ALL_INCLUDES:
            self._end(result, "skipped")  # what is included is shown
            return
        step, host, data = self._end(result, "changed" if result.result.get("changed") else "ok")
        if result.task.action not in C._ACTION_DEBUG:
            return
        for one in data["results"] if result.task.loop is not None and "results" in data else [data]:
            message = one["msg"] if "msg" in one else {key: value for key, value in one.items() if key not in ("changed", "failed") and key[:1] != "_"}
            if "censored" in one or one.get("skipped"):
                continue
            if result.task.get_name().strip().rpartition(" : ")[2] == _SUMMARY:
                if _text(message) not in self._summary:
                    self._summary.append(_text(message))
                self._steps.pop(result.task._uuid, None)
            else:
                step.add_text(_text(message), "")

    @_event
    def v2_runner_on_failed(self, result, ignore_errors=False):
        step, dummy, dummy = self._end(result, "failed, ignored" if ignore_errors else "FAILED")
        if self.host_label(result) not in step.failed_items:  # else they are the failure
            step.add_text(self._error(result, short=ignore_errors), self.host_label(result))
        if not ignore_errors:
            step.add_text("task: %s" % result.task.get_path(), "")

    def _error(self, result, short=False):
        data = result.result
        if "censored" in data:
            return str(data["censored"])
        error = str(data.get("msg") or "failed without a message").strip()
        if "verdict" in data and isinstance(data.get("summary"), list):  # a gate's, whose findings are in its report
            return "\n".join([error, *(line for line in data["summary"] if not line.startswith("waived")), "report: %s" % data.get("report")])
        more = {key: value for key, value in self._dump_results(data, serialize=False).items() if key not in _NOT_THE_ERROR and value not in ("", None, [], {})}
        return error if short else "\n".join([error, *(_cut(_yaml({key: value}), isinstance(value, str)) for key, value in more.items())])

    @_event
    def v2_runner_item_on_failed(self, result):
        step = self._steps.get(result.task._uuid)
        if step:
            step.failed_items.add(self.host_label(result))
            step.add_text("item %s: %s" % (self._get_item_label(result.result), self._error(result)), self.host_label(result))

    @_event
    def v2_runner_on_unreachable(self, result):
        step, dummy, data = self._end(result, "UNREACHABLE")
        step.add_text(str(data.get("censored") or data.get("msg")), self.host_label(result))

    @_event
    def v2_runner_on_skipped(self, result):
        self._end(result, "skipped")

    @_event
    def v2_on_file_diff(self, result):
        step = self._steps.get(result.task._uuid)
        items = result.result.get("results") if result.task.loop is not None else None
        for one in items or [result.result]:
            diff = self._get_diff(one["diff"]) if one.get("diff") and one.get("changed") else ""
            if step and diff.strip():
                step.add_text(diff, result.host.get_name())

    @_event
    def v2_playbook_on_stats(self, stats):
        self._stop_timer()
        self._finish_steps(all_of_them=True)
        self._show("\nRecap after %s%s" % (_duration(time.monotonic() - self._began), " (check mode)" if context.CLIARGS.get("check") else ""))
        width = max(map(len, stats.processed), default=0)
        for host in sorted(stats.processed):
            counts = stats.summarize(host)
            counts["failed"] = counts.pop("failures")
            bad = counts["failed"] or counts["unreachable"]
            keys = ("ok", "changed", "failed", "unreachable", "skipped", "rescued", "ignored")
            shown = [key for key in keys if counts[key] or key in keys[:3]]
            self._show(
                "  %s : %s" % (host.ljust(width), " ".join("%s=%d" % (key, counts[key]) for key in shown)),
                C.COLOR_ERROR if bad else C.COLOR_CHANGED if counts["changed"] else C.COLOR_OK,
            )
        self._show("  log: %s" % self._log.path)
        for summary in self._summary:
            self._show("\n" + summary.rstrip("\n"))

    # --- the log

    def _start(self, playbook):
        Default.v2_playbook_on_start(self, playbook)
        for play in playbook.get_plays():
            self._total += self._count_play(play)

    def _handle_warnings(self, res):
        """Write warnings to the log; the screen shows them with their step."""
        if self._broken or self._screen.verbosity:
            super()._handle_warnings(res)
            return
        for kind in ("warnings", "deprecations"):
            for warning in res.pop(kind, None) or ():
                self._display.display("[%s]: %s" % (kind.upper().rstrip("S"), warning))

    def _handle_exception(self, result, use_stderr=False):
        if self._broken or self._screen.verbosity:
            super()._handle_exception(result, use_stderr=use_stderr)
            return
        exception = result.pop("exception", None)
        if exception and str(exception) != "(traceback unavailable)":
            self._display.display(str(exception))
