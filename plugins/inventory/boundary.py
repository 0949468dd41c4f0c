# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: boundary
short_description: Announce the boundary manifest that lies beside an inventory
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Lets a boundary manifest be a source of the inventory that it bounds. The manifest says which machines are
    production and which are sandbox; M(arcodange.sandbox.prod_ip_guard) reads it and decides.
  - Adds no host and no group. Every host of the inventory gets the variable C(sandbox_boundary), the absolute path
    of the manifest, so that no play has to know where it lies.
  - Holds the whole process to the boundary, whatever command loads the inventory. Extra variables, connection options,
    limits, ad hoc arguments and further inventory sources of the command line are decided about, and what leads out of
    the sandbox ends the process with status 3. Connections are P(arcodange.sandbox.guarded_ssh#connection) from then on,
    whatever name they are asked for by; variables that belong to production's tools (C(KUBECONFIG), C(VAULT_*), C(TF_*),
    C(AWS_*), C(PG*) and more) leave the environment, and C(ssh), C(scp) and C(sftp) on C(PATH) are the guard.
  - Only C(-e i_mean_prod=true) on the command line of the run itself lets it go further, on record.
options:
  plugin:
    description: Marks the file as a source for this plugin.
    type: str
    required: true
    choices:
      - arcodange.sandbox.boundary
notes:
  - Sources are read in their order, and a program among those that stand before the boundary runs before its turn comes.
    Where this plugin stands first in C(enable_plugins) of C(ansible.cfg), as in this repository, it looks at all sources
    before any is read, and refuses programs.
  - The file must be called C(boundary.yml) or C(boundary.yaml).
  - What the manifest may hold is described by C(docs/schema/boundary.schema.json).
"""

EXAMPLES = r"""
# inventory/sandbox/boundary.yml
plugin: arcodange.sandbox.boundary
production:
  addresses:
    - 192.0.2.1-192.0.2.3
sandbox:
  addresses:
    - 172.30.0.0/24
"""

import os

from ansible.plugins.inventory import BaseInventoryPlugin
from ansible_collections.arcodange.sandbox.plugins.plugin_utils import guard


class InventoryModule(BaseInventoryPlugin):
    """Sets one variable and holds the process; what the manifest means is the guard's business."""

    NAME = "arcodange.sandbox.boundary"

    def verify_file(self, path):
        # Where this plugin is the first that is asked, it is asked before any source is read, whosever it is.
        guard.load_early()
        return super().verify_file(path) and os.path.basename(path) in ("boundary.yml", "boundary.yaml")

    def parse(self, inventory, loader, path, cache=False):
        # Before all else: whatever fails here is a warning to Ansible, and the run goes on without the guard.
        boundary = os.path.abspath(path)
        guard.load(loader, boundary)
        super().parse(inventory, loader, path, cache)
        self.inventory.set_variable("all", "sandbox_boundary", boundary)
