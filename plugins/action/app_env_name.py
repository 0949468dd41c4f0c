# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import difflib

from ansible.utils.display import Display
from ansible_collections.arcodange.sandbox.plugins.plugin_utils.kit import KitAction, controller_platform, target_binary


class ActionModule(KitAction):
    """Runs the module of the same name out of the target kit, always on the controller: names depend on no host."""

    kit = "target"

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        diff = result.get("diff")
        if result.get("failed") and diff:
            # Ansible shows the differences of a change; these are why the task fails.
            Display().display(_unified(diff["before"], diff["after"]))
        return result

    def _run_there(self, name, args, task_vars):
        return self._run_here(target_binary(controller_platform()), name, args, task_vars)


def _unified(expected, found):
    def lines(names):
        return ["%s: %s" % (key, names[key]) for key in sorted(names) if names[key] is not None]

    return "\n".join(difflib.unified_diff(lines(expected), lines(found), "expected", "found", lineterm="", n=0))
