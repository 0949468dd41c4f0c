# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.arcodange.sandbox.plugins.plugin_utils.kit import KitAction


class ActionModule(KitAction):
    """Runs the module of the same name out of the controller kit."""

    kit = "controller"
