# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.loader import connection_loader
from ansible_collections.arcodange.sandbox.plugins.plugin_utils import guard
from ansible_collections.arcodange.sandbox.plugins.plugin_utils.kit import KitAction


def _is_local(connection):
    """Whether this is a name of the connection that stays on this machine."""
    return isinstance(connection, str) and connection_loader.find_plugin_with_context(connection).resolved_fqcn == "ansible.builtin.local"


class ActionModule(KitAction):
    """Runs the module of the same name: on the controller if it reads external references, else where the task runs."""

    kit = "target"

    def run(self, tmp=None, task_vars=None):
        if self._task.args.get("external_references"):
            # Only the controller's binary reads them, and their endpoints are reached from the controller.
            if self._task.args.get("check_remote_host"):
                raise AnsibleActionFail(
                    "prod_ip_guard: external_references are read on the controller, check_remote_host on the target; use one task for each"
                )
            self.kit = "controller"
        self._hosts = task_vars or {}
        return super().run(tmp, task_vars)

    def _arguments(self):
        args = super()._arguments()
        if "boundary" in args and not args["boundary"]:
            raise AnsibleActionFail("prod_ip_guard: the boundary is empty, so nothing is allowed; leave sandbox_boundary to the inventory")
        args["i_mean_prod"] = self._override(args)
        if not (args.get("targets") or args.get("check_remote_host") or args.get("external_references")):
            args["targets"] = self._targets()
        return args

    def _override(self, args):
        """Whether this very run was given i_mean_prod on its command line; a variable of any other origin is no permission."""
        value = args.get("i_mean_prod")
        try:
            wanted = boolean(value if value is not None else False)
        except TypeError:
            wanted = True
        if not wanted or guard.Process.promotion:
            return False
        if guard.Process.override is None:
            self._request_override(str(args.get("boundary") or ""))
        if not guard.Process.override:
            raise AnsibleActionFail(
                "prod_ip_guard: i_mean_prod is %s by a variable of the inventory, a play or a file, where it would be true of every "
                "run; take it out, and if production is really meant, give -e i_mean_prod=true to this run alone" % value
            )
        return True

    def _request_override(self, boundary):
        """Ask for the override in a run whose inventory has no boundary manifest; the binary decides, and records it."""
        request = guard.override_request(self._loader)
        if not request:
            return
        try:
            status, out = guard.run_guard("override", boundary, json.dumps(request), "--state", guard.state_folder())
        except guard.Refusal as refusal:
            raise AnsibleActionFail("prod_ip_guard: %s" % refusal) from refusal
        if status:
            raise AnsibleActionFail("prod_ip_guard: %s" % out.strip())
        self._display.warning("i_mean_prod=true: this run may leave the sandbox; it was recorded in %s/overrides.log" % guard.state_folder())
        guard.Process.override = True

    def _targets(self):
        """Every host of the play, and every one that its tasks delegate to, by the address that Ansible renders for it."""
        hosts = self._hosts.get("ansible_play_hosts_all") or []
        targets = [target for host in hosts for target in self._target(host)]
        for name in sorted(self._delegated(hosts) - set(hosts)):
            targets += self._target(name)
        if hosts and not targets:
            # The run is limited to this machine, and may delegate to any host of the inventory.
            targets = [target for host in (self._hosts.get("groups") or {}).get("all") or [] for target in self._target(host)]
        if not targets:
            raise AnsibleActionFail("prod_ip_guard: no host to check")
        return targets

    def _target(self, host):
        """Yield the host's target; none if it is this machine."""
        hostvars = self._hosts["hostvars"]
        variables = hostvars[host] if host in hostvars else {}
        try:
            # The old name wins where both are given.
            names = (("ansible_connection",), ("ansible_ssh_host", "ansible_host"), ("ansible_ssh_port", "ansible_port"))
            connection, address, port = (next((value for value in map(variables.get, either) if value is not None), None) for either in names)
        except AnsibleError as error:
            raise AnsibleActionFail("prod_ip_guard: %s: its variables cannot be rendered: %s" % (host, error)) from error
        if _is_local(connection) or not variables and host in C.LOCALHOST:
            return
        target = {"host": host, "address": str(address or host)}
        if port:
            try:
                target["port"] = int(port)
            except (TypeError, ValueError):
                raise AnsibleActionFail("prod_ip_guard: %s: port %r: must be 1-65535" % (host, port)) from None
        yield target

    def _delegated(self, hosts):
        """Return the hosts that the play's tasks delegate to, if they can be rendered now; the connection checks the others."""
        found = set()
        play = getattr(getattr(self._task, "_parent", None), "_play", None)
        waiting = list(play.compile()) if play else []
        while waiting:
            item = waiting.pop()
            for section in ("block", "rescue", "always"):
                waiting += getattr(item, section, None) or []
            name = getattr(item, "delegate_to", None)
            if not name:
                continue
            for host in hosts:
                hostvars = self._hosts["hostvars"]
                variables = dict(hostvars.raw_get(host), hostvars=hostvars, **{**play.get_vars(), **item.get_vars()})
                templar = self._templar.copy_with_new_env(available_variables=variables)
                try:
                    rendered = templar.template(name)
                except Exception:  # pylint: disable=broad-except
                    continue  # its variables are set later, by a loop or a task
                if isinstance(rendered, str) and rendered:
                    found.add(rendered)
        return found
