#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module itself is a Go binary, which the action plugin of the same name finds; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: tofu_plan_gate
short_description: Check a plan of OpenTofu or Terraform against rules
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Plans a root module in a private copy and checks the plan. Nothing is applied, and the root module itself is not changed.
  - Before anything of it runs, the boundary manifest must list the state, and everything else that the root module refers to, as sandbox.
  - DNS may change only in zones of the sandbox. A resource that would be deleted, replaced or forgotten needs a waiver.
  - The plan must be complete, refreshed, locked and not stale, and nothing may have changed outside of the program.
  - No value of the plan is shown, except DNS zones that are not sensitive.
extends_documentation_fragment:
  - arcodange.sandbox.attributes
  - arcodange.sandbox.attributes.controller
  - arcodange.sandbox.evidence
  - arcodange.sandbox.gate
attributes:
  check_mode:
    support: full
    details: The gate changes nothing but its report.
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    platforms: linux, darwin
options:
  root:
    description: Folder of the root module.
    type: path
    required: true
  base:
    description:
      - Folder that holds the root and all files that it reads by a path, and is copied.
      - If not given, the one that holds the root and the modules that it calls by a path.
    type: path
  boundary:
    description: The boundary manifest.
    type: path
    required: true
  expect:
    description:
      - With V(no_changes) nothing may differ, neither resources and outputs nor by a move or an import.
      - With V(changes) something must.
    type: str
    choices: [no_changes, changes]
    default: no_changes
  backend_override:
    description: File with one C(terraform) block that holds the sandbox's backend. It takes the place of any backend that the root has.
    type: path
  backend_configs:
    description: Files with settings of the backend, as for C(-backend-config).
    type: list
    elements: path
  var_files:
    description: Files with values of variables, as for C(-var-file).
    type: list
    elements: path
  variables:  # no_log
    description: Values of variables. They go by a private file, which is removed.
    type: dict
  environment:  # no_log
    description:
      - Environment for the program, such as a credential of the sandbox's. The boundary manifest has to allow it.
      - Of the gate's own environment only C(PATH), the language and the places of certificates are passed on.
    type: dict
  arguments:
    description: More arguments for C(plan). Only those that change nothing of what is planned, such as C(-parallelism=2).
    type: list
    elements: str
  cli_config:
    description: CLI configuration file; it may set C(provider_installation) and C(plugin_cache_dir) only. None is used if not given.
    type: path
  plugin_dir:
    description: Folder of providers, as for C(-plugin-dir).
    type: path
  binary:
    description: The program. C(tofu), else C(terraform), if not given.
    type: path
  lock_timeout:
    description: Seconds to wait for the state's lock.
    type: int
    default: 60
  timeout:
    description: Seconds that all of it may take.
    type: int
    default: 1800
"""

EXAMPLES = r"""
- name: Check that a rewritten root module plans no change
  arcodange.sandbox.tofu_plan_gate:
    root: iac
    boundary: "{{ sandbox_boundary }}"
    backend_override: sandbox/backend.tf
    expect: no_changes

- name: Check a change of DNS in the sandbox's zone
  arcodange.sandbox.tofu_plan_gate:
    root: dns
    boundary: "{{ sandbox_boundary }}"
    backend_override: sandbox/backend.tf
    expect: changes
    waivers:
      - rule: delete
        resource: ovh_domain_zone_record.old
        reason: The service is gone.
        expires: "2026-12-31"
"""

RETURN = r"""
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
      description: Attribute of the resource.
      returned: when it is about one
      type: str
    resource:
      description: Address of the resource, output or check.
      returned: when it is about one
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
changes:
  description: What would be changed, without values.
  returned: when the gate could evaluate
  type: list
  elements: dict
  contains:
    address:
      description: Address of the resource or output.
      returned: always
      type: str
    action:
      description: What would be done, such as V(create), V(update), V(replace).
      returned: always
      type: str
    from:
      description: The address before.
      returned: if it moves
      type: str
    importing:
      description: Whether it would be imported.
      returned: always
      type: bool
    attributes:
      description: Names of the attributes that would differ.
      returned: always
      type: list
      elements: str
product:
  description: C(OpenTofu) or C(Terraform); empty if it was not asked.
  returned: when the gate could evaluate
  type: str
version:
  description: Version of the program.
  returned: when the gate could evaluate
  type: str
state:
  description: Where the state lies, as the boundary manifest names it.
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
