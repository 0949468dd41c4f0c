# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import difflib
import json

from ansible import constants as C
from ansible.utils.color import stringc

from ansible_collections.arcodange.sandbox.plugins.plugin_utils.kit import KitAction

COLOURS = {"+": C.COLOR_DIFF_ADD, "-": C.COLOR_DIFF_REMOVE, "@": C.COLOR_DIFF_LINES}


class ActionModule(KitAction):
    """Runs the module of the same name out of the controller kit.

    Ansible shows the difference of a task only if that changed something and did not fail. A drift is a failure and no
    change, so its difference is shown here.
    """

    kit = "controller"

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        difference = result.get("diff")
        if self._task.diff and result.get("failed") and isinstance(difference, dict):
            self._display.display(shown(difference.get("before", {}), difference.get("after", {})))
        return result


def shown(before, after):
    """Return the difference as Ansible's default callback writes one."""
    texts = [json.dumps(side, sort_keys=True, indent=4, separators=(",", ": ")).splitlines(True) for side in (before, after)]
    lines = difflib.unified_diff(*[[*text[:-1], text[-1] + "\n"] for text in texts], fromfile="expected", tofile="found", n=C.DIFF_CONTEXT)
    return "".join(stringc(line, COLOURS[line[0]]) if line[0] in COLOURS else line for line in lines)
