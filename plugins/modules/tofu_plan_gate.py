#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module itself is a Go binary, which the action plugin of the same name finds; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: tofu_plan_gate
short_description: Tell whether a plan of OpenTofu or Terraform does what it may
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Plans a root module in a private copy, and judges the plan's JSON form. The user's tree is left alone, and nothing is applied.
  - Before anything of it is run, the boundary manifest must list the state, and everything else that the root leads to, as the sandbox's.
  - Green only if DNS changes in the throwaway zone alone, nothing is deleted, replaced or forgotten unless listed in O(allowed),
    nothing was changed outside, every check passes, and the plan is whole, refreshed, locked and not stale.
  - No value of the plan is shown, but for the zone of a record, unless that is sensitive.
extends_documentation_fragment:
  - arcodange.sandbox.attributes
  - arcodange.sandbox.attributes.controller
  - arcodange.sandbox.evidence
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
  allowed:
    description: What may be lost. One that was not needed is a warning.
    type: list
    elements: dict
    suboptions:
      address:
        description: Address of the resource, exactly.
        type: str
        required: true
      action:
        description: What may be done to it.
        type: str
        choices: [delete, replace, forget]
        required: true
      reason:
        description: Why that is meant.
        type: str
        required: true
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
  report:
    description: File to write the report to; one in C(arcodange-sandbox/gates) of the user's state directory if not given.
    type: path
"""

EXAMPLES = r"""
- name: Prove that a rewritten root plans nothing new
  arcodange.sandbox.tofu_plan_gate:
    root: iac
    boundary: "{{ sandbox_boundary }}"
    backend_override: sandbox/backend.tf
    expect: no_changes

- name: Judge a change of DNS in the throwaway zone
  arcodange.sandbox.tofu_plan_gate:
    root: dns
    boundary: "{{ sandbox_boundary }}"
    backend_override: sandbox/backend.tf
    expect: changes
    allowed:
      - address: ovh_domain_zone_record.old
        action: delete
        reason: The service is gone.
"""

RETURN = r"""
verdict:
  description: V(green) or V(red). The task fails if it is red, or could not be found.
  returned: when the root was judged
  type: str
  sample: green
findings:
  description: Everything that is not as it must be.
  returned: when the root was judged
  type: list
  elements: dict
  contains:
    rule:
      description: What was broken, such as C(production_state), C(dns_zone), C(delete), C(changed), C(drift), C(stale).
      returned: always
      type: str
    address:
      description: Address of the resource, output or check.
      returned: if it is about one
      type: str
    where:
      description: File and line of what leads there.
      returned: if it is about the state or another place
      type: str
    expected:
      description: What should have been.
      returned: always
      type: str
    found:
      description: What was.
      returned: always
      type: str
    message:
      description: All of it on one line.
      returned: always
      type: str
report:
  description: Path of the report, a JSON file.
  returned: when the root was judged
  type: str
summary:
  description: The plan and the findings, a line for each.
  returned: when the root was judged
  type: list
  elements: str
changes:
  description: What would be changed, without values.
  returned: when the root was judged
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
  returned: when the root was judged
  type: str
version:
  description: Version of the program.
  returned: when the root was judged
  type: str
state:
  description: Where the state lies, as the boundary manifest names it.
  returned: when the root was judged
  type: str
seconds:
  description: How long it took.
  returned: when the root was judged
  type: float
evidence:
  description: The record that was written.
  returned: when O(evidence) is given, and not in check mode
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
      description: The verdict as it was recorded. Red also if something under test changed while the gate ran.
      type: str
      returned: always
"""
