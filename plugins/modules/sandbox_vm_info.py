#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module itself is a Go binary, which the action plugin of the same name finds; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: sandbox_vm_info
short_description: List the machines of a sandbox
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Lists every machine that has the sandbox's label, whether or not an inventory names it.
  - A machine whose container was removed by hand is listed as long as one of its disks is there.
extends_documentation_fragment:
  - arcodange.sandbox.attributes
  - arcodange.sandbox.attributes.controller
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
  platform:
    platforms: linux, darwin
options:
  sandbox:
    description: Name of the sandbox.
    type: str
    default: sandbox
  driver:
    description: How the machines are made.
    type: str
    default: docker
    choices: [docker]
seealso:
  - module: arcodange.sandbox.sandbox_vm
"""

EXAMPLES = r"""
- name: List the machines
  arcodange.sandbox.sandbox_vm_info:
    sandbox: sandbox
  register: machines

- name: Show those that the inventory does not have
  ansible.builtin.debug:
    msg: "{{ machines.machines | difference(groups['raspberries']) }}"
"""

RETURN = r"""
machines:
  description: Names of the machines, sorted.
  returned: success
  type: list
  elements: str
  sample: [pi1, pi2, pi3]
"""
