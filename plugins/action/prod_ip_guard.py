# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.arcodange.sandbox.plugins.plugin_utils import guard
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
        self._hosts = task_vars or {}
        return super().run(tmp, task_vars)

    def _arguments(self):
        args = super()._arguments()
        args["i_mean_prod"] = self._meant(args)
        if not (args.get("targets") or args.get("arrived") or args.get("couplings")):
            args["targets"] = self._targets()
        return args

    def _meant(self, args):
        """Whether this very run was told on its command line; a variable of any other origin is no permission."""
        wish = args.get("i_mean_prod")
        try:
            wished = boolean(wish if wish is not None else False)
        except TypeError:
            wished = True
        if not wished or guard.Process.promotion:
            return False
        try:
            meant = guard.Process.meant or guard.meant(self._loader, str(args.get("boundary") or ""))
        except guard.Refusal as refusal:
            raise AnsibleActionFail("prod_ip_guard: %s" % refusal) from refusal
        if not meant:
            raise AnsibleActionFail(
                "prod_ip_guard: i_mean_prod is %s by a variable of the inventory, a play or a file, where it would be true of every "
                "run; take it out, and if production is really meant, give -e i_mean_prod=true to this run alone" % wish
            )
        return True

    def _targets(self):
        """Every host of the play, by the address that Ansible renders for it."""
        targets = []
        for host in self._hosts.get("ansible_play_hosts_all") or []:
            variables = self._hosts["hostvars"][host]
            if variables.get("ansible_connection") == "local":
                continue
            target = {"host": host, "address": str(variables.get("ansible_host") or host)}
            if variables.get("ansible_port"):
                target["port"] = int(variables["ansible_port"])
            targets.append(target)
        if not targets:
            raise AnsibleActionFail("prod_ip_guard: the play has no host that is connected to, and a guard that checked nothing has not guarded")
        return targets
