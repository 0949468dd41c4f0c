# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: boundary
short_description: Restrict a run to the sandbox by the boundary manifest of its inventory
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Makes a boundary manifest a source of the inventory. The manifest lists which machines are
    production and which are sandbox.
  - Adds no host and no group. Every host of the inventory gets the variable C(sandbox_boundary), the absolute path
    of the manifest.
  - Restricts the whole process, whatever command loads the inventory. Extra variables, connection options,
    limits, ad hoc arguments and further inventory sources of the command line are checked, and a target outside
    the sandbox ends the process with status 3. Connections are P(arcodange.sandbox.guarded_ssh#connection) from then on,
    under any name; endpoints and credentials of clients (C(KUBECONFIG), C(VAULT_*), C(TF_*),
    C(AWS_*), C(PG*) and more) leave the environment, unless the manifest lists them under C(sandbox.environment), and C(ssh),
    C(scp) and C(sftp) on C(PATH) are the guard.
  - Only C(-e i_mean_prod=true) on the command line of the run itself overrides this, and is recorded.
options:
  plugin:
    description: Marks the file as a source for this plugin.
    type: str
    required: true
    choices:
      - arcodange.sandbox.boundary
notes:
  - Sources are read in their order, and a program before the boundary manifest runs first.
    Where this plugin is the first in C(enable_plugins) of C(ansible.cfg), as in this repository, it checks all sources
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
    """Sets one variable and restricts the process."""

    NAME = "arcodange.sandbox.boundary"

    def verify_file(self, path):
        # Called for every source, and for the first one before it is read.
        guard.load_early()
        return super().verify_file(path) and os.path.basename(path) in ("boundary.yml", "boundary.yaml")

    def parse(self, inventory, loader, path, cache=False):
        # First: Ansible turns an error here into a warning, and continues without the guard.
        boundary = os.path.abspath(path)
        guard.load(loader, boundary)
        super().parse(inventory, loader, path, cache)
        self.inventory.set_variable("all", "sandbox_boundary", boundary)
