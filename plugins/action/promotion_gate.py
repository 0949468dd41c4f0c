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
    """Runs the module of the same name of the controller kit, with what this run was given about i_mean_prod."""

    kit = "controller"

    def _told(self):
        if guard.Process.override and self._task.args.get("state") == "promoted":
            # As part of another playbook it is no promotion to the guard, and the run is not restricted.
            raise AnsibleActionFail(
                "promotion_gate: this run is not restricted to the sandbox, as a promotion must be until the gate is green; run promote.yml by itself"
            )
        before = guard.Process.environment
        changed = {} if before is None else {name: before.get(name) for name in set(before) | set(os.environ) if before.get(name) != os.environ.get(name)}
        try:
            request = guard.override_request(self._loader)
        except guard.Refusal as refusal:
            raise AnsibleActionFail("promotion_gate: %s" % refusal) from refusal
        # Variables that were not set before are null.
        return {"SANDBOX_PROMOTION_RUN": json.dumps({"request": request, "state": guard.state_folder(), "environment": changed})}
