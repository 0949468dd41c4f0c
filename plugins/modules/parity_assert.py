#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module itself is a Go binary, which the action plugin of the same name finds; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: parity_assert
short_description: Compare a sandbox with the parity manifest
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Compares a cluster and the hosts next to it with the parity manifest, which describes production. Each difference is a finding.
  - What cannot be read fails the task; it never counts as absent.
  - The cluster is only read. The boundary manifest must list everything that the kubeconfig refers to as sandbox, or nothing is sent.
  - The embedded distribution of Kubernetes is a deviation, which is always reported and is no finding.
extends_documentation_fragment:
  - arcodange.sandbox.attributes
  - arcodange.sandbox.attributes.controller
  - arcodange.sandbox.evidence
  - arcodange.sandbox.gate
  - arcodange.sandbox.parity_capture
attributes:
  check_mode:
    support: full
    details: The gate changes nothing but its report. With O(state=captured) the manifest is not written.
  diff_mode:
    support: full
    details: Shows each finding as a difference. With O(state=captured) shows the manifest before and after.
  idempotent:
    support: full
  platform:
    platforms: linux, darwin
options:
  state:
    description:
      - With V(asserted) the sandbox is compared with the manifest.
      - With V(captured) the manifest is written from O(capture) and, if given, the cluster of O(kubeconfig), which must be one that
        can do nothing but read. The options of a gate and O(hosts) are refused then.
    type: str
    choices: [asserted, captured]
    default: asserted
  manifest:
    description: The parity manifest.
    type: path
    required: true
  kubeconfig:
    description:
      - Kubeconfig of the cluster. Required with O(state=asserted).
      - One that gets its credentials from a program or goes through a proxy is refused.
    type: path
  context:
    description: Context of the kubeconfig; its current one if not given.
    type: str
  boundary:
    description: The boundary manifest. Required with O(state=asserted).
    type: path
  hosts:
    description:
      - What was gathered from the hosts next to the cluster, by their names in the inventory.
      - Each has C(groups), a list, and C(containers), a list of those of its Docker engine with C(name), C(project), C(service), C(image),
        C(status) and C(health) in the words that Docker has for them (the latter empty where no health is asked for), and, to tell a version
        by where the tag does not, C(environment), a list of C(NAME=VALUE), and C(labels).
    type: dict
  fence:
    description: Whether the rules of M(arcodange.sandbox.sandbox_fence) are in force. Not compared if not given.
    type: str
    choices: [in_force, missing]
  timeout:
    description: Seconds that all of it may take.
    type: int
    default: 60
notes:
  - ansible-core itself shows no difference of a task that fails. The action plugin of this module does.
"""

EXAMPLES = r"""
- name: Compare the sandbox with production
  arcodange.sandbox.parity_assert:
    manifest: parity/manifest.yml
    waiver_file: parity/waivers.yml
    kubeconfig: "{{ sandbox_kubeconfig }}"
    boundary: "{{ sandbox_boundary }}"
    hosts:
      pi2:
        groups: [postgres]
        containers:
          - name: postgres-postgres-1
            project: postgres
            service: postgres
            image: postgres:16.3
            status: running
            health: healthy

- name: Write the manifest from production's repositories
  arcodange.sandbox.parity_assert:
    state: captured
    manifest: parity/manifest.yml
    capture:
      repositories:
        - {name: factory, path: ~/src/factory, ref: main}
        - {name: tools, path: ~/src/tools, ref: main}
      inventory: {repository: factory, path: ansible/inventory, architecture: arm64}
      components:
        - {name: longhorn, helm_release: {namespace: longhorn-system, name: longhorn}}
        - {name: vault, image: {namespace: tools, repository: hashicorp/vault}}
      app_of_apps:
        - repository: factory
          values: argocd/values.yaml
          list: gitea_applications
          template: argocd/templates/apps.yaml
          source_repository: "{org|arcodange-org}/{key}"
          source_path: chart
          namespace: "{key}"
"""

RETURN = r"""
sources:
  description: What the manifest was made of.
  returned: with O(state=captured)
  type: list
  elements: dict
  contains:
    repository:
      description: Name of the repository.
      returned: always
      type: str
    ref:
      description: What was to be read.
      returned: always
      type: str
    commit:
      description: What that was.
      returned: always
      type: str
    dirty:
      description: Whether its working tree held something else, which was not read.
      returned: always
      type: bool
problems:
  description: Why no manifest was written. The task fails if there is any.
  returned: with O(state=captured)
  type: list
  elements: dict
  contains:
    rule:
      description: V(unread), V(conflict), V(missing), V(unknown) or V(address).
      returned: always
      type: str
    where:
      description: Where it is, as C(repository:path), with a line if that is known.
      returned: always
      type: str
    message:
      description: What it is.
      returned: always
      type: str
not_backed_up:
  description: Claims that no job of Longhorn covers, so that the manifest asks for no backup of them.
  returned: with O(state=captured)
  type: list
  elements: str
verdict:
  description: V(green), or V(red) if there is a finding. The task fails if it is red.
  returned: when the gate could evaluate
  type: str
  sample: green
findings:
  description: Violations of rules. The documentation has a table of the rules.
  returned: when the gate could evaluate
  type: list
  elements: dict
  contains:
    rule:
      description: Rule of the gate.
      returned: always
      type: str
    message:
      description: The finding on one line.
      returned: always
      type: str
    path:
      description: What differs, such as V(nodes/pi3) or V(components/vault/version).
      returned: always
      type: str
    where:
      description: File and line, or what was read.
      returned: when known
      type: str
    expected:
      description: What is right.
      returned: when it can be said
      type: str
    found:
      description: What was found.
      returned: when it can be said
      type: str
waived:
  description: Findings that a waiver covers, in the form of RV(findings), each with its C(waiver).
  returned: when the gate could evaluate
  type: list
  elements: dict
summary:
  description: The report in lines of text.
  returned: when the gate could evaluate
  type: list
  elements: str
report:
  description: Path of the report.
  returned: when the gate could evaluate
  type: str
reports:
  description: Path of the report in each format.
  returned: when the gate could evaluate
  type: dict
  sample: {"json": "/home/me/.local/state/arcodange-sandbox/gates/plan.json"}
seconds:
  description: How long it took.
  returned: when the gate could evaluate
  type: float
deviations:
  description: Known differences from production that are no findings.
  returned: when the gate could evaluate
  type: list
  elements: str
  sample: ["the embedded distribution (v1.34.3+k3s1.embedded) replaces v1.34.3+k3s1"]
distribution:
  description: V(k3s), V(embedded) or V(other), as it was measured.
  returned: when the gate could evaluate
  type: str
version:
  description: Version of Kubernetes, as the API server tells it.
  returned: when the gate could evaluate
  type: str
evidence:
  description: The record that was written.
  returned: with O(evidence), except in check mode
  type: dict
  contains:
    ledger:
      description: The ledger.
      type: str
      returned: always
    sequence:
      description: Number of the record.
      type: int
      returned: always
    hash:
      description: Hash of the record.
      type: str
      returned: always
    verdict:
      description: Verdict of the record. Also red if something under test changed while the gate ran.
      type: str
      returned: always
"""
