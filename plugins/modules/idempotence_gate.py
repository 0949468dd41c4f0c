#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module itself is a Go binary, which the action plugin of the same name finds; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: idempotence_gate
short_description: Tell whether a playbook leaves converged machines alone
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Runs C(ansible-playbook --check --diff) and judges its events, as the callback P(arcodange.sandbox.gate_events#callback) writes them.
  - Green only if every expected host took part, no task changed anything, failed or met a host that does not answer, none was skipped
    because of check mode unless listed in O(skips), no failure was hidden by C(ignore_errors), and no play matched no host.
  - With O(prove) the playbook also converges for real, and the machines are compared before and after. A task that said C(ok) while
    something changed is named.
  - A run that ended early, or of which not everything was seen, is red. So is one in which nothing ran.
extends_documentation_fragment:
  - arcodange.sandbox.attributes
  - arcodange.sandbox.attributes.controller
  - arcodange.sandbox.evidence
attributes:
  check_mode:
    support: partial
    details: The gate itself changes nothing but its report. O(prove) is left out in check mode, with a warning.
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    platforms: linux, darwin
options:
  playbook:
    description: The playbook to judge. It must have been run before, so that there is nothing left to change.
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
    description: Only run tasks with these tags. Tags from the configuration are red.
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
  skips:
    description: Tasks that may be skipped because of check mode, or on which it decides otherwise; plays likewise.
    type: list
    elements: dict
    suboptions:
      task:
        description: "The task's name as Ansible shows it; for a task of a role C(role : task). For a play, its name."
        type: str
        required: true
      reason:
        description: Why check mode cannot judge it.
        type: str
        required: true
  prove:
    description: Also converge for real, and compare the machines before and after.
    type: bool
    default: false
  watch:
    description: Paths of which every file's content, owner and mode is compared. Used with O(prove).
    type: list
    elements: path
    default: [/etc]
  snapshot:
    description: What to compare. Used with O(prove).
    type: list
    elements: str
    choices: [packages, units, files, containers]
    default: [packages, units, files, containers]
  snapshot_become:
    description: Become root to look at the machines, but for those of a local connection. Used with O(prove).
    type: bool
    default: false
  sandbox:
    description: Name of the sandbox. Machines of other sandboxes on a container engine that is looked at do not count. Used with O(prove).
    type: str
  ignore:
    description: What may change by itself. Used with O(prove).
    type: list
    elements: dict
    suboptions:
      what:
        description:
          - Kind and name, such as C(file /etc/resolv.conf), C(unit cron.service), C(package curl), C(container docker web).
          - V(*) stands for anything within a name, V(**) at the end for everything below.
        type: str
        required: true
      reason:
        description: Why it changes by itself.
        type: str
        required: true
  kubeconfig:
    description: Also compare the objects of this cluster, by their generation, through C(kubectl). Used with O(prove).
    type: path
  report:
    description: File to write the report to; one in C(arcodange-sandbox/gates) of the user's state directory if not given.
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
- name: Prove that the site leaves the sandbox alone
  arcodange.sandbox.idempotence_gate:
    playbook: site.yml
    inventory: [inventory/sandbox]
    expected_hosts: [pi1, pi2, pi3]
    prove: true
    snapshot_become: true
    watch: [/etc, /opt]
    skips:
      - task: "postgres : Ask which databases there are"
        reason: A question, which the module of commands cannot put in check mode.
"""

RETURN = r"""
verdict:
  description: V(green) or V(red). The task fails if it is red, or could not be found.
  returned: when the playbook was judged
  type: str
  sample: green
findings:
  description: Everything that is not as it must be.
  returned: when the playbook was judged
  type: list
  elements: dict
  contains:
    rule:
      description: What was broken, such as C(changed), C(failed), C(check_mode_skip), C(missing_host), C(liar), C(nothing_ran).
      returned: always
      type: str
    run:
      description: V(check) or V(converge).
      returned: if it was found in a run
      type: str
    task:
      description: Name of the task.
      returned: if it is about one
      type: str
    where:
      description: File and line of the task or play.
      returned: if it is about one
      type: str
    host:
      description: The host, and after an arrow the one it was delegated to.
      returned: if it is about one
      type: str
    item:
      description: The item of a loop.
      returned: if it is about one
      type: str
    expected:
      description: What should have been.
      returned: always
      type: str
    found:
      description: What was.
      returned: always
      type: str
    diff:
      description: The differences, each with C(header), C(before) and C(after).
      returned: if there are any
      type: list
      elements: dict
    message:
      description: All of it on one line.
      returned: always
      type: str
report:
  description: Path of the report, a JSON file.
  returned: when the playbook was judged
  type: str
proved:
  description: Whether it converged for real and the machines were compared.
  returned: when the playbook was judged
  type: bool
narrowed:
  description:
    - "What made the run less than a whole one, or another, such as C(limit: pi1), C(tags: web), C(variables: x)."
    - With O(evidence) each is a waiver of the record.
  returned: when the playbook was judged
  type: list
  elements: str
hosts:
  description: Hosts that took part.
  returned: when the playbook was judged
  type: list
  elements: str
seconds:
  description: How long it took.
  returned: when the playbook was judged
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
