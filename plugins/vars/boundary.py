# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: boundary
short_description: Hold every process that loads the sandbox's inventory to its boundary
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Sets no variable. Whenever variables are loaded for an inventory that has a boundary manifest beside it, it does what
    the inventory source P(arcodange.sandbox.boundary#inventory) does, in case that source was not loaded, and looks at the
    names of hosts, those that C(add_host) made or a literal C(delegate_to) names included. What is production ends the
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

import os

from ansible.inventory.host import Host
from ansible.plugins.vars import BaseVarsPlugin
from ansible_collections.arcodange.sandbox.plugins.plugin_utils import guard


class VarsModule(BaseVarsPlugin):
    """Looks at hosts as their variables are loaded; sets nothing."""

    seen = set()

    def get_vars(self, loader, path, entities):
        directory = path if os.path.isdir(path) else os.path.dirname(path)
        boundary = next((name for name in (os.path.join(directory, "boundary." + end) for end in ("yml", "yaml")) if os.path.exists(name)), None)
        # Beside a playbook, a file of that name may be anything. A second manifest among the inventory's sources was refused before.
        if boundary and not guard.Process.boundary and guard.holds_variables(directory):
            guard.hold(loader, os.path.abspath(boundary))
        boundary = guard.Process.boundary
        if not boundary or guard.Process.meant:
            return {}
        names = [entity.name for entity in entities if isinstance(entity, Host) and entity.name not in self.seen]
        self.seen.update(names)
        try:
            guard.check(boundary, [{"kind": "text", "value": name, "from": "the host %s" % name} for name in names])
        except guard.Refusal as refusal:
            guard.stop(refusal)
        return {}
