# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment(object):
    # The option `evidence` of a gate.
    DOCUMENTATION = r"""
options:
  evidence:
    description:
      - Write a record of this run to a ledger, whatever its verdict. Nothing is written in check mode.
      - A run during which what is under test changed is red.
    type: dict
    suboptions:
      ledger:
        description:
          - File of the ledger. The first record makes it, with mode 0600; its head is next to it, as C(<ledger>.head).
          - Keep it outside of the repositories, or in what they ignore; else each record changes the tree of the next.
        type: path
        required: true
      repositories:
        description:
          - What is under test, as C(name=path of the working tree). The name is the one that the promotion policy uses.
          - If any are named, a gate's playbook or root module must lie in one of them.
          - The tree that really lies there is recorded, with uncommitted changes and untracked files. Those that C(.gitignore) names are left out.
        type: dict
      signing_key:
        description: SSH key to sign the record with; a public one if an agent holds the other half. A key that asks for a passphrase fails.
        type: path
      inventory:
        description: Inventory of the run, a file or a folder; its digest is recorded. That of the gate if not given; another one is refused.
        type: path
      boundary:
        description: Boundary manifest of the run; its digest is recorded. That of the gate if not given; another one is refused.
        type: path
      manifest:
        description: Parity manifest that the sandbox is held to; its digest is recorded. That of the gate if not given; another one is refused.
        type: path
      mode:
        description: Mode of the sandbox.
        type: str
        choices: [k3d, vm]
      driver:
        description: Driver of the sandbox.
        type: str
      distribution:
        description: Which Kubernetes it runs.
        type: str
        choices: [embedded, k3s]
      deviations:
        description: Known differences from production.
        type: list
        elements: str
      waivers:
        description: Waivers in force, besides those that a gate finds itself.
        type: list
        elements: str
      classes:
        description: Classes of change that this run is evidence for; all if not given.
        type: list
        elements: str
      versions:
        description: Versions, by name. Those that a gate measures replace them.
        type: dict
"""

    # The same options by themselves, for the module `evidence`.
    SUBJECT = r"""
options:
  ledger:
    description:
      - File of the ledger. The first record makes it, with mode 0600; its head is next to it, as C(<ledger>.head).
      - Keep it outside of the repositories, or in what they ignore; else each record changes the tree of the next.
    type: path
    required: true
  repositories:
    description:
      - What is under test, as C(name=path of the working tree). The name is the one that the promotion policy uses.
      - If any are named, a gate's playbook or root module must lie in one of them.
      - The tree that really lies there is recorded, with uncommitted changes and untracked files. Those that C(.gitignore) names are left out.
    type: dict
  signing_key:
    description: SSH key to sign the record with; a public one if an agent holds the other half. A key that asks for a passphrase fails.
    type: path
  inventory:
    description: Inventory of the run, a file or a folder; its digest is recorded. That of the gate if not given; another one is refused.
    type: path
  boundary:
    description: Boundary manifest of the run; its digest is recorded. That of the gate if not given; another one is refused.
    type: path
  manifest:
    description: Parity manifest that the sandbox is held to; its digest is recorded. That of the gate if not given; another one is refused.
    type: path
  mode:
    description: Mode of the sandbox.
    type: str
    choices: [k3d, vm]
  driver:
    description: Driver of the sandbox.
    type: str
  distribution:
    description: Which Kubernetes it runs.
    type: str
    choices: [embedded, k3s]
  deviations:
    description: Known differences from production.
    type: list
    elements: str
  waivers:
    description: Waivers in force, besides those that a gate finds itself.
    type: list
    elements: str
  classes:
    description: Classes of change that this run is evidence for; all if not given.
    type: list
    elements: str
  versions:
    description: Versions, by name. Those that a gate measures replace them.
    type: dict
"""
