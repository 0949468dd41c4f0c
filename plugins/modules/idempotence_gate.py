#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module itself is a Go binary, which the action plugin of the same name finds; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: idempotence_gate
short_description: Check that a playbook changes nothing on converged machines
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Runs C(ansible-playbook --check --diff) and checks its events, as the callback P(arcodange.sandbox.gate_events#callback) writes them.
  - Every expected host must take part. No task may change anything, fail, or be skipped because of check mode.
  - With O(converge) the playbook also runs for real, and the machines are compared before and after. A task that returned C(ok) while something
    changed is a finding.
  - What was not seen is a finding - a run that ended early, events that are missing, a run in which no task ran.
extends_documentation_fragment:
  - arcodange.sandbox.attributes
  - arcodange.sandbox.attributes.controller
  - arcodange.sandbox.evidence
  - arcodange.sandbox.gate
attributes:
  check_mode:
    support: partial
    details: The gate changes nothing but its report. O(converge) is left out in check mode, with a warning.
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    platforms: linux, darwin
options:
  playbook:
    description: The playbook to check. It must have run before, so that nothing is left to change.
    type: path
    required: true
  inventory:
    description: Sources of the inventory; those of the configuration if not given.
    type: list
    elements: str
  limit:
    description: Further limit the hosts, as C(--limit) does.
    type: str
  variables:
    description: Extra variables for the run.
    type: dict
  tags:
    description: Only run tasks with these tags. Tags from the configuration are a finding.
    type: list
    elements: str
  skip_tags:
    description: Leave out tasks with these tags.
    type: list
    elements: str
  chdir:
    description: Where to run; its C(ansible.cfg) is used. Where Ansible itself was started if not given.
    type: path
  expected_hosts:
    description: Hosts that must take part with at least one task beside gathering facts. Every host that a play matches if not given.
    type: list
    elements: str
  converge:
    description: Also run the playbook for real, and compare the machines before and after.
    type: bool
    default: false
  watch:
    description: Paths of which every file's content, owner and mode is compared. Used with O(converge).
    type: list
    elements: path
    default: [/etc]
  snapshot:
    description: What to compare. Used with O(converge).
    type: list
    elements: str
    choices: [packages, units, files, containers]
    default: [packages, units, files, containers]
  snapshot_become:
    description: Become root for the comparison, except on local connections. Used with O(converge).
    type: bool
    default: false
  sandbox:
    description: Name of the sandbox. Containers of other sandboxes are not compared. Used with O(converge).
    type: str
  ignore:
    description: What may change by itself. It is not compared, and recorded as narrowing the run. Used with O(converge).
    type: list
    elements: dict
    suboptions:
      what:
        description:
          - Kind and name, such as C(file /etc/resolv.conf), C(unit cron.service), C(package curl), C(container docker web).
          - V(*) matches anything within a name, V(**) at the end everything below.
        type: str
        required: true
      reason:
        description: Why it changes by itself.
        type: str
        required: true
  kubeconfig:
    description: Also compare the objects of this cluster, by their generation, through C(kubectl). Used with O(converge).
    type: path
  timeout:
    description: Seconds that all runs together may take.
    type: int
    default: 3600
  ansible_playbook:
    description: The program to run. The action plugin gives the one of the Ansible that runs the task.
    type: path
    default: ansible-playbook
"""

EXAMPLES = r"""
- name: Check that site.yml changes nothing in the sandbox
  arcodange.sandbox.idempotence_gate:
    playbook: site.yml
    inventory: [inventory/sandbox]
    expected_hosts: [pi1, pi2, pi3]
    converge: true
    snapshot_become: true
    watch: [/etc, /opt]
    waivers:
      - rule: check_mode_skip
        task: "postgres : List databases"
        reason: It only reads, and ansible.builtin.command skips itself in check mode.
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
    task:
      description: Task or play.
      returned: when it is about one
      type: str
    item:
      description: Item of the loop.
      returned: when it is about one
      type: str
    host:
      description: Host, and behind an arrow the one that it was delegated to.
      returned: when it is about one
      type: str
    run:
      description: V(check) or V(converge).
      returned: when it was found in a run
      type: str
    path:
      description: First thing that changed.
      returned: when it is about one
      type: str
    diff:
      description: Differences, each with C(header), C(before) and C(after).
      returned: when there are any
      type: list
      elements: dict
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
converged:
  description: Whether the playbook also ran for real and the machines were compared.
  returned: when the gate could evaluate
  type: bool
narrowed:
  description: Options that made the run less than the whole playbook on the whole inventory. With O(evidence) the record lists them as waivers.
  returned: when the gate could evaluate
  type: list
  elements: str
  sample: ["limit pi1"]
hosts:
  description: Hosts that took part.
  returned: when the gate could evaluate
  type: list
  elements: str
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
