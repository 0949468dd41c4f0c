# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment(object):
    # The options of every gate.
    DOCUMENTATION = r"""
options:
  waivers:
    description:
      - Findings to accept. One waiver covers all findings that match everything that it sets.
      - V(*) matches any text, in a path any text without a slash; V(**) matches any text.
      - A waiver that has expired, or that covers no finding, is a finding itself.
    type: list
    elements: dict
    suboptions:
      rule:
        description: Rule of the gate, such as V(changed). The table of rules in the documentation says which ones cannot be waived.
        type: str
        required: true
      path:
        description: Path of the finding, such as V(nodes/*/architecture).
        type: str
      task:
        description: "Name of the task as Ansible shows it, with the role for a task of a role, such as V(postgres : Create databases)."
        type: str
      resource:
        description: Address of the resource. Without an index it covers all instances.
        type: str
      host:
        description: Name of the host in the inventory.
        type: str
      reason:
        description: Why the findings are acceptable.
        type: str
        required: true
      expires:
        description: Last day of the waiver, as YYYY-MM-DD, at most a year ahead.
        type: str
        required: true
  waiver_file:
    description:
      - YAML file with a list of waivers, in addition to O(waivers).
      - It may be shared by several gates. A rule is then written with its gate, such as V(parity/node).
    type: path
  report:
    description: File for the report, in JSON. A new one in C(arcodange-sandbox/gates) of the user's state folder if not given.
    type: path
  report_formats:
    description:
      - Formats to write the report in as well, next to O(report).
      - V(junit) (C(.xml)), V(sarif) (C(.sarif)), V(text) (C(.txt)), and V(annotations) (C(.annotations)), which are commands of GitHub and
        Gitea Actions.
    type: list
    elements: str
    choices: [annotations, junit, sarif, text]
"""
