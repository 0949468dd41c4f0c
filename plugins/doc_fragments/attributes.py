# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What the modules of this collection have in common."""

    # Every module is a binary, so what it supports is documented here.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and foretell what it would change without changing anything.
  diff_mode:
    description: Returns what has changed, or would change in C(check_mode), when in diff mode.
  idempotent:
    description: When run twice in a row with the same arguments, the second run reports no change.
  platform:
    description: Systems that the module runs on.
    support: full
"""

    # For modules that only ever run on the controller.
    CONTROLLER = r"""
options: {}
attributes:
  async:
    description: Can be run with the C(async) keyword.
    support: none
  become:
    description: Is usable with the C(become) keyword.
    support: none
    details: The module runs on the controller as the user who runs Ansible; C(become) has no effect on it.
  connection:
    description: Uses the target's connection to run code there.
    support: none
    details: The module always runs on the controller, whatever host the task is for, and needs no connection to it.
"""

    # For modules that run where their task runs.
    TARGET = r"""
options: {}
attributes:
  async:
    description: Can be run with the C(async) keyword.
    support: none
  connection:
    description: Uses the target's connection to run code there.
    support: full
"""
