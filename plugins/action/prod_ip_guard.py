# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible_collections.arcodange.sandbox.plugins.plugin_utils.kit import KitAction


class ActionModule(KitAction):
    """Runs the module of the same name: on the controller if it reads couplings, else where the task runs."""

    kit = "target"

    def run(self, tmp=None, task_vars=None):
        if self._task.args.get("couplings"):
            # What reads them is large, and what they lead to is a matter of the controller.
            if self._task.args.get("arrived"):
                raise AnsibleActionFail(
                    "prod_ip_guard: couplings are read on the controller and arrived is about the target; use a task for each"
                )
            self.kit = "controller"
        return super().run(tmp, task_vars)
