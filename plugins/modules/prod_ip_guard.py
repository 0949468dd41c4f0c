#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module itself is a Go binary, which the action plugin of the same name finds; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: prod_ip_guard
short_description: Refuse to go on if a target is not the sandbox's
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Asks the boundary manifest about every target, and fails unless each one is sandbox.
  - Allow first. A target is allowed only if every address that it leads to is listed as sandbox. What is unknown, cannot
    be resolved or cannot be read is refused; what is listed as production is refused with the line that says so.
  - Addresses are understood in every spelling that the system's resolver takes, such as octal, hexadecimal and short
    forms, and IPv4 addresses inside IPv6 ones.
extends_documentation_fragment:
  - arcodange.sandbox.attributes
  - arcodange.sandbox.attributes.target
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: The module never changes anything.
  idempotent:
    support: full
  platform:
    platforms: linux, darwin
options:
  boundary:
    description: Path of the boundary manifest, on the host that the module runs on.
    type: path
    required: true
  targets:
    description: What the run is going to connect to.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: Name of the host in the inventory, for messages.
        type: str
        required: true
      address:
        description: Address or name that is connected to.
        type: str
        required: true
  arrived:
    description:
      - Also check the machine that the module runs on by its own addresses, so that production behind a port-forward is
        recognised.
    type: bool
    default: false
  i_mean_prod:
    description: Let refused targets pass, with a warning that names them.
    type: bool
    default: false
seealso:
  - plugin: arcodange.sandbox.boundary
    plugin_type: inventory
"""

EXAMPLES = r"""
- name: Refuse to go on if any host is not the sandbox's
  arcodange.sandbox.prod_ip_guard:
    boundary: "{{ sandbox_boundary }}"
    targets:
      - host: pi1
        address: "{{ hostvars['pi1'].ansible_host }}"
  delegate_to: localhost
  run_once: true
  tags: always
"""

RETURN = r"""
verdicts:
  description: A verdict for each target, in their order, and for each address of the machine itself if O(arrived=true).
  returned: when the manifest could be read
  type: list
  elements: dict
  contains:
    host:
      description: Name of the host in the inventory.
      type: str
      sample: pi1
    target:
      description: What was asked about, as given.
      type: str
      sample: 172.30.0.11
    allowed:
      description: Whether it is sandbox.
      type: bool
      sample: true
    reason:
      description: Why.
      type: str
      sample: it is sandbox
    addresses:
      description: What the target leads to.
      type: list
      elements: str
      sample: [172.30.0.11]
    rule:
      description: The line of the manifest that decided; null if none did.
      type: dict
      contains:
        file:
          description: Path of the manifest.
          type: str
        line:
          description: Line in it.
          type: int
        text:
          description: Section and entry.
          type: str
overridden:
  description: Whether targets were refused and O(i_mean_prod) let them pass.
  returned: when the manifest could be read
  type: bool
  sample: false
"""
