#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module itself is a Go binary, which the action plugin of the same name finds; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: sandbox_fence
short_description: Keep the machines of a sandbox inside it, from outside
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Loads packet filter rules (nftables) on the host of the engine, where root on a machine cannot change them. Machines and pods
    reach the sandbox's network and what the boundary manifest lists under C(sandbox.outside), and nothing else - no private network, no
    router, no service of the host itself.
  - The rules in force are read back and compared in every run.
  - The host loses the rules when it restarts. A container loads them again when the engine starts.
extends_documentation_fragment:
  - arcodange.sandbox.attributes
  - arcodange.sandbox.attributes.controller
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: linux, darwin
options:
  sandbox:
    description: Name of the sandbox.
    type: str
    default: sandbox
  network:
    description: Name of its network.
    type: str
    required: true
  boundary:
    description: The boundary manifest. Needed unless O(state=absent).
    type: path
  state:
    description: Whether the rules are in force.
    type: str
    default: present
    choices: [present, absent]
  driver:
    description: How the machines are made.
    type: str
    default: docker
    choices: [docker]
seealso:
  - module: arcodange.sandbox.sandbox_vm
"""

EXAMPLES = r"""
- name: Keep the machines inside the sandbox
  arcodange.sandbox.sandbox_fence:
    network: sandbox
    boundary: "{{ sandbox_boundary }}"
"""

RETURN = r"""
rules:
  description: The rules in force, as nft lists them; empty if there are none.
  returned: success
  type: str
in_force:
  description: Whether the wanted rules were in force before the task, so in check mode whether they are.
  returned: O(state=present)
  type: bool
  sample: true
refused:
  description: How many packets they have refused since they were loaded.
  returned: success
  type: int
  sample: 0
"""
