#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module itself is a Go binary, which the action plugin of the same name finds; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: sandbox_image
short_description: Build an image that a sandbox needs, without a registry
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Builds an image from a recipe of this collection and imports it into the Docker engine, once for every content of the
    recipe. V(node) is Debian 13 with what a node needs; V(postgres) is PostgreSQL from Debian's packages.
  - What was built is kept in O(cache_dir), so an engine that lost the image gets it back without a build.
  - A build that was cut short leaves nothing that a later one would take for whole.
extends_documentation_fragment:
  - arcodange.sandbox.attributes
  - arcodange.sandbox.attributes.controller
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: linux, darwin
options:
  recipe:
    description: What to build.
    type: str
    default: node
    choices: [node, postgres, services]
  image:
    description: Name of the image; made from the recipe and its digest if not given.
    type: str
  source:
    description:
      - Where the base comes from. V(bootstrap) installs Debian's packages from the mirror that apt is configured with;
        V(registry) starts from Debian's image; V(auto) is V(bootstrap) where mmdebstrap is installed, else V(registry).
    type: str
    default: auto
    choices: [auto, bootstrap, registry]
  state:
    description: Whether the engine shall have the image. V(absent) also removes it from O(cache_dir), and O(archive).
    type: str
    default: present
    choices: [present, absent]
  archive:
    description: Also keep the image as this file, as C(docker save) writes it.
    type: path
  mirror:
    description: Mirror of Debian's packages to build from; apt's own if not given.
    type: str
  security_mirror:
    description: Mirror of Debian's security updates; apt's own if not given.
    type: str
  cache_dir:
    description: Where builds are kept; C(arcodange-sandbox) in the user's cache directory if not given.
    type: path
"""

EXAMPLES = r"""
- name: Build the node image when its recipe is new
  arcodange.sandbox.sandbox_image:
    recipe: node
  register: node_image
"""

RETURN = r"""
image:
  description: Name of the image.
  returned: success
  type: str
id:
  description: The engine's id of it; empty if it is not there.
  returned: success
  type: str
digest:
  description: Digest of the recipe's content and the architecture.
  returned: success
  type: str
size:
  description: Size in bytes.
  returned: success
  type: int
recipe:
  description: The recipe that was built.
  returned: success
  type: str
  sample: node
source:
  description: Where it came from in this run. V(engine) if it was there, V(cache) if it had been built before.
  returned: success
  type: str
  sample: engine
archive:
  description: The file it was kept as, if asked for.
  returned: success
  type: str
"""
