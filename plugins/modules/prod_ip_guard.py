#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# The module itself is a Go binary, which the action plugin of the same name finds; this file documents it.

from __future__ import annotations

DOCUMENTATION = r"""
module: prod_ip_guard
short_description: Fail unless every target is inside the sandbox
version_added: "1.0.0"
author:
  - The arcodange.sandbox authors (@arcodange-org)
description:
  - Checks every target against the boundary manifest, and fails unless each one is inside the sandbox.
  - Allow first. A target is allowed only if every address that it resolves to is listed as sandbox. What is unknown, cannot
    be resolved or cannot be read is refused; what is listed as production is refused with its line in the manifest.
  - Addresses are read in every spelling that the system's resolver accepts, such as octal, hexadecimal and short
    forms, and IPv4 addresses inside IPv6 ones.
  - With O(external_references) it also reads external references besides the inventory, and checks each of them.
  - With O(check_remote_host=true) it checks the machine that it runs on, so that production behind a port-forward or behind
    address translation is recognised.
extends_documentation_fragment:
  - arcodange.sandbox.attributes
  - arcodange.sandbox.attributes.target
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: The module never changes anything.
  idempotent:
    support: full
  platform:
    platforms: linux, darwin
options:
  boundary:
    description: Path of the boundary manifest, on the host that the module runs on.
    type: path
    required: true
  content:
    description:
      - The manifest itself, for a host that does not have the file. O(boundary) then only names it in messages.
      - Paths in it that begin with C(~) are those of the user that the module runs as.
    type: str
  targets:
    description:
      - Hosts that the run connects to.
      - Without it, without O(external_references) and O(check_remote_host), every host of the play and every host that its tasks delegate to,
        as Ansible renders them. In a play of the controller only, every host of the inventory.
    type: list
    elements: dict
    default: []
    suboptions:
      host:
        description: Name of the host in the inventory, for messages.
        type: str
        required: true
      address:
        description: Address or name to connect to, or the target of another O(targets[].kind).
        type: str
        required: true
      port:
        description:
          - Port to connect to.
          - Without it, the port in O(targets[].address) or the usual one of its O(targets[].kind), which is 22 for V(host).
        type: int
      kind:
        description: Kind of O(targets[].address).
        type: str
        default: host
        choices:
          host: A host name or an address in any spelling, C(user@host), C([address]:port) or an C(ssh://) URI.
          endpoint: C(host:port) or a URL.
          address: An address; a name is refused.
          ssh_host_key: A fingerprint (C(SHA256:...)) or a public key.
          kube: The URL of a Kubernetes API.
          vault: The URL of a Vault.
          git: The URL of a repository, its scp-like form, or a path.
          tofu_state: C(backend:location), such as C(gcs:bucket/prefix).
          dns_zone: Name or id of a DNS zone, or a name in one.
          database: URL or DSN of a database, or C(host:port). Passwords in it are never repeated.
  external_references:
    description:
      - What to read besides the targets. Everything found is a target; what cannot be read or resolved is refused.
      - They are read on the controller, whatever host the task is for, and may not be combined with O(check_remote_host).
      - No message repeats the value of a secret.
    type: dict
    suboptions:
      kubeconfigs:
        description:
          - Kubeconfig files. Every cluster in them is checked by its server, its CA, its TLS server name and its proxy,
            whichever context is current. A user whose credentials come from a program or another server is refused.
        type: list
        elements: path
        default: []
      environment:
        description:
          - Check the environment that Ansible runs in. Addresses in it, such as E(KUBECONFIG), E(VAULT_ADDR), E(PGHOST),
            E(DATABASE_URL), E(DOCKER_HOST) and proxies, are checked like targets.
          - Credentials and what changes connections unseen, such as C(AWS_*), C(GOOGLE_*), C(CLOUDFLARE_*), C(OVH_*), C(VAULT_*),
            C(TF_*), E(PGPASSWORD), E(SSH_AUTH_SOCK), C(GIT_SSH*) and C(ANSIBLE_SSH_*), are refused unless the manifest lists their
            name in C(sandbox.environment).
          - Any other variable is refused if its value mentions production, but for what only says where the process is or came
            from, such as E(PATH), E(HOME) and E(SSH_CONNECTION). The value is not repeated.
          - Where E(KUBECONFIG) is not set, C(~/.kube/config) counts, and likewise C(~/.pgpass) and C(~/.pg_service.conf). Where
            E(DOCKER_HOST) is not set, the current context of docker's configuration counts, unless it is a socket of this machine.
        type: bool
        default: false
      tofu:
        description:
          - Root modules of OpenTofu. Their backend, cloud, encryption and provider blocks, the registries of providers, the machines
            that are provisioned, and what C(tofu init) wrote down are judged. What runs a program is refused, and so is what the
            environment adds, such as C(-backend-config) in E(TF_CLI_ARGS).
          - Providers of clouds have to be listed in C(sandbox.tofu_providers) of the manifest, whatever endpoints they name. A provider
            whose block mentions production under any name is refused.
        type: list
        elements: dict
        default: []
        suboptions:
          directory:
            description: Directory of the root module.
            type: path
            required: true
          backend_configs:
            description: Files given as C(-backend-config), in their order.
            type: list
            elements: path
            default: []
          var_files:
            description: Files given as C(-var-file), in their order.
            type: list
            elements: path
            default: []
      argocd:
        description:
          - Files with manifests of ArgoCD, or directories of them. Destinations and repositories of every C(Application),
            C(ApplicationSet) and C(AppProject), and of the secrets that declare clusters and repositories, are judged.
        type: list
        elements: path
        default: []
      git:
        description:
          - Directories of git repositories. What a fetch and a push of every remote really reach is judged, C(insteadOf) included,
            and what C(.gitmodules) and C(.lfsconfig) bring along.
          - A repository in the file system is checked by its own path and by its path with links resolved. Hooks that lie outside of the
            repository are refused.
        type: list
        elements: path
        default: []
      keys:
        description:
          - C(known_hosts) files, SSH keys, and files with unseal keys of a Vault.
          - An SSH key is refused if the manifest lists it as production, and a host in C(known_hosts) like any target. A file with
            unseal keys is refused unless the manifest lists its path as sandbox.
        type: list
        elements: path
        default: []
  check_remote_host:
    description:
      - Also check the machine that the module runs on, by its own addresses, its hostname, C(/etc/machine-id), its SSH host
        keys, and the CA of the cluster that it is a node of.
      - Any one of them that is listed as production refuses. At least one, loopback and link-local addresses aside, has to be
        listed as sandbox; the others may be unknown.
    type: bool
    default: false
  i_mean_prod:
    description: Let refused targets pass, with a warning that names them.
    type: bool
    default: false
seealso:
  - plugin: arcodange.sandbox.boundary
    plugin_type: inventory
"""

EXAMPLES = r"""
- name: Check that every host is inside the sandbox
  arcodange.sandbox.prod_ip_guard:
    boundary: "{{ sandbox_boundary }}"
    targets:
      - host: pi1
        address: "{{ hostvars['pi1'].ansible_host }}"
  delegate_to: localhost
  run_once: true
  tags: always

- name: Check what this laptop refers to
  arcodange.sandbox.prod_ip_guard:
    boundary: "{{ sandbox_boundary }}"
    external_references:
      environment: true
      kubeconfigs:
        - ~/.local/state/arcodange-sandbox/sandbox/kubeconfig
      tofu:
        - directory: "{{ playbook_dir }}/tofu"
          backend_configs:
            - "{{ playbook_dir }}/tofu/sandbox.gcs.tfbackend"
      git:
        - "{{ playbook_dir }}"

- name: Check that this machine is inside the sandbox
  arcodange.sandbox.prod_ip_guard:
    boundary: "{{ sandbox_boundary }}"
    content: "{{ lookup('ansible.builtin.file', sandbox_boundary) }}"
    check_remote_host: true
"""

RETURN = r"""
verdicts:
  description:
    - A verdict for each target, in their order, then for each external reference, then for what the machine says of itself if
      O(check_remote_host=true).
  returned: when the manifest could be read
  type: list
  elements: dict
  contains:
    host:
      description: Name of the host in the inventory; the file of an external reference; C(this machine).
      type: str
      sample: pi1
    kind:
      description: What the target is, as O(targets[].kind) has it; external references have a few kinds more.
      type: str
      sample: host
    target:
      description: What was asked about, as given but for passwords.
      type: str
      sample: 172.30.0.11
    from:
      description: Where it was found, for external references and for what the machine says of itself.
      type: str
      sample: /home/me/.kube/config:5
    allowed:
      description: Whether it is sandbox.
      type: bool
      sample: true
    reason:
      description: Why.
      type: str
      sample: it is sandbox
    canonical:
      description: What the target means, spelled plainly; empty if it could not be read.
      type: str
      sample: 172.30.0.11
    port:
      description: Port; 0 if it has none.
      type: int
      sample: 22
    addresses:
      description: The addresses that the target resolves to.
      type: list
      elements: str
      sample: [172.30.0.11]
    resolved:
      description: How each address is known.
      type: list
      elements: dict
      contains:
        name:
          description: The name that was resolved, or the address itself.
          type: str
        address:
          description: One of its addresses.
          type: str
        through:
          description: Through what, such as C(its own spelling), C(/etc/hosts:3) or C(the system's resolver).
          type: str
    pinned:
      description: The address to connect to, so that no second resolution can differ; empty unless allowed.
      type: str
      sample: 172.30.0.11
    rule:
      description: The line of the manifest that decided; null if none did.
      type: dict
      contains:
        file:
          description: Path of the manifest.
          type: str
        line:
          description: Line in it.
          type: int
        column:
          description: Column in it.
          type: int
        text:
          description: Section and entry.
          type: str
overridden:
  description: Whether targets were refused and O(i_mean_prod) let them pass.
  returned: when the manifest could be read
  type: bool
  sample: false
"""
