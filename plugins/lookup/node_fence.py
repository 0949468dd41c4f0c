# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: node_fence
short_description: Render the firewall of a node from the boundary manifest
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Renders what the role P(arcodange.sandbox.node_fence#role) installs on a node. Names of production are resolved on the controller.
options:
  _terms:
    description: Path of the boundary manifest on the controller.
    type: list
    elements: path
    required: true
  addresses:
    description: Further addresses, ranges or blocks to keep out, as the manifest writes them.
    type: list
    elements: str
    default: []
  networks:
    description: Private networks of the cluster, for pods and services, that are not blocked.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show the rules
  ansible.builtin.debug:
    msg: "{{ lookup('arcodange.sandbox.node_fence', sandbox_boundary, addresses=['198.51.100.0/24']).rules }}"
"""

RETURN = r"""
_raw:
  description:
    - One mapping for each manifest. C(rules) is a file for C(nft --file), C(hosts) are lines for C(/etc/hosts) that
      block names, and C(outside) lines with the names of C(sandbox.outside).
  type: list
  elements: dict
"""

import json

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.arcodange.sandbox.plugins.plugin_utils import guard


class LookupModule(LookupBase):
    """The lookup node_fence."""

    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        further = [flag for option, name in (("addresses", "--address"), ("networks", "--network"))
                   for value in self.get_option(option) for flag in (name, value)]
        try:
            return [json.loads(guard.run_guard("nft-rules", str(boundary), "", *further)[1]) for boundary in terms]
        except guard.Refusal as error:
            raise AnsibleLookupError("arcodange.sandbox.node_fence: %s" % error) from error
