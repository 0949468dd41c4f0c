# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: boundary
short_description: Restrict every run that loads the sandbox's inventory
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Sets no variable. When variables are loaded for an inventory with a boundary manifest, it does what
    the inventory source P(arcodange.sandbox.boundary#inventory) does, unless that was loaded, and checks the
    names of hosts, also those of C(add_host) and of a literal C(delegate_to). A name of production ends the
    process.
options:
  stage:
    ini:
      - key: stage
        section: vars_boundary
    env:
      - name: ANSIBLE_VARS_PLUGIN_STAGE
extends_documentation_fragment:
  - ansible.builtin.vars_plugin_staging
notes:
  - Enabled by naming C(arcodange.sandbox.boundary) in C(vars_plugins_enabled) of C(ansible.cfg), as this repository does.
"""

import json
import os

from ansible import context
from ansible.inventory.host import Host
from ansible.plugins.vars import BaseVarsPlugin
from ansible_collections.arcodange.sandbox.plugins.plugin_utils import guard


def _is_source(directory):
    """Return whether a directory is or contains an inventory source. Ansible also loads variables next to a playbook."""
    if context.CLIARGS.get("inventory") is None:
        return True  # not started by a command line of Ansible
    sources = (source for source in guard.sources() if os.path.exists(source))
    return os.path.realpath(directory) in {os.path.realpath(source if os.path.isdir(source) else os.path.dirname(source) or ".") for source in sources}


class VarsModule(BaseVarsPlugin):
    """Checks hosts as their variables are loaded; sets nothing."""

    seen = set()

    def get_vars(self, loader, path, entities):
        directory = path if os.path.isdir(path) else os.path.dirname(path)
        boundary = next((name for name in (os.path.join(directory, "boundary." + end) for end in ("yml", "yaml")) if os.path.exists(name)), None)
        # A second manifest among the inventory's sources was refused before.
        if boundary and not guard.Process.boundary and _is_source(directory):
            guard.load(loader, os.path.abspath(boundary))
        boundary = guard.Process.boundary
        if not boundary or guard.Process.override:
            return {}
        names = [entity.name for entity in entities if isinstance(entity, Host) and entity.name not in self.seen]
        self.seen.update(names)
        if names:
            lines = "".join(json.dumps({"kind": "text", "value": name, "from": "the host %s" % name}) + "\n" for name in names)
            try:
                status, out = guard.run_guard("check", boundary, lines, "--output", "json", "--targets-from-stdin")
            except guard.Refusal as refusal:
                guard.stop(refusal)
            if status:
                guard.stop(json.loads(out)["refusal"])
        return {}
