#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module itself is a Go binary, which the action plugin of the same name finds; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: sandbox_vm
short_description: Make, start, stop and remove the machines of a sandbox
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Brings one machine of a sandbox into the wanted state and waits until its SSH server answers.
  - A machine is what the driver makes of it. The driver V(docker) makes a system container with its own systemd, SSH
    server and disks, which is an ordinary machine to Ansible.
  - The module makes the sandbox's own SSH key and known hosts file if they are missing; the machine's host key is given
    to it, not taken on trust.
  - Only what carries the sandbox's label is ever touched. Anything else of the same name is an error.
  - Two runs on one machine take turns. A run that was killed at any step leaves what the next run completes or removes.
  - A failure while creating removes what was created, unless O(keep=true).
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
  name:
    description: Name of the machine, which is also its host name.
    type: str
    required: true
  sandbox:
    description: Name of the sandbox that owns the machine.
    type: str
    default: sandbox
  driver:
    description: How the machine is made.
    type: str
    default: docker
    choices: [docker]
  state:
    description:
      - V(present) sees to it that the machine exists as described; a new one is started, an existing one is left running
        or stopped as it is.
      - V(started) and V(stopped) also start or stop it.
      - V(absent) removes it with its disks, and the network with the sandbox's last machine.
    type: str
    default: started
    choices: [present, started, stopped, absent]
  image:
    description:
      - Image that the machine is made from. Required unless O(state=absent).
      - Another image makes the machine anew with the disks that it has.
    type: str
  cpus:
    description:
      - Processors that the machine may use, as in V(1.5); V(0) means no limit on a new machine, and as it is for another.
      - What runs in the machine counts as many, rounded up. More than the computer has is an error.
    type: float
    default: 0.0
  memory:
    description:
      - Memory that the machine may use, as in V(2G). If not given, no limit on a new machine, and as it is for another.
      - The machine shows it as its own. More than the computer has is an error; the machines' sum may be more, with a warning.
    type: bytes
  disk:
    description:
      - Size of each file system of the machine, as in V(32G), also of O(disks) without a size. If not given, no limit on a new
        machine, and as it is for another. Another size makes the machine anew with the disks that it has, which keep theirs.
      - The driver V(docker) can limit it where the engine keeps machines on XFS with project quotas, and C(/) alone on btrfs and
        ZFS. Elsewhere the machine shares the engine's disk, which it also shows, and the task warns.
    type: bytes
  model:
    description: >-
      Hardware that the machine shows, as in V(Raspberry Pi 4 Model B Rev 1.4): in C(/proc/cpuinfo), and where the kernel
      knows device trees in C(/proc/device-tree/model). If not given, that of the computer.
    type: str
    default: ""
  disks:
    description:
      - Further disks, one volume each. They are kept when the machine is made anew with other settings.
      - A disk that is no longer listed is no longer mounted, and kept until O(state=absent).
      - Every machine has its own disks for C(/var/lib/containerd), C(/var/lib/docker), C(/var/lib/kubelet) and
        C(/var/lib/rancher). A disk with such a path takes the place of that one.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the disk.
        type: str
        required: true
      path:
        description: Where it is mounted.
        type: str
        required: true
      size:
        description: Size, as in V(10G), where the driver can limit it.
        type: bytes
  network:
    description: The sandbox's network.
    type: dict
    suboptions:
      name:
        description: Name of the network; the sandbox's name if not given.
        type: str
      subnet:
        description: Its addresses, as CIDR.
        type: str
        default: 172.30.0.0/24
      nameserver:
        description:
          - Address in O(network.subnet) of the name server that a new machine has in C(/etc/resolv.conf), see M(arcodange.sandbox.sandbox_services);
            the engine's if not given. Not given for an existing machine means no change.
          - Another name server makes the machine anew with the disks that it has.
        type: str
  address:
    description:
      - Fixed address of the machine in O(network). Required unless O(state=absent).
      - Another address makes the machine anew with the disks that it has.
    type: str
  publish:
    description: Ports of the machine that the controller also reaches on its own loopback.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: Port of the machine.
        type: int
        required: true
      host_port:
        description: Port on the controller's loopback; a stable free one if not given.
        type: int
  ssh_user:
    description: User that Ansible logs in as.
    type: str
    default: pi
  ssh_public_key:
    description:
      - Public keys that may log in, one a line; lines that begin with V(#) are left out.
      - They take the place of the sandbox's own key, which then may not log in. If not given, that key is used.
    type: str
  requires:
    description: >-
      What the play that follows needs of the machine. If the driver's machines lack it, the task fails before it makes
      anything, and names the drivers that have it.
    type: list
    elements: str
    choices: [clock, iscsi, modules, swap]
    default: []
  keep:
    description: Keep what a failed call made, to look at it.
    type: bool
    default: false
  timeout:
    description: How long to wait for another run on the same machine, and again for its SSH server, in seconds.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Create and start the node
  arcodange.sandbox.sandbox_vm:
    name: "{{ inventory_hostname }}"
    image: "{{ node_image.image }}"
    address: 172.30.0.11
    disks:
      - name: longhorn
        path: /mnt/arcodange

- name: Refuse to begin what needs iSCSI where there is none
  arcodange.sandbox.sandbox_vm:
    name: "{{ inventory_hostname }}"
    image: "{{ node_image.image }}"
    address: 172.30.0.11
    cpus: 2
    memory: 4G
    requires: [iscsi]

- name: Take it away with its disks
  arcodange.sandbox.sandbox_vm:
    name: "{{ inventory_hostname }}"
    state: absent
"""

RETURN = r"""
changes:
  description: Names of the settings that changed, or would change in check mode.
  returned: success
  type: list
  elements: str
  sample: [network, state]
machine:
  description: The machine as it is now. Every key is there in every state.
  returned: success
  type: dict
  contains:
    name:
      description: Name of the machine.
      type: str
      sample: pi1
    sandbox:
      description: The sandbox that owns it.
      type: str
      sample: sandbox
    driver:
      description: How it was made.
      type: str
      sample: docker
    state:
      description: Whether it is V(started), V(stopped) or V(absent).
      type: str
      sample: started
    id:
      description: The driver's own name for it.
      type: str
    image:
      description: Image that it was made from.
      type: str
    cpus:
      description: Processors that it may use; 0 means no limit.
      type: float
      sample: 0.0
    memory:
      description: Memory that it may use, in bytes; 0 means no limit.
      type: int
      sample: 0
    disk:
      description: Size in bytes that its root file system is limited to; 0 means no limit.
      type: int
      sample: 0
    model:
      description: Hardware that it shows; empty for the computer's.
      type: str
      sample: Raspberry Pi 4 Model B Rev 1.4
    lacks:
      description: What machines of this driver do not have, of the choices of O(requires).
      type: list
      elements: str
      sample: [clock, iscsi, modules, swap]
    network:
      description: Name of its network.
      type: str
      sample: sandbox
    address:
      description: Its address there.
      type: str
      sample: 172.30.0.11
    gateway:
      description: The network's gateway.
      type: str
      sample: 172.30.0.1
    ssh_host:
      description: Address that the controller logs in to.
      type: str
      sample: 172.30.0.11
    reachable:
      description: Whether the controller can log in. In check mode false if this task would have to repair a key first.
      type: bool
      sample: true
    ssh_port:
      description: Port that the controller logs in to.
      type: int
      sample: 22
    ssh_user:
      description: User that the controller logs in as.
      type: str
      sample: pi
    ssh_key_file:
      description: Private key on the controller that opens the machine; empty where O(ssh_public_key) was given.
      type: str
    host_keys:
      description: The machine's host keys.
      type: list
      elements: dict
      contains:
        type:
          description: Type of the key.
          type: str
          sample: ssh-ed25519
        key:
          description: The public key.
          type: str
        fingerprint:
          description: Its SHA-256 fingerprint.
          type: str
    known_hosts:
      description: Lines for a known hosts file.
      type: list
      elements: str
    known_hosts_file:
      description: File on the controller that holds those lines.
      type: str
    disks:
      description: All its disks, each with C(name) and C(path).
      type: list
      elements: dict
    ports:
      description: Published ports, each with C(port), C(host) and C(host_port).
      type: list
      elements: dict
    notes:
      description: What a person should know, such as a right that the host could not grant.
      type: list
      elements: str
"""
