#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module itself is a Go binary, which the action plugin of the same name finds; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: promotion_gate
short_description: Check commits against the promotion policy, and deploy them
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Lists every file that a range of commits touches, finds by the policy which classes of change they are and what evidence those need, and looks for
    it in the ledger.
  - A record counts only if it is about exactly the tree that would run, committed, green, recent enough, from a sandbox that is faithful enough, and
    no later record of the same gate about that tree is red.
  - A file without a class is a finding, and so are a ledger that cannot be trusted, a clock that was set back and an empty range.
  - Commits and trees are read by their hashes, never from the working tree, the index or through settings of git.
  - With O(state=promoted) it then asks the guard for the override, and runs the playbook of production from that tree.
extends_documentation_fragment:
  - arcodange.sandbox.attributes
  - arcodange.sandbox.attributes.controller
  - arcodange.sandbox.evidence
  - arcodange.sandbox.gate
attributes:
  check_mode:
    support: full
    details: It evaluates the same. No grant is written, nothing is run, and no override is requested.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: A promotion runs every time that it is asked for.
  platform:
    platforms: linux, darwin
options:
  state:
    description:
      - V(evaluated) only evaluates.
      - V(granted) also leaves a grant, which the override of the guard wants if C(policy.evidence) of the boundary manifest names its path.
        It can be used once, within 15 minutes, and only while the verdict would still be green.
      - V(promoted) also runs production's playbook. It needs C(-e i_mean_prod=true) on the command line of this very run,
        and whatever else the policy of the boundary manifest asks for.
    type: str
    choices: [evaluated, granted, promoted]
    default: evaluated
  repository:
    description: Name of the repository, as policy and evidence know it.
    type: str
    required: true
  path:
    description: Where it lies, as a working tree or a bare repository. Shallow and partial clones are refused.
    type: path
    required: true
  base:
    description: The commit that production has. Zeros, as git writes a branch that is not there, for none.
    type: str
    required: true
  head:
    description: The commit that it is to get.
    type: str
    default: HEAD
  policy:
    description:
      - The promotion policy.
      - If it is in the repository, it is read from base and from head, and both have to be satisfied.
      - One that lies elsewhere is refused if the repository has one, unless C(policy.promotion) of the boundary manifest names it.
        If that names one, no other counts.
    type: path
    required: true
  ledger:
    description: The ledger of evidence.
    type: path
    required: true
  allowed_signers:
    description:
      - File of allowed signers, as for M(arcodange.sandbox.evidence). Every record must be signed by one of them.
      - If it is in the repository, it is read from base and from head, and both have to allow each record.
    type: path
  ledger_head:
    description: Number and hash of a record that was last at an earlier time. The ledger must still hold it.
    type: str
  allow_missing_head:
    description: Accept a ledger without heads, which was copied from another machine. It then needs O(allowed_signers) or O(ledger_head).
    type: bool
    default: false
  ledger_history:
    description:
      - A branch of the repository that the ledger is kept on, and its path there, as C(refs/remotes/origin/evidence:ledger.jsonl).
      - Every version that a commit of that branch ever had must be how O(ledger) begins, so that records which were taken out again are noticed.
    type: str
  require_descendant:
    description:
      - O(base) must be the head of the last green record C(promotion) of this repository in the ledger, if there is one, or lie before it.
      - With other states than V(evaluated) it always has to.
    type: bool
    default: false
  boundary:
    description: The boundary manifest. Evidence has to be from runs with exactly this one.
    type: path
    required: true
  manifest:
    description: The parity manifest that evidence has to be from runs with.
    type: path
  inventory:
    description: The inventory, a file or a folder, that evidence has to be from runs with.
    type: path
  related_repositories:
    description:
      - Where other repositories lie that the policy asks for under C(related_repositories), as C(name=path). Evidence has to be of the trees that they
        are at.
    type: dict
  playbook:
    description: Production's playbook, by its path in the repository. Required with O(state=promoted).
    type: str
  production_inventory:
    description: Production's inventory, by paths in the repository. Required with O(state=promoted).
    type: list
    elements: str
  limit:
    description: Hosts to limit the run to, as for C(--limit).
    type: str
  variables:  # no_log
    description: Extra variables of the run. They go by a private file, which is removed.
    type: dict
  environment:  # no_log
    description:
      - More environment for the run. Otherwise it has the one that this process was started with, without C(ANSIBLE_*).
      - C(ANSIBLE_CONFIG) is refused. The tree's own C(ansible.cfg) counts.
    type: dict
  arguments:
    description: More arguments for C(ansible-playbook). Only those that change neither what is run nor where, such as C(--vault-password-file) or C(--diff).
    type: list
    elements: str
  ansible_playbook:
    description: The program. C(ansible-playbook) on C(PATH) if not given.
    type: path
  log:
    description: File that gets what the run prints, as it comes. Beside O(report) if not given.
    type: path
seealso:
  - module: arcodange.sandbox.evidence
  - module: arcodange.sandbox.idempotence_gate
  - module: arcodange.sandbox.tofu_plan_gate
"""

EXAMPLES = r"""
- name: Check whether the commits may reach production
  arcodange.sandbox.promotion_gate:
    repository: factory
    path: ~/src/factory
    base: origin/main
    policy: ~/src/factory/promotion.yml
    ledger: ~/evidence/ledger.jsonl
    boundary: "{{ sandbox_boundary }}"

- name: Deploy them, with -e i_mean_prod=true on the command line
  arcodange.sandbox.promotion_gate:
    state: promoted
    repository: factory
    path: ~/src/factory
    base: v1.4.0
    head: v1.5.0
    policy: ~/src/factory/promotion.yml
    ledger: ~/evidence/ledger.jsonl
    allowed_signers: ~/src/factory/allowed_signers
    boundary: "{{ sandbox_boundary }}"
    playbook: playbooks/site.yml
    production_inventory: [inventory/production]
    evidence:
      ledger: ~/evidence/ledger.jsonl
      signing_key: ~/.ssh/evidence
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
      description: File of the range.
      returned: when it is about one
      type: str
    policy:
      description: Version of the policy, V(base), V(head) or V(file).
      returned: when it is by one
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
repository:
  description: Name of the repository.
  returned: when the gate could evaluate
  type: str
base:
  description: Hash of the commit that production has.
  returned: when the gate could evaluate
  type: str
head:
  description: Hash of the commit that it is to get.
  returned: when the gate could evaluate
  type: str
tree:
  description: Hash of the tree. Empty if it could not be read.
  returned: when the gate could evaluate
  type: str
commits:
  description: How many commits the range has.
  returned: when the gate could evaluate
  type: int
policies:
  description: Policies that were applied.
  returned: when the gate could evaluate
  type: list
  elements: dict
  contains:
    of:
      description: V(base), V(head) if that differs, or V(file) if it is outside of the repository.
      returned: always
      type: str
    sha256:
      description: Digest of the policy.
      returned: always
      type: str
files:
  description: Every file that a commit of the range, or the range as a whole, touches.
  returned: when the gate could evaluate
  type: list
  elements: dict
  contains:
    path:
      description: Its path, quoted if it is no plain text.
      returned: always
      type: str
    classes:
      description: The classes that it is of, by all policies.
      returned: always
      type: list
      elements: str
    commits:
      description: How many commits touch it.
      returned: always
      type: int
    net:
      description: Whether it differs between base and head.
      returned: always
      type: bool
classes:
  description: The classes of all files.
  returned: when the gate could evaluate
  type: list
  elements: str
required:
  description: What is required.
  returned: when the gate could evaluate
  type: list
  elements: dict
  contains:
    policy:
      description: By which policy.
      returned: always
      type: str
    class:
      description: For which class.
      returned: always
      type: str
    need:
      description: The gate or drill, C(name), and what its report has to say, C(report).
      returned: always
      type: dict
    max_age:
      description: How old it may be.
      returned: always
      type: str
    fidelity:
      description: Which sandboxes are good enough.
      returned: always
      type: dict
found:
  description: The records that count.
  returned: when the gate could evaluate
  type: list
  elements: dict
  contains:
    policy:
      description: By which policy.
      returned: always
      type: str
    class:
      description: For which class.
      returned: always
      type: str
    what:
      description: The gate or drill.
      returned: always
      type: str
    sequence:
      description: Number of the record.
      returned: always
      type: int
    time:
      description: When the run ended.
      returned: always
      type: str
    hash:
      description: Hash of the record.
      returned: always
      type: str
    age:
      description: How old it is.
      returned: always
      type: str
missing:
  description: What is required and was not found.
  returned: when the gate could evaluate
  type: list
  elements: dict
  contains:
    policy:
      description: By which policy.
      returned: always
      type: str
    class:
      description: For which class.
      returned: always
      type: str
    what:
      description: The gate or drill.
      returned: always
      type: str
    reason:
      description: Why what is there does not count.
      returned: always
      type: str
    nearest:
      description: Number of the record that comes nearest.
      returned: if there is one
      type: int
grant:
  description: Path of the grant.
  returned: with O(state=granted), when green
  type: str
expires:
  description: Until when it counts.
  returned: when a grant was written
  type: str
log:
  description: File with what the run printed.
  returned: with O(state=promoted), when green and not in check mode
  type: str
command:
  description: The command that was run.
  returned: when something was run
  type: str
code:
  description: Its exit status.
  returned: when something was run
  type: int
output:
  description: The last lines that it printed.
  returned: when something was run
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
