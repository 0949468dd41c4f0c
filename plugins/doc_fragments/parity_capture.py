# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment(object):
    # What production's sources are, and what of them the manifest shall have.
    DOCUMENTATION = r"""
options:
  capture:
    description:
      - Production's sources. Required with O(state=captured), and of no use otherwise.
      - Everything is read on this machine and at a commit; nothing is fetched, rendered or run but C(git) and C(ansible-inventory).
    type: dict
    suboptions:
      repositories:
        description: Git repositories, with a working tree or bare.
        type: list
        elements: dict
        suboptions:
          name:
            description: Name by which everything else here calls it. That of the repository on its forge, so that Applications are found to be its own.
            type: str
            required: true
          path:
            description: Its top folder.
            type: path
            required: true
          ref:
            description: Branch, tag or commit to read; C(HEAD) if not given. What is not committed is never read; it is a warning.
            type: str
          read:
            description: Folders and files to look for manifests in; all of it if not given.
            type: list
            elements: str
      unread:
        description: Files that may stay unread. Whatever else cannot be read fails the task. One that was not needed is a warning.
        type: list
        elements: dict
        suboptions:
          path:
            description: C(repository:path), in which C(*) is any run of characters.
            type: str
            required: true
          reason:
            description: Why it holds nothing of the manifest.
            type: str
            required: true
      inventory:
        description: Production's inventory, of files of data. No connection is made. One that is a program, or of a plugin, is refused.
        type: dict
        suboptions:
          repository:
            description: Repository that holds it; one of this machine's files if not given.
            type: str
          path:
            description: File or folder.
            type: path
            required: true
          server_group:
            description: Group of the nodes that are servers.
            type: str
            default: k3s_server
          agent_group:
            description: Group of the nodes that are agents.
            type: str
            default: k3s_agent
          version_variable:
            description: Variable of the nodes that holds the version of Kubernetes.
            type: str
            default: k3s_version
          architecture_variable:
            description: Variable of the nodes that holds their architecture, such as V(arm64).
            type: str
          architecture:
            description: Architecture of the nodes that have no such variable.
            type: str
          vault_password_file:
            description: File with the password of vaulted variables. One that is a program is refused.
            type: path
          ansible_inventory:
            description: The program.
            type: path
            default: ansible-inventory
      variables:
        description: Values of plain variables in templates. They win over the defaults of roles and over the inventory.
        type: dict
      components:
        description: The components that the manifest shall have. Each needs one of C(helm_release), C(image) and C(api_group).
        type: list
        elements: dict
        suboptions:
          name:
            description: Its name in the manifest.
            type: str
            required: true
          helm_release:
            description: It is found by a release of Helm. HelmChart objects of k3s say its version.
            type: dict
            suboptions:
              namespace:
                description: Namespace of the release.
                type: str
                required: true
              name:
                description: Name of the release.
                type: str
                required: true
              version_of:
                description: Whether the chart's own version is meant, or that of the app in it.
                type: str
                choices: [chart, app]
                default: chart
          image:
            description: It is found by the tag of an image. Values of charts, of HelmChart objects and of Applications, and workloads say it.
            type: dict
            suboptions:
              namespace:
                description: Namespace that it runs in; any if not given.
                type: str
              repository:
                description: Repository of the image, without a registry.
                type: str
                required: true
          api_group:
            description: It is found by a group of the API, whose preferred version only a cluster can tell.
            type: str
          version:
            description: Its version, if no file says it. It is held against all that do.
            type: str
          chart:
            description: Chart that says the version, as C(repository:folder).
            type: str
          dependency:
            description: Dependency of O(capture.components[].chart) that says the version, by C(Chart.lock) if there is one.
            type: str
          from:
            description: Pattern of C(repository:path); only such files are read. For an image that several files set, each for another place.
            type: str
      app_of_apps:
        description:
          - Lists in values of a chart of which a template makes Applications. The template is not rendered, so that this says what it makes.
          - In C(name), C(source_repository), C(source_path), C(revision) and C(namespace), C({key}) is an entry's key, C({field}) a field of it,
            and C({field|main}) a field with what counts if it is not there.
        type: list
        elements: dict
        suboptions:
          repository:
            description: Repository of the chart.
            type: str
            required: true
          values:
            description: Path of the values file.
            type: str
            required: true
          list:
            description: Keys to the list, with dots.
            type: str
            required: true
          template:
            description: Path of the template. It has to go through that list and no other.
            type: str
            required: true
          name:
            description: Name of an Application.
            type: str
            default: "{key}"
          source_repository:
            description: Its repository, as C(owner/name) or a URL.
            type: str
            required: true
          source_path:
            description: Its folder in the repository.
            type: str
            default: "."
          revision:
            description: Its targetRevision.
            type: str
            default: HEAD
          namespace:
            description: Namespace that it installs into. Without it, claims in its chart that name none are not known.
            type: str
      applications_namespace:
        description: Namespace of ArgoCD's Applications.
        type: str
        default: argocd
      outside:
        description: Services outside Kubernetes, by docker compose.
        type: list
        elements: dict
        suboptions:
          name:
            description: Its name in the manifest.
            type: str
            required: true
          hosts:
            description: Group of the inventory that it runs on.
            type: str
            required: true
          repository:
            description: Repository of the compose file.
            type: str
            required: true
          compose:
            description: Path of the compose file. It may be a template of which plain variables are filled, from the role's defaults and the inventory.
            type: str
            required: true
          service:
            description: Service in it.
            type: str
            required: true
          project:
            description: Project of docker compose; the file's C(name) if not given.
            type: str
          images:
            description: Images that hold it too, besides the service's own and those that are well known. In the cluster it is found by them.
            type: list
            elements: str
      longhorn_storage_classes:
        description: Storage classes that are Longhorn's, where no manifest says it.
        type: list
        elements: str
        default: [longhorn, longhorn-static]
      prefer:
        description: Who is believed where the repositories and the cluster differ. If not given, that they differ fails the task.
        type: str
        choices: [repositories, cluster]
      read_production:
        description:
          - Allow a O(kubeconfig) whose cluster the boundary manifest lists as production. It is reported as a warning.
          - What the boundary manifest lists neither as production nor as the sandbox's is refused in any case.
        type: bool
        default: false
      helm_secrets:
        description:
          - Let O(kubeconfig) read secrets, in which Helm keeps its releases. Nothing but releases is asked for. It is a warning, since
            a secret may hold credentials that can write.
        type: bool
        default: false
"""
