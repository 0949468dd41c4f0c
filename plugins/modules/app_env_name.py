#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module itself is a Go binary, which the action plugin of the same name finds; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: app_env_name
short_description: Compute what apps are called in every system
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Computes the names of applications in every system from two coordinates, the app and the env.
  - Names in production (O(env=prod)) do not contain the env, so they are the names from before envs existed.
    In any other env names take it, each system in its own way.
  - Refuses a name that a system would refuse, truncate or reserve, and returns the system, the rule, the length
    and the offending part.
  - Refuses two instances that would share a name, in one system or in two systems that share their names, and tells
    both.
  - The module is pure. It reads no system and changes nothing, and it runs on the controller whatever host its task is
    for.
options:
  app:
    description:
      - The name of one app, in lower-case kebab-case. It must have at most 63 characters and begin with a letter.
      - Exactly one of O(app) and O(apps) must be given.
    type: str
  env:
    description:
      - The env of O(app), in lower-case kebab-case.
      - If not given, V(prod) is assumed.
    type: str
  apps:
    description:
      - Several apps, which are checked against each other.
      - Each element is a name, which means its production alone, or a mapping with C(name) and a list C(envs).
    type: list
    elements: raw
  systems:
    description:
      - The systems whose names are wanted.
      - If not given, all systems of the table are.
    type: list
    elements: str
  conventions:
    description:
      - Path on the controller of a YAML file that changes the shipped table of systems.
      - A system that the table does not have, or a pattern without C(<env>), is an error.
    type: path
  with_table:
    description: Whether to return the table as well, as the OpenTofu module C(tofu/naming) takes it.
    type: bool
    default: false
  expect:
    description:
      - Recorded names that must not have changed, in the form of RV(instances).
      - Any difference fails the module, and is shown as a diff when the task runs with C(--diff).
      - Names of systems that O(systems) leaves out are not compared.
    type: list
    elements: dict
    suboptions:
      app:
        description: The app.
        type: str
        required: true
      env:
        description: The env.
        type: str
        default: prod
      key:
        description: Taken so that RV(instances) can be given as it was returned, and not looked at.
        type: str
      names:
        description: The recorded names by system.
        type: dict
        required: true
extends_documentation_fragment:
  - arcodange.sandbox.attributes
  - arcodange.sandbox.attributes.controller
attributes:
  check_mode:
    support: full
    details: The module never changes anything, so that it does the same with and without it.
  diff_mode:
    support: full
    details: Shows how names differ from O(expect), when they do.
  idempotent:
    support: full
  platform:
    platforms: linux, darwin
seealso:
  - plugin: arcodange.sandbox.app_env_name
    plugin_type: filter
  - plugin: arcodange.sandbox.app_env_name
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Compute the names of the ERP in its env sandbox
  arcodange.sandbox.app_env_name:
    app: erp
    env: sandbox
  register: erp_sandbox

- name: Show the database and its owner
  ansible.builtin.debug:
    msg: "{{ erp_sandbox.names.postgres_database }} belongs to {{ erp_sandbox.names.postgres_role }}"

- name: Check all apps against each other
  arcodange.sandbox.app_env_name:
    apps:
      - cms
      - url-shortener
      - name: erp
        envs: [prod, sandbox]
    systems: [postgres_database, postgres_role]

- name: Fail when a name is not what was recorded
  arcodange.sandbox.app_env_name:
    apps: "{{ platform_apps }}"
    conventions: "{{ playbook_dir }}/names.yml"
    expect: "{{ lookup('ansible.builtin.file', 'names.json') | from_json }}"
"""

RETURN = r"""
instances:
  description: Every instance with its names, in the order of the apps and of their envs.
  returned: unless the arguments are refused
  type: list
  elements: dict
  contains:
    app:
      description: The app.
      type: str
      returned: always
      sample: erp
    env:
      description: The env.
      type: str
      returned: always
      sample: sandbox
    key:
      description: The instance in one word, which is the app in production and app-env elsewhere.
      type: str
      returned: always
      sample: erp-sandbox
    names:
      description: The names by system.
      type: dict
      returned: always
      sample:
        postgres_database: erp-sandbox
        postgres_role: erp_sandbox_role
names:
  description: The names of the one instance by system.
  returned: when O(app) is given
  type: dict
  sample:
    postgres_database: erp-sandbox
    postgres_role: erp_sandbox_role
collisions:
  description: Every name that two parties would share. The module fails when there is one.
  returned: unless the arguments are refused
  type: list
  elements: dict
  contains:
    name:
      description: The shared name.
      type: str
      returned: always
      sample: erp-sandbox
    first:
      description:
        - One party, by C(system), C(app) and C(env).
        - C(env) is null for a name that belongs to all envs of the app.
      type: dict
      returned: always
      sample: {system: postgres_database, app: erp, env: sandbox}
    second:
      description: The other party.
      type: dict
      returned: always
      sample: {system: postgres_database, app: erp-sandbox, env: prod}
table:
  description: The table of systems as the OpenTofu module C(tofu/naming) takes it in its variable C(table).
  returned: when O(with_table=true)
  type: dict
  sample: {reserved: {apps: [], envs: []}, systems: {}}
differences:
  description: Every name that is not what was recorded. The module fails when there is one.
  returned: when O(expect) is given
  type: list
  elements: dict
  contains:
    app:
      description: The app.
      type: str
      returned: always
      sample: erp
    env:
      description: The env.
      type: str
      returned: always
      sample: sandbox
    system:
      description: The system.
      type: str
      returned: always
      sample: dns
    expected:
      description: The recorded name.
      type: str
      returned: always
      sample: erp-sandbox.example.org
    found:
      description: The name now, or null when there is no such instance or system any more.
      type: str
      returned: always
      sample: erp.sandbox.example.org
"""
