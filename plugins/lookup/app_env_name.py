# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: app_env_name
short_description: What apps are called in a system
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Computes the names of applications, by the same binary and the same table as M(arcodange.sandbox.app_env_name).
  - A name that a system would refuse, truncate or reserve is an error. So are two instances that would
    share a name.
options:
  _terms:
    description:
      - The apps. Each is a name in lower-case kebab-case, or a mapping with C(name) and C(envs).
    type: list
    elements: raw
    required: true
  env:
    description:
      - The env, for every app that is given as a name alone.
      - If not given, V(prod) is assumed. Terms that are mappings must not be given one.
    type: str
  system:
    description:
      - The system whose names are wanted, for example V(postgres_database).
      - If not given, the names in all systems are returned.
    type: str
  conventions:
    description: Path on the controller of a file that changes the shipped table of systems.
    type: path
seealso:
  - plugin: arcodange.sandbox.app_env_name
    plugin_type: filter
  - module: arcodange.sandbox.app_env_name
"""

EXAMPLES = r"""
- name: Show the namespace of the ERP's env sandbox
  ansible.builtin.debug:
    msg: "{{ lookup('arcodange.sandbox.app_env_name', 'erp', env='sandbox', system='kubernetes_namespace') }}"
    # erp-sandbox

- name: Show the databases of two apps
  ansible.builtin.debug:
    msg: "{{ query('arcodange.sandbox.app_env_name', 'cms', {'name': 'erp', 'envs': ['prod', 'sandbox']}, system='postgres_database') }}"
    # [cms, erp, erp-sandbox]
"""

RETURN = r"""
_raw:
  description:
    - One name for each app and env, in the order of the terms.
    - Without O(system), a mapping of all systems to names for each.
  type: list
  elements: raw
"""

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.arcodange.sandbox.plugins.plugin_utils.naming import (
    Names,
    NamesError,
    names_of,
    with_env,
)

_NAMES = Names()


class LookupModule(LookupBase):
    """The lookup app_env_name."""

    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        system, env = self.get_option("system"), self.get_option("env")
        try:
            result = _NAMES.ask(
                apps=[with_env(term, env, "term %d" % n) for n, term in enumerate(terms)],
                systems=None if system is None else [system],
                conventions=self.get_option("conventions"),
            )
        except NamesError as error:
            raise AnsibleLookupError("arcodange.sandbox.app_env_name: %s" % error) from error
        return [names_of(instance, system) for instance in result["instances"]]
