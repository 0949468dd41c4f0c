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
options:
  plugin:
    description: Marks the file as a source for this plugin.
    type: str
    required: true
    choices:
      - arcodange.sandbox.boundary
notes:
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

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin


class InventoryModule(BaseInventoryPlugin):
    """Sets one variable; what the manifest means is the guard's business."""

    NAME = "arcodange.sandbox.boundary"

    def verify_file(self, path):
        return super().verify_file(path) and os.path.basename(path) in ("boundary.yml", "boundary.yaml")

    def parse(self, inventory, loader, path, cache=False):
        super().parse(inventory, loader, path, cache)
        manifest = loader.load_from_file(path, cache="none")
        if not isinstance(manifest, dict) or not manifest.get("sandbox"):
            raise AnsibleParserError(
                "reading the boundary manifest %s: it has no sandbox section, so nothing would be allowed; "
                "list the sandbox's addresses there" % path
            )
        self.inventory.set_variable("all", "sandbox_boundary", os.path.abspath(path))
