# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Documentation only: the module is a part of the controller binary.

from __future__ import annotations

DOCUMENTATION = r"""
module: sandbox_image
short_description: Builds the images that a sandbox is made of
version_added: 1.0.0
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Sees to it that an image is in the Docker engine of this computer, built from Debian's packages by one of the
    recipes that the collection holds. No registry is needed.
  - An image is called after its content, so a new recipe makes a new image and an old one is never mistaken for it.
    What was built is cached below O(cache_dir).
  - The module runs on the controller, whatever the connection of the task is.
attributes:
  check_mode:
    support: full
    description: Foretells RV(ignore:changed) as the real run then has it.
  diff_mode:
    support: full
    description: Shows what is before and after.
  idempotent:
    support: full
    description: When run twice in a row with the same arguments, the second run changes nothing.
options:
  recipe:
    description:
      - What to build. V(node) is a machine for M(arcodange.sandbox.sandbox_vm); V(postgres) is PostgreSQL 17 that reads
        the environment variables of the official image.
    type: str
    choices: [node, postgres]
    default: node
  image:
    description: What to call it. Without it, a name with the digest of the recipe.
    type: str
  source:
    description:
      - V(bootstrap) builds with mmdebstrap from packages alone. V(registry) builds on Debian's official image.
      - V(auto) bootstraps where mmdebstrap is installed, and else asks the registry.
    type: str
    choices: [auto, bootstrap, registry]
    default: auto
  state:
    description: Whether the image is to be in the engine, or gone from the engine and the cache.
    type: str
    choices: [present, absent]
    default: present
  archive:
    description: A file to write the image to as well, as C(docker load) reads it.
    type: path
  mirror:
    description: Where Debian's packages are fetched from. Without it, from where this computer's apt does.
    type: str
  security_mirror:
    description: Where Debian's security updates are fetched from. Without it, from where this computer's apt does.
    type: str
  cache_dir:
    description:
      - Where what was built is kept. Without it, C(arcodange-sandbox) in the user's cache folder.
    type: path
seealso:
  - module: arcodange.sandbox.sandbox_vm
"""

EXAMPLES = r"""
- name: The image of the nodes
  arcodange.sandbox.sandbox_image:
    recipe: node
  register: node_image

- name: PostgreSQL, also as a file for another engine
  arcodange.sandbox.sandbox_image:
    recipe: postgres
    archive: "{{ ansible_user_dir }}/.cache/arcodange-sandbox/postgres.tar"
"""

RETURN = r"""
image:
  description: What the image is called.
  returned: success
  type: str
  sample: arcodange-sandbox/node:ab1f35cee5cb3eba
id:
  description: Its ID in the engine; empty in check mode while it is missing.
  returned: success
  type: str
  sample: sha256:51d4b62f4cfc2b054425f0ca37624f6080f07f8f8a6e74f4ac8d934b31d148a7
digest:
  description: The digest of the recipe for this architecture.
  returned: success
  type: str
  sample: ab1f35cee5cb3eba
size:
  description: Its size in bytes, unpacked.
  returned: success
  type: int
  sample: 542122960
recipe:
  description: What it was built by.
  returned: success
  type: str
  sample: node
source:
  description: Where it came from, V(engine) if it was there, else V(cache), V(bootstrap) or V(registry).
  returned: success
  type: str
  sample: cache
archive:
  description: The file that it was also written to; empty without one.
  returned: success
  type: str
  sample: ""
"""
