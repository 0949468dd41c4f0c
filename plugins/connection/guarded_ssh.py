# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: guarded_ssh
short_description: Connect by SSH to the sandbox only
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Is P(ansible.builtin.ssh#connection) with a wrapper around C(ssh), C(scp) and C(sftp). Before anything is
    sent, the wrapper resolves the command line with C(ssh -G), checks every address against the boundary manifest, and
    pins the connection to the checked address. This includes jumps and forwards, uploads and downloads.
  - A host outside the sandbox is unreachable, with the reason as message. So is every host
    if the manifest cannot be read, or the guard is missing or not the one that was built.
  - Takes every option of P(ansible.builtin.ssh#connection) of the installed ansible-core, by the same names, variables and
    settings. Pipelining and ControlPersist work as there; control sockets are in a directory of the guard.
  - Host keys are always checked (C(StrictHostKeyChecking=yes)) and no agent is used, whatever the options are. For the
    option O(ignore:private_key) of newer releases of ansible-core, which passes a key by an agent of its own, that
    agent is used, with that key only.
options:
  boundary:
    description:
      - Path of the boundary manifest. Set by the inventory source P(arcodange.sandbox.boundary#inventory). Without it, every
        connection is refused.
    type: path
    vars:
      - name: sandbox_boundary
"""

import os
import sys

import yaml
from ansible import constants as C
from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.common.text.converters import to_bytes
from ansible.plugins.connection import ssh as builtin
from ansible_collections.arcodange.sandbox.plugins.plugin_utils.guard import Process, Refusal, record_host
from ansible_collections.arcodange.sandbox.plugins.plugin_utils.kit import KitError, guard_binary


def _with_options_of_ssh():
    """Return the documentation with the options of the ssh connection that is installed, so that none is missing or stale."""
    ours, theirs = yaml.safe_load(DOCUMENTATION), yaml.safe_load(builtin.DOCUMENTATION)
    ours["options"] = dict(theirs["options"], **ours["options"])
    ours["extends_documentation_fragment"] = theirs.get("extends_documentation_fragment", [])
    return yaml.safe_dump(ours)


# Ansible reads a plugin's options from this name when it loads the plugin.
setattr(sys.modules[__name__], "DOCUMENTATION", _with_options_of_ssh())


class Connection(builtin.Connection):
    """Ansible's ssh connection whose every command line begins with the guard."""

    _recorded = set()

    def _build_command(self, binary, subsystem, *other_args):
        command = super()._build_command(binary, subsystem, *other_args)
        boundary = self.get_option("boundary")
        if not boundary:  # not `required`, for a message that names the guard
            raise AnsibleConnectionFailure(
                "prod-ip-guard: refused: no boundary manifest was loaded; cannot check %s; "
                "load an inventory with its boundary.yml, as a directory: -i DIRECTORY" % self.host
            )
        if Process.override:
            self._record(boundary)
            return command
        if os.path.isdir(boundary):  # an empty path is the one of the working directory
            raise AnsibleConnectionFailure(
                "prod-ip-guard: refused: sandbox_boundary is empty or the directory %s, and no boundary manifest; "
                "leave it to the inventory, which gives it" % boundary
            )
        if any(mark in str(self.host) for mark in ("{{", "{%")):
            raise AnsibleConnectionFailure(
                "prod-ip-guard: refused: ansible_host %r: unrendered template (marked !unsafe); use a literal address" % self.host
            )
        if Process.boundary and os.path.realpath(boundary) != os.path.realpath(Process.boundary):
            raise AnsibleConnectionFailure(
                "prod-ip-guard: refused: sandbox_boundary is %s, and the inventory's own manifest is %s" % (boundary, Process.boundary)
            )
        try:
            guard = guard_binary()
        except KitError as error:
            raise AnsibleConnectionFailure("prod-ip-guard: refused: %s" % error) from error
        words = [guard, subsystem, "--boundary", os.path.abspath(boundary)]
        if Process.digest:
            words += ["--digest", Process.digest]  # the manifest may not change during a run
        if self.has_option("private_key") and self.get_option("private_key"):
            words += ["--agent", C.config.get_config_value("SSH_AGENT")]
        name = to_bytes(binary, errors="surrogate_or_strict")
        if os.path.dirname(binary):
            words += ["--programs", os.path.dirname(binary)]  # the guard takes no other than the system's own
        if os.path.basename(name) != to_bytes(subsystem):
            raise AnsibleConnectionFailure(
                "prod-ip-guard: refused: %s executable %r: only %s itself is supported" % (subsystem, binary, subsystem)
            )
        # sshpass may come before it, with a prompt of any text.
        at = 0
        if command[0] == b"sshpass":
            at = 4 if command[2] == b"-P" else 2
        if command[at] != name:
            raise AnsibleConnectionFailure("prod-ip-guard: refused: the command line of %s begins with %r" % (subsystem, command[:at + 1]))
        return command[:at] + [to_bytes(word) for word in words + ["--"]] + command[at + 1:]

    def _record(self, boundary):
        """Record the host in the log of overrides, once for each run."""
        target = "%s port %s" % (self.host, self.get_option("port") or "of its configuration")
        if target in self._recorded:
            return
        try:
            record_host(target, boundary)
        except Refusal as refusal:
            raise AnsibleConnectionFailure("prod-ip-guard: refused: %s" % refusal) from refusal
        self._recorded.add(target)
