# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Documentation only: the module is a part of the controller binary.

from __future__ import annotations

DOCUMENTATION = r"""
module: sandbox_vm
short_description: Makes and removes the machines of a sandbox
version_added: 1.0.0
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Sees to it that one machine of a sandbox is there, runs, is stopped, or is gone with everything that belonged to it.
  - A machine is to Ansible an ordinary host, with systemd, SSH, an address and disks of its own. How it is made is the
    O(driver)'s business.
  - Only what carries the sandbox's label is ever touched. Anything else of the same name is an error.
  - The module runs on the controller, whatever the connection of the task is. Different machines may be made at once;
    two tasks on one machine wait for each other.
  - A call that was interrupted leaves what the next call completes or removes.
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
  name:
    description:
      - The node, and its host name. Lower-case letters, digits and hyphens.
    type: str
    required: true
  sandbox:
    description:
      - Which sandbox the machine belongs to. It is the label by which ownership is told, and the first part of the
        names of everything that is made.
    type: str
    default: sandbox
  driver:
    description:
      - How machines are made. V(docker) makes system containers of a Docker engine.
    type: str
    choices: [docker]
    default: docker
  state:
    description:
      - V(present) sees to it that the machine exists, and leaves it running or stopped as it is. A machine that has to
        be made is started.
      - V(started) also starts it, and waits until its SSH server answers.
      - V(stopped) also stops it, its services in order.
      - V(absent) removes it and its disks, and with the last machine of the sandbox its network.
    type: str
    choices: [present, started, stopped, absent]
    default: started
  image:
    description:
      - What the machine is made from, as M(arcodange.sandbox.sandbox_image) returns it. Required unless O(state=absent).
      - Another image than the machine has makes the machine anew. Its disks are kept.
    type: str
  cpus:
    description:
      - How many cores the machine may use. V(0) sets no limit on a new machine and leaves another's as it is.
      - Changed in place.
    type: float
    default: 0
  memory:
    description:
      - How much memory the machine may use, in bytes or as in V(2G). Without it or with V(0) a new machine has no limit
        and another keeps its own.
      - Changed in place.
    type: str
  disks:
    description:
      - Disks beside those that every machine has for containers and Kubernetes.
      - Adding or leaving out a disk makes the machine anew. A disk that is left out is kept until O(state=absent).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the disk is called.
        type: str
        required: true
      path:
        description: The folder that it is mounted on.
        type: str
        required: true
      size:
        description:
          - How large it is, in bytes or as in V(10G). The docker driver cannot limit the size and says so.
        type: str
  network:
    description:
      - The private network of the sandbox. The first machine makes it, and the last takes it away.
    type: dict
    suboptions:
      name:
        description: What the network is called. Without it, as O(sandbox).
        type: str
      subnet:
        description: Its addresses. They may not overlap with another network of this computer.
        type: str
        default: 172.30.0.0/24
  address:
    description:
      - The machine's fixed address in the network. Required unless O(state=absent). Another address makes the machine
        anew. Its disks are kept.
    type: str
  publish:
    description:
      - Ports of the machine that are reached on the loopback address of this computer. Where V(22) is among them,
        Ansible and SSH are led there. On macOS the machines' own addresses cannot be reached.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: The machine's port.
        type: int
        required: true
      host_port:
        description: This computer's port. Without it one is chosen, and kept as long as the machine is.
        type: int
  ssh_user:
    description: Who logs in by SSH, with sudo and without a password.
    type: str
    default: pi
  ssh_public_key:
    description:
      - Who may log in as O(ssh_user); one key a line. Without it the module makes a key for the sandbox and returns
        where it is.
    type: str
  keep:
    description: Keep what was made when making the machine fails, to look at it.
    type: bool
    default: false
  timeout:
    description: For how many seconds to wait for the machine to answer, or for another task on the same machine.
    type: int
    default: 120
seealso:
  - module: arcodange.sandbox.sandbox_image
"""

EXAMPLES = r"""
- name: Three machines, from nothing to SSH
  arcodange.sandbox.sandbox_vm:
    name: "{{ inventory_hostname }}"
    image: "{{ node_image.image }}"
    address: "{{ sandbox_address }}"
    memory: 4G
    disks:
      - name: longhorn
        path: /mnt/data

- name: One of them fails
  arcodange.sandbox.sandbox_vm:
    name: pi2
    state: stopped
    image: "{{ node_image.image }}"
    address: 172.30.0.12

- name: Nothing is left of it
  arcodange.sandbox.sandbox_vm:
    name: pi2
    state: absent
"""

RETURN = r"""
changes:
  description: The names of what changed.
  returned: success
  type: list
  elements: str
  sample: [network, state]
machine:
  description: The machine as it is now.
  returned: success
  type: dict
  contains:
    name:
      description: The node.
      type: str
      sample: pi1
    sandbox:
      description: The sandbox that it belongs to.
      type: str
      sample: sandbox
    driver:
      description: How it was made.
      type: str
      sample: docker
    state:
      description: V(started), V(stopped) or V(absent).
      type: str
      sample: started
    id:
      description: What the driver's own tools call it.
      type: str
      sample: sandbox-pi1
    image:
      description: What it was made from.
      type: str
      sample: arcodange-sandbox/node:ab1f35cee5cb3eba
    cpus:
      description: How many cores it may use, or 0 for no limit.
      type: float
      sample: 0.0
    memory:
      description: How many bytes of memory it may use, or 0 for no limit.
      type: int
      sample: 4294967296
    network:
      description: The network that it is in.
      type: str
      sample: sandbox
    address:
      description: Its address there.
      type: str
      sample: 172.30.0.11
    gateway:
      description: The gateway of the network, while the machine runs.
      type: str
      sample: 172.30.0.1
    ssh_host:
      description: Where this computer reaches its SSH server.
      type: str
      sample: 172.30.0.11
    ssh_port:
      description: The port of that.
      type: int
      sample: 22
    ssh_user:
      description: Who logs in.
      type: str
      sample: pi
    ssh_key_file:
      description: The private key to log in with, where the module made it; else empty.
      type: str
      sample: ""
    host_keys:
      description: The keys of its SSH server, read from the machine itself and not over the network.
      type: list
      elements: dict
      contains:
        type:
          description: The kind of key.
          type: str
          sample: ssh-ed25519
        key:
          description: The public key.
          type: str
          sample: AAAAC3NzaC1lZDI1NTE5AAAA
        fingerprint:
          description: Its fingerprint as ssh-keygen prints it.
          type: str
          sample: SHA256:71/sxrzenxydvYIztIso/M0llLXmXP/FSZUCHf3N8ZU
    known_hosts:
      description: Its lines of known_hosts.
      type: list
      elements: str
      sample: [172.30.0.11 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA pi1]
    known_hosts_file:
      description: The file that these lines were written to.
      type: str
      sample: /home/you/.local/state/arcodange-sandbox/sandbox/ssh/known_hosts
    disks:
      description: Its disks.
      type: list
      elements: dict
      contains:
        name:
          description: What the disk is called.
          type: str
          sample: rancher
        path:
          description: Where it is mounted.
          type: str
          sample: /var/lib/rancher
    ports:
      description: Its published ports.
      type: list
      elements: dict
      contains:
        port:
          description: The machine's port.
          type: int
          sample: 6443
        host:
          description: The address of this computer.
          type: str
          sample: 127.0.0.1
        host_port:
          description: The port of this computer.
          type: int
          sample: 26443
    notes:
      description: What is not as production would have it, or not as it was asked for.
      type: list
      elements: str
      sample: []
    privileged:
      description: Whether the host granted a privileged container. Null for a machine that is not there.
      type: bool
      sample: true
"""
