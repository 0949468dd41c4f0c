# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Get names from the target kit, with one process for all calls of a template.

The rule of names is the binary's. A process is started at the first question and kept for the next ones: filters and
lookups are asked one name at a time, thousands of times in one template.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading

from ansible_collections.arcodange.sandbox.plugins.plugin_utils.kit import (
    CALL_KEY,
    COLLECTION,
    KitError,
    controller_platform,
    target_binary,
)

NAME = "app_env_name"


class NamesError(Exception):
    """An error that the binary returned, or that it could not be run."""


class _Child:
    """A kit that answers line by line. It ends with this process."""

    def __init__(self):
        self.pid = os.getpid()
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [target_binary(controller_platform()), "--lines"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def usable(self):
        """A forked worker has its parent's pipes, and must not write to them."""
        return self.pid == os.getpid() and self.process.poll() is None

    def ask(self, question):
        self.process.stdin.write(json.dumps(question).encode("utf-8") + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer.endswith(b"\n"):
            self.process.stdin.close()
            raise NamesError("%s.%s ended with status %s and no answer" % (COLLECTION, NAME, self.process.wait()))
        return json.loads(answer)


class Names:
    """Answers questions about names; safe to use from several threads and after a fork."""

    def __init__(self):
        self._lock = threading.Lock()
        self._child = None
        # A lock that another thread held during the fork would stay locked here.
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self):
        self._lock = threading.Lock()

    def ask(self, **args):
        """Return the result of the module app_env_name for these arguments; those that are None are left out."""
        question = {key: value for key, value in args.items() if value is not None}
        question[CALL_KEY] = NAME
        with self._lock:
            try:
                if self._child is None or not self._child.usable():
                    self._child = _Child()
                result = self._child.ask(question)
            except (KitError, OSError, ValueError) as error:
                raise NamesError("%s.%s cannot be asked: %s" % (COLLECTION, NAME, error)) from error
        if result.get("failed"):
            raise NamesError(result.get("msg", "no reason was given"))
        return result


def plain(value, what):
    """Return an app, or a mapping of name and envs, as plain text, lists and mappings: whatever type Ansible wraps them in."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, dict):
        return {
            str(key): [str(element) if isinstance(element, str) else element for element in item] if isinstance(item, (list, tuple)) else item
            for key, item in value.items()
        }
    raise NamesError("%s must be the name of an app or a mapping of name and envs, and is %r" % (what, value))


def with_env(app, env, what):
    """Return one element of the module's option apps."""
    app = plain(app, what)
    if env is None:
        return app
    if not isinstance(app, str):
        raise NamesError("%s has envs of its own; leave out env, or give the app's name alone" % what)
    return {"name": app, "envs": [str(env)]}


def names_of(instance, system):
    """Return one requested name, or all of them."""
    return instance["names"] if system is None else instance["names"][system]
