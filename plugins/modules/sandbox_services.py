#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module itself is a Go binary, which the action plugin of the same name finds; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: sandbox_services
short_description: Serve names and time inside a sandbox
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Runs a name server (dnsmasq) and a time server (chrony) in a container on the sandbox's network, where root on a machine cannot
    change them.
  - Names of O(hosts), and those of C(sandbox.outside) in the boundary manifest, have their addresses. Any other name does not
    exist (NXDOMAIN), and is listed in RV(not_found).
  - The container is removed with the last machine of the sandbox.
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
  address:
    description: Address of the servers in O(network). Needed unless O(state=absent).
    type: str
  image:
    description: Image with the servers, made by M(arcodange.sandbox.sandbox_image) from the recipe V(services). Needed unless O(state=absent).
    type: str
  boundary:
    description: The boundary manifest. Needed unless O(state=absent).
    type: path
  hosts:
    description: Addresses by name.
    type: dict
  time_names:
    description: Names that NTP clients ask for. They have O(address).
    type: list
    elements: str
    default:
      - pool.ntp.org
      - 0.pool.ntp.org
      - 1.pool.ntp.org
      - 2.pool.ntp.org
      - 3.pool.ntp.org
      - 0.debian.pool.ntp.org
      - 1.debian.pool.ntp.org
      - 2.debian.pool.ntp.org
      - 3.debian.pool.ntp.org
      - ntp.ubuntu.com
  state:
    description: Whether the servers run.
    type: str
    default: started
    choices: [started, absent]
  driver:
    description: How the machines are made.
    type: str
    default: docker
    choices: [docker]
seealso:
  - module: arcodange.sandbox.sandbox_vm
  - module: arcodange.sandbox.sandbox_fence
"""

EXAMPLES = r"""
- name: Serve names and time
  arcodange.sandbox.sandbox_services:
    network: sandbox
    address: 172.30.0.2
    image: "{{ built.image }}"
    boundary: "{{ sandbox_boundary }}"
    hosts:
      pi1: 172.30.0.11
"""

RETURN = r"""
not_found:
  description: How often names were asked for that do not exist here, by name; those of a long time ago are forgotten.
  returned: success
  type: dict
  sample: {"registry.example": 4}
"""
