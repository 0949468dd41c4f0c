# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

from ansible.errors import AnsibleActionFail
from ansible_collections.arcodange.sandbox.plugins.plugin_utils import guard
from ansible_collections.arcodange.sandbox.plugins.plugin_utils.kit import KitAction


class ActionModule(KitAction):
    """Runs the module of the same name out of the controller kit, and tells it what this very run was told on its command line."""

    kit = "controller"

    def _told(self):
        if guard.Process.override and self._task.args.get("state") == "promoted":
            # As part of another playbook it is no promotion to the guard, which then holds nothing of the run.
            raise AnsibleActionFail(
                "promotion_gate: this run is not held to the sandbox, as one that promotes has to be until the gate is green; start promote.yml by itself"
            )
        before = guard.Process.environment
        changed = {} if before is None else {name: before.get(name) for name in set(before) | set(os.environ) if before.get(name) != os.environ.get(name)}
        try:
            wish = guard.override_request(self._loader)
        except guard.Refusal as refusal:
            raise AnsibleActionFail("promotion_gate: %s" % refusal) from refusal
        # The names of variables that were not there before carry null.
        return {"SANDBOX_PROMOTION_RUN": json.dumps({"wish": wish, "state": guard.state_folder(), "environment": changed})}
