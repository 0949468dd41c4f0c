#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module itself is a Go binary, which the action plugin of the same name finds; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence
short_description: Keep, verify and show the ledger of what was run in the sandbox
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - A ledger is a file of records, one JSON object in each line, each with the hash of the one before. Records are only ever added.
  - The gates of this collection add their own records, see their option O(ignore:evidence). This module adds those of other runs, such as drills.
  - A crash, a full disk or a second writer harm no record that is there.
  - Neither this module nor a gate adds a record to a ledger that does not verify, signatures aside. See V(restarted) of O(state).
  - "With O(state=verified) every record that was changed, removed, put elsewhere or forged is named, and the task fails.
    The chain tells of changes by somebody who did not compute it anew; the head beside the ledger, and a second one in the user's state directory,
    tell of everything up to the last record; signatures tell of everything that does not come from a holder of an allowed key."
extends_documentation_fragment:
  - arcodange.sandbox.attributes
  - arcodange.sandbox.attributes.controller
  - arcodange.sandbox.evidence.subject
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: Every task with O(state=recorded) adds a record.
  platform:
    platforms: linux, darwin
options:
  state:
    description:
      - V(prepared) makes O(signing_key), and C(allowed_signers) next to it, if there is no such key.
      - V(recorded) adds a record.
      - V(verified) reads the whole ledger and fails if anything is wrong with it, or if there is no record.
      - V(rendered) verifies the ledger as well and writes it as a page to O(page), with what is wrong on top.
      - V(restarted) replaces a ledger that does not verify by a new one. Its first record holds O(reason), and earlier restarts.
        The old file is kept beside it. Its records count for no promotion. A ledger that verifies is left alone.
    type: str
    choices: [prepared, recorded, rendered, restarted, verified]
    default: verified
  what:
    description:
      - What was run, such as the name of a drill. Required with O(state=recorded).
      - Names of gates are refused. They write their own records.
    type: str
  verdict:
    description: How it ended. Required with O(state=recorded).
    type: str
    choices: [green, red]
  summary:
    description: One line for people. Required with O(state=recorded).
    type: str
  seconds:
    description: How long it took.
    type: float
    default: 0.0
  report:
    description: File that it left; its digest is recorded.
    type: path
  allowed_signers:
    description:
      - File of allowed signers, as C(ssh-keygen) reads it. With it every record must be signed by one of them for V(evidence@arcodange.sandbox).
      - Certificate authorities are not supported.
    type: path
  head:
    description: What RV(head) was at an earlier time. The ledger must still hold that record.
    type: str
  allow_missing_head:
    description: Accept a ledger without heads, such as one that was copied from another machine.
    type: bool
    default: false
  page:
    description: File to write the page to. Required with O(state=rendered).
    type: path
  reason:
    description: Why the ledger does not verify and is restarted. Required with O(state=restarted).
    type: str
  title:
    description: What the page is called.
    type: str
    default: Evidence
seealso:
  - module: arcodange.sandbox.idempotence_gate
"""

EXAMPLES = r"""
- name: Add what a drill found
  arcodange.sandbox.evidence:
    state: recorded
    ledger: ~/evidence/ledger.jsonl
    what: drill_postgres_restore
    verdict: green
    summary: The newest backup was restored and holds what was written last
    seconds: 241
    mode: vm
    distribution: embedded
    repositories:
      factory: ~/src/factory

- name: Hold the ledger to the keys of those who may write it
  arcodange.sandbox.evidence:
    ledger: ~/evidence/ledger.jsonl
    allowed_signers: ~/evidence/allowed_signers

- name: Restart a ledger that lost its heads
  arcodange.sandbox.evidence:
    state: restarted
    ledger: ~/evidence/ledger.jsonl
    reason: The state folder was lost with the old disk

- name: Show it
  arcodange.sandbox.evidence:
    state: rendered
    ledger: ~/evidence/ledger.jsonl
    page: ~/evidence/index.html
"""

RETURN = r"""
sequence:
  description: Number of the record that was added.
  returned: when a record was added
  type: int
hash:
  description: Hash of the record that was added.
  returned: when a record was added
  type: str
records:
  description: How many records the ledger holds.
  returned: when it was verified
  type: int
head:
  description: Number and hash of the last record, for O(head) of a later task.
  returned: when it was verified and holds a record
  type: str
anchored:
  description: Whether the second head, outside of the folder of the ledger, says how far it had come.
  returned: when it was verified
  type: bool
breaks:
  description: Restarts of the ledger, oldest first.
  returned: when it was verified
  type: list
  elements: dict
  contains:
    time:
      description: When it was restarted, as RFC 3339 writes it.
      type: str
    reason:
      description: Why, as it was given.
      type: str
    problem:
      description: The first problem of the old ledger.
      type: str
    records:
      description: Number of records of the old ledger.
      type: int
    file:
      description: Where the old ledger was kept.
      type: str
    sha256:
      description: Digest of that file.
      type: str
kept:
  description: Where the old ledger is kept.
  returned: when the ledger was restarted
  type: str
problems:
  description: What is wrong with the ledger.
  returned: when it was verified
  type: list
  elements: dict
  contains:
    kind:
      description: One of V(changed), V(removed), V(reordered), V(forged), V(unsigned), V(missing_head).
      type: str
    sequence:
      description: Number of the record; 0 if it cannot be known.
      type: int
    line:
      description: Line of the file; 0 for none.
      type: int
    message:
      description: What is wrong, in words.
      type: str
"""
