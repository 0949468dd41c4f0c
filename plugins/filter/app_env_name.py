# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: app_env_name
short_description: What an app is called in a system
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Computes the names of an application and env, by the same binary and the same table as
    M(arcodange.sandbox.app_env_name).
  - Names in production (O(env=prod)) do not contain the env. Names in any other env contain it, in the form of the system.
  - A name that a system would refuse, truncate or reserve is an error. So are two apps of one list that
    would share a name.
  - One process answers all the names that one worker of Ansible asks for.
positional: env
options:
  _input:
    description:
      - The name of an app in lower-case kebab-case, or a list of apps.
      - In a list each element is a name, or a mapping with C(name) and C(envs).
    type: raw
    required: true
  env:
    description:
      - The env.
      - It applies to every app of a list. A mapping with C(envs) must not be given one.
      - If not given, V(prod) is assumed.
    type: str
  system:
    description:
      - The system whose name is wanted, for example V(postgres_role).
      - If not given, the names in all systems are returned.
    type: str
  conventions:
    description: Path on the controller of a file that changes the shipped table of systems.
    type: path
seealso:
  - plugin: arcodange.sandbox.app_env_name
    plugin_type: lookup
  - module: arcodange.sandbox.app_env_name
"""

EXAMPLES = r"""
- name: Show the owner role of the ERP's database in its env sandbox
  ansible.builtin.debug:
    msg: "{{ 'erp' | arcodange.sandbox.app_env_name('sandbox', system='postgres_role') }}"
    # erp_sandbox_role

- name: Show every name of the ERP in production
  ansible.builtin.debug:
    msg: "{{ 'erp' | arcodange.sandbox.app_env_name }}"

- name: Show the databases of several apps, checked against each other
  ansible.builtin.debug:
    msg: "{{ apps | arcodange.sandbox.app_env_name(system='postgres_database') }}"
    # [cms, erp, erp-sandbox]
  vars:
    apps:
      - cms
      - name: erp
        envs: [prod, sandbox]
"""

RETURN = r"""
_value:
  description:
    - The name, or without O(system) a mapping of all systems to names.
    - For a list of apps, a list of these in the order of the apps and of their envs.
  type: raw
"""

from ansible.errors import AnsibleFilterError
from ansible_collections.arcodange.sandbox.plugins.plugin_utils.naming import (
    Names,
    NamesError,
    names_of,
    with_env,
)

_NAMES = Names()


def app_env_name(value, env=None, system=None, conventions=None):
    systems = None if system is None else [str(system)]
    path = None if conventions is None else str(conventions)
    try:
        if isinstance(value, (list, tuple)):
            apps = [with_env(app, env, "element %d" % n) for n, app in enumerate(value)]
            result = _NAMES.ask(apps=apps, systems=systems, conventions=path)
            return [names_of(instance, system) for instance in result["instances"]]
        if not isinstance(value, str):
            raise NamesError("the input must be the name of an app or a list of apps, and is %r" % (value,))
        result = _NAMES.ask(app=str(value), env=None if env is None else str(env), systems=systems, conventions=path)
        return names_of(result["instances"][0], system)
    except NamesError as error:
        raise AnsibleFilterError("arcodange.sandbox.app_env_name: %s" % error) from error


class FilterModule:
    """The filter app_env_name."""

    def filters(self):
        return {"app_env_name": app_env_name}
