# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: elsewhere
short_description: This machine, as another one of another platform
description:
  - Runs everything here, and answers C(uname) as it is told to. Writes down what is copied and asked.
options:
  uname:
    description: What C(uname -s && uname -m) prints.
    type: str
    vars:
      - name: elsewhere_uname
  log:
    description: File that gets a line for each copy and each question.
    type: path
    vars:
      - name: elsewhere_log
"""

import os

from ansible.plugins.connection.local import Connection as Local


class Connection(Local):
    """Is local in all but name, so that Ansible transfers what it runs."""

    transport = "elsewhere"

    def _note(self, what):
        with open(self.get_option("log"), "a", encoding="utf-8") as log:
            log.write("%s\n" % what)

    def exec_command(self, cmd, in_data=None, sudoable=True):
        if "uname -s" in cmd:
            self._note("asked")
            answer = self.get_option("uname")
            return (0, answer.encode(), b"") if answer else (127, b"", b"uname: not found")
        return super().exec_command(cmd, in_data=in_data, sudoable=sudoable)

    def put_file(self, in_path, out_path):
        self._note("copied %s" % os.path.basename(out_path))
        return super().put_file(in_path, out_path)
