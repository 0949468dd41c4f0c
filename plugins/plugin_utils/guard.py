# -*- coding: utf-8 -*-
# Copyright: (c) 2026, The arcodange.sandbox authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a process that loads the sandbox's inventory is held to, whatever command or ansible.cfg it was started with.

Nothing is decided here: what leads where is the guard binary's to say. This file collects what the command line says,
asks, and ends the process on a refusal. What it leaves behind in the process that goes on:

* every ssh connection is the guarded one, whatever name it is asked for by, and every other that leaves this machine is
  refused, because play keywords, tasks and ``add_host`` can name a connection long after the inventory was read;
* production's credentials are out of the environment, and ``ssh``, ``scp`` and ``sftp`` on ``PATH`` are the guard.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import multiprocessing
import os
import pwd
import shlex
import stat
import subprocess
import sys
import time

import yaml
from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleError
from ansible.executor.process.worker import WorkerProcess
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.splitter import parse_kv
# A plugin of the same name beside a playbook, or in a role, would be loaded under the name of these if they were not there.
from ansible.plugins.connection import local as _local, ssh as _ssh  # pylint: disable=unused-import
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars

from ansible_collections.arcodange.sandbox.plugins.plugin_utils.kit import PLUGINS, KitError, guard_binary, user_folder

GUARDED = "arcodange.sandbox.guarded_ssh"
PROMOTION = "arcodange.sandbox.promote"
REFUSED = 3

# Names of connections that stay on this machine.
HERE = frozenset(["local", "ansible.builtin.local", "ansible.legacy.local"])
# Names under which the guarded connection is asked for. `smart` is what Ansible says when nobody said anything.
_SSH = frozenset(["ssh", "ansible.builtin.ssh", "ansible.legacy.ssh", "smart", GUARDED])

# Inventory plugins that ask nobody: they work on what other sources said, or read a file that is looked at itself. None is no plugin.
_ASKS_NOBODY = frozenset([None] + [
    "the plugin " + name for name in ("constructed", "ansible.builtin.constructed", "generator", "ansible.builtin.generator", "arcodange.sandbox.boundary")
])

# Variables of production's tools; a name that ends in * stands for all that begin so.
_PRODUCTION = (
    "KUBECONFIG", "VAULT_*", "BAO_*", "TF_*", "TOFU_*", "AWS_*", "GOOGLE_*", "GCLOUD_*", "CLOUDSDK_*", "CLOUDFLARE_*", "CF_*", "OVH_*", "PG*",
    "DATABASE_URL", "DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST", "CONTAINER_CONNECTION", "CONTAINER_SSHKEY", "BUILDKIT_HOST", "LIBVIRT_DEFAULT_URI",
    "K8S_AUTH_*", "KUBE_CONFIG*", "KUBE_HOST", "KUBE_TOKEN", "KUBE_CTX*", "KUBE_CLUSTER_*", "KUBE_CLIENT_*", "KUBE_EXEC*", "KUBERNETES_MASTER", "KUBERNETES_SERVICE_HOST",
    "HCLOUD_*", "DIGITALOCEAN_*", "SCW_*", "ARM_*", "AZURE_*", "GCP_*", "HELM_KUBE*", "ANSIBLE_HASHI_VAULT_*", "CONSUL_*", "NOMAD_*", "ETCDCTL_*", "RESTIC_*", "BORG_*", "MC_HOST_*", "ARGOCD_*", "GITEA_*",
    "SSH_AUTH_SOCK", "SSH_AGENT_PID", "SSH_ASKPASS", "SSH_SK_PROVIDER", "SSH_SK_HELPER", "SSH_PKCS11_HELPER", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_PROXY_COMMAND",
    "GIT_CONFIG", "GIT_CONFIG_*", "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN",
    "RSYNC_RSH", "RSYNC_CONNECT_PROG", "SANDBOX_PROGRAMS",
)
# What a process cannot do without, and what only says where it is or came from; internal/references exempts the same.
_OWN = frozenset(["PATH", "HOME", "PWD", "OLDPWD", "USER", "LOGNAME", "SHELL", "TMPDIR", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "SANDBOX_BOUNDARY",
                  "HOSTNAME", "SSH_CLIENT", "SSH_CONNECTION", "LS_COLORS", "VIRTUAL_ENV", "EMAIL", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"])
# Where the sandbox itself is made; no credential.
_KEPT = ("TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR", "PGSYSCONFDIR", "AWS_CA_BUNDLE", "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE")

# How many bytes a boundary manifest may have; the binary says the same (internal/limitedread).
_MANIFEST_MOST = 256 << 10

# Extra variables that say where a connection leads, and what it is.
_ADDRESSES = ("ansible_host", "ansible_ssh_host", "ansible_paramiko_host", "ansible_delegated_host")
_CONNECTIONS = ("ansible_connection",)
# Extra variables that would take the guard away.
_OURS = ("sandbox_boundary",)


class Refusal(Exception):
    """The guard's no, in one line."""


class Process:
    """What was found out when the inventory was loaded. Workers are forked, so they have it too."""

    boundary = None
    digest = None  # of the manifest as it was then
    meant = None  # True or False once it was decided
    run = None  # what tells this run's lines in the log of overrides from another's
    looked = False  # the command line's other sources were looked at
    # A promotion is held like any other run: what it means is asked when the gate is green, for the run that it then starts.
    promotion = False
    # The environment before anything was taken out of it, for that run.
    environment = None


def guard(arguments, given=None):
    """Run the guard binary; return its exit status and what it printed."""
    try:
        path = guard_binary()
    except KitError as error:
        raise Refusal("the guard cannot be asked: %s" % error) from error
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")}
    try:
        done = subprocess.run(
            [path] + arguments, input=json.dumps(given) if isinstance(given, dict) else given,
            capture_output=True, text=True, check=False, env=environment, timeout=120,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Refusal("the guard cannot be asked: %s" % error) from error
    if done.returncode not in (0, REFUSED):
        raise Refusal((done.stderr.strip().splitlines() or ["the guard ended with status %d" % done.returncode])[-1].removeprefix("prod-ip-guard: "))
    return done.returncode, done.stdout


def check(boundary, targets):
    """Ask about targets, each with ``kind``, ``value`` and ``from``. Raise Refusal with every reason."""
    if not targets:
        return
    lines = "".join(json.dumps(target) + "\n" for target in targets)
    status, out = guard(["check", "--boundary", boundary, "--output", "json", "--targets-from-stdin"], lines)
    if status == 0:
        return
    reasons = []
    for decision in json.loads(out)["decisions"]:
        if not decision["allowed"]:
            rule = decision["rule"]
            reasons.append(
                "%s: %s: %s%s" % (
                    decision["from"], decision["target"], decision["reason"],
                    " by %s:%s: %s" % (rule["file"], rule["line"], rule["text"]) if rule else "",
                )
            )
    raise Refusal("; ".join(reasons) or "the guard refused without a reason")


def _strings(value, where):
    """Yield every string inside a value, with where it stands."""
    if isinstance(value, str):
        yield value, where
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(inner, "%s.%s" % (where, key))
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from _strings(inner, "%s[%d]" % (where, number))


def _literal(value):
    """Whether a value means itself; a template means something only once it is rendered, and is decided about then."""
    return isinstance(value, str) and "{{" not in value and "{%" not in value


def _connection_reason(name, where):
    if not isinstance(name, str):
        return "%s: the connection %s is no name of one; leave it out" % (where, name)
    if _literal(name) and name not in HERE and name not in _SSH:
        return (
            "%s: the connection %s is not guarded; leave it out, or use %s" % (where, name, GUARDED)
        )
    return None


def _command_line(loader):
    """Return what the command line says: targets to decide about, and reasons against it that need no decision."""
    arguments = context.CLIARGS
    targets, reasons = [], []
    try:
        extra = load_extra_vars(loader)
    except AnsibleError as error:
        raise Refusal("the extra variables cannot be read (%s), so nobody can tell where they lead" % error) from error
    for name, value in ((str(name), value) for name, value in extra.items()):
        where = "-e %s" % name
        if name in _OURS:
            reasons.append("%s: the boundary is the inventory's, not the command line's; leave it out" % where)
        elif name in _CONNECTIONS or name.endswith("_connection") and name.startswith("ansible_"):
            reasons.append(_connection_reason(value, where))
        elif name in _ADDRESSES and _literal(value):
            targets.append({"kind": "destination", "value": value, "from": where})
            continue
        for text, place in _strings(value, where):
            targets.append({"kind": "text", "value": text, "from": place})
    for option in ("ssh_common_args", "ssh_extra_args", "sftp_extra_args", "scp_extra_args"):
        if arguments.get(option):
            targets.append({"kind": "text", "value": arguments[option], "from": "--" + option.replace("_", "-")})
    if arguments.get("connection"):
        reasons.append(_connection_reason(arguments["connection"], "-c"))
    for option, said in (("subset", "--limit"), ("module_args", "-a"), ("args", "the command line"), ("pattern", "the command line")):
        for text, place in _strings(arguments.get(option) or "", said):
            if option != "args" or not os.path.exists(text):
                targets.append({"kind": "text", "value": text, "from": place})
    return targets, [reason for reason in reasons if reason]


def _other_sources(boundary):
    """Look at further inventory sources: what they add is connected to under the sandbox's name."""
    # A manifest may be shared by several inventories through links; each is at home beside its own.
    at = os.path.dirname(os.path.abspath(boundary))
    homes = {os.path.realpath(at), os.path.dirname(os.path.realpath(boundary))}
    targets, reasons = [], []
    for source in _sources():
        where = "-i %s" % source
        if not os.path.exists(source) or source.endswith(","):
            for host in source.split(","):
                if host.strip():
                    targets.append({"kind": "destination", "value": host.strip(), "from": where})
            continue
        real = os.path.realpath(source)
        if real in homes or os.path.dirname(real) in homes:
            continue
        if at.startswith(os.path.join(os.path.abspath(source), "")):
            reasons.append("%s: it holds the inventory %s, whose variables are not loaded from there; give that one" % (where, at))
            continue
        if (second := _boundary_of(source)) and os.path.realpath(second) != os.path.realpath(boundary):
            reasons.append("%s: it has a boundary manifest, %s, beside %s, and a run is held to one; give one of the inventories" % (where, second, boundary))
            continue
        targets.append({"kind": "file", "value": real, "from": where})
        targets.append({"kind": "inventory", "value": real, "from": where})
        for path in _files(real):
            if os.access(path, os.X_OK):
                reasons.append("%s: %s is a program, and nobody can tell where it leads; leave it out" % (where, path))
            elif (plugin := _plugin(path)) not in _ASKS_NOBODY:
                reasons.append("%s: %s is for %s, and nobody can tell whom that asks; leave it out" % (where, path, plugin))
    return targets, reasons


def _plugin(path):
    """Return the inventory plugin that a file configures, or None if it configures none."""
    if not path.endswith((".yml", ".yaml", ".json") + tuple(C.YAML_FILENAME_EXTENSIONS)):
        return None
    try:
        if not os.path.isfile(path):  # a pipe may never be written to
            return "a plugin that cannot be read"
        with open(path, encoding="utf-8") as text:
            content = yaml.load(text, Loader=_Plain)
    except (OSError, ValueError, yaml.YAMLError):
        return "a plugin that cannot be read"
    return "the plugin %s" % content["plugin"] if isinstance(content, dict) and "plugin" in content else None


class _Plain(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads what a plugin's configuration may hold, and does nothing with it: vaulted and marked values are texts here."""


_Plain.add_multi_constructor("!", lambda loader, suffix, node: str(node.value))


def _sources():
    """Return the sources of the inventory: those of the command line, or else of the configuration."""
    return [str(source) for source in context.CLIARGS.get("inventory") or ()]


def holds_variables(directory):
    """Whether a directory is a source of the inventory, or has one in it: variables of a playbook are looked for beside that."""
    if context.CLIARGS.get("inventory") is None:
        return True  # no command line, so nobody knows
    sources = (source for source in _sources() if os.path.exists(source))
    return os.path.realpath(directory) in {os.path.realpath(source if os.path.isdir(source) else os.path.dirname(source) or ".") for source in sources}


def _files(path, seen=()):
    """Yield every file at or below a path, links followed as Ansible follows them."""
    if not os.path.isdir(path):
        yield path
        return
    real = os.path.realpath(path)
    if real in seen:
        return
    for name in sorted(os.listdir(path)):
        yield from _files(os.path.join(path, name), seen + (real,))


def wish(loader):
    """Return what this very run says about i_mean_prod, for the binary to decide about, or None if it says nothing."""
    extra = _inline(loader)
    on_command_line = "i_mean_prod" in extra
    everything = extra if on_command_line else load_extra_vars(loader)
    if "i_mean_prod" not in everything:
        return None
    if on_command_line:
        _not_taken_back(loader, extra["i_mean_prod"])
    given, origin = _plain(everything["i_mean_prod"]), "the command line" if on_command_line else "a file of variables"
    if not Process.run:
        Process.run = "%d-%d" % (int(time.time()), os.getpid())
    patterns = [str(context.CLIARGS[key]) for key in ("subset", "args", "pattern") if isinstance(context.CLIARGS.get(key), str)]
    return dict(
        _record(patterns or ["all"]), value=given, origin=origin, command_line=on_command_line, cluster=str(extra.get("i_mean_prod_cluster", "")),
        token=str(extra.get("i_mean_prod_token", "")), playbooks=_playbooks(),
    )


def _not_taken_back(loader, wanted):
    """Refuse what the command line wants and a file behind it does not, before anything is announced, written down or used up."""
    files = []  # behind what the command line itself says last: Ansible takes what was said last
    for file, parsed in _said(loader):
        if file:
            files.append(file)
        elif "i_mean_prod" in parsed:
            files = []
    if not files:
        return
    try:
        taken = load_extra_vars(loader)["i_mean_prod"]
    except AnsibleError as error:
        raise Refusal(
            "nobody can tell yet whether %s says something else about i_mean_prod than the command line before it (%s); give i_mean_prod behind it"
            % (" or ".join(files), " ".join(str(error).split()))
        ) from error
    if json.dumps(_plain(taken)) != json.dumps(_plain(wanted)):
        raise Refusal("i_mean_prod is given on the command line, and something else by a file of variables behind it; leave one of them out")


def _plain(value):
    """Return a value as JSON may hold it. What it may not hold becomes a text that is not true, whatever it was."""
    try:
        json.dumps(value, allow_nan=False)
        return value
    except (TypeError, ValueError):
        if isinstance(value, (datetime.date, float)):
            return str(value)
        return "a value of the type %s" % type(value).__name__.removeprefix("_AnsibleTagged").lower()  # and not itself: it might be a secret


def meant(loader, boundary):
    """Whether production is really meant by this very run. Everything about that is the binary's to decide."""
    if Process.meant is not None:
        return Process.meant
    said = wish(loader)
    if said is None:
        return False
    status, out = guard(["override", "--boundary", boundary, "--state", state_folder()], said)
    if status:
        raise Refusal(out.strip())
    Display().warning("i_mean_prod=true: this run may leave the sandbox; it was written down in %s/overrides.log" % state_folder())
    Process.meant = True
    return True


def state_folder():
    """Return the directory of the log of overrides."""
    return user_folder("XDG_STATE_HOME", ".local", "state")


def _playbooks():
    """Return what this process plays, by absolute paths; nothing if it is no ansible-playbook."""
    if "start_at_task" not in context.CLIARGS:  # by whatever name it was started: python -m ansible playbook has another
        return []
    return [os.path.abspath(str(name)) for name in context.CLIARGS.get("args") or ()]


def promotes():
    """Whether this process plays the promotion playbook of this collection, and nothing else.

    That only ever holds it: one that is taken for a promotion cannot leave the sandbox.
    """
    ours = os.path.realpath(os.path.join(os.path.dirname(PLUGINS), "playbooks", "promote.yml"))
    names = [str(name) for name in context.CLIARGS.get("args") or ()]
    return bool(_playbooks()) and all(name == PROMOTION or os.path.realpath(name) == ours for name in names)


def _record(targets):
    """Return what is written down of this run; the binary leaves secrets of the command line out."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name  # getpass would believe the environment
    except KeyError:
        user = "uid %d" % os.getuid()
    return {"run": Process.run, "targets": targets, "command": [str(word) for word in sys.argv], "user": user}


def reached(target, boundary):
    """Write down whom a run that means production connects to; what cannot be written down is not connected to."""
    status, out = guard(["override", "--reached", "--boundary", boundary, "--state", state_folder()], _record([target]))
    if status:
        raise Refusal(out.strip() or "the override cannot be written down")


def _said(loader):
    """Yield what the command line says of extra variables, in its order: the name of a file, or else what stands there itself."""
    for words in context.CLIARGS.get("extra_vars") or ():
        text = str(words)
        if not text:
            continue
        if text.startswith("@"):
            yield text[1:], {}
            continue
        parsed = loader.load(text) if text[:1] in "{[" else parse_kv(text)
        if not isinstance(parsed, dict):
            raise Refusal("the extra variables %s are no mapping, so nobody can tell where they lead" % text)
        yield None, parsed


def _inline(loader):
    """Return the extra variables that stand on the command line itself, and in no file."""
    extra = {}
    for dummy, parsed in _said(loader):
        extra.update(parsed)
    return extra


def before():
    """Look at the command line before its first source is read, where there is a boundary among its sources.

    Programs among the other sources would run, with production's credentials, before the boundary's turn came.
    """
    if Process.looked or Process.boundary:
        return
    Process.looked = True
    for source in _sources():
        if boundary := _boundary_of(source):
            _ahead(boundary)
            return


def _boundary_of(source):
    """Return the boundary manifest that Ansible will come upon in a source, or None."""
    try:
        for path in _files(source):
            # It reads the directories of a directory as well, but for those that hold variables.
            below = os.path.relpath(path, source).split(os.sep)[:-1]
            if os.path.basename(path) in ("boundary.yml", "boundary.yaml") and os.path.isfile(path) and not {"group_vars", "host_vars"} & set(below):
                return os.path.abspath(path)
    except OSError:
        pass  # Ansible cannot read it either
    return None


def _ahead(boundary):
    try:
        loader = DataLoader()  # without secrets: what is vaulted is read when it is Ansible's turn
        if context.CLIARGS.get("basedir"):
            loader.set_basedir(context.CLIARGS["basedir"])
        if not promotes() and "i_mean_prod" in _inline(loader) and meant(loader, boundary):
            return
        targets, reasons = _other_sources(boundary)
        try:
            check(boundary, targets)
        except Refusal as refusal:
            reasons.append(str(refusal))
        if reasons:
            raise Refusal("; ".join(reasons))
        guard_environment(boundary)
    except Refusal as refusal:
        stop(refusal)
    except Exception as error:  # pylint: disable=broad-except
        stop(Refusal("this run cannot be held to the boundary: %s" % error))


def hold(loader, boundary):
    """Hold this process to the boundary; called as its inventory is loaded. End the process on a refusal.

    Ansible makes a warning of an inventory plugin's errors, so an error is not enough to stop it.
    """
    if Process.boundary:
        if os.path.realpath(Process.boundary) != os.path.realpath(boundary):
            stop(Refusal(
                "%s is a second boundary manifest beside %s, and a run is held to one; give one of the inventories" % (boundary, Process.boundary)
            ))
        return
    try:
        # A manifest that is not understood stops everything, whatever the command line says.
        guard(["check", "--boundary", boundary, "--kind", "text", "--", "nothing"])
        digest = digest_of(boundary)
        Process.promotion = promotes()
        allowed = not Process.promotion and meant(loader, boundary)
        if not allowed:
            targets, reasons = _command_line(loader)
            more, further = _other_sources(boundary)
            reasons += further
            try:
                check(boundary, targets + more)
            except Refusal as refusal:
                reasons.append(str(refusal))
            if reasons:
                raise Refusal("; ".join(reasons))
        Process.boundary, Process.digest, Process.meant = boundary, digest, allowed
        guard_connections()
        if not allowed:
            guard_environment(boundary)
    except Refusal as refusal:
        stop(refusal)
    except Exception as error:  # pylint: disable=broad-except
        # Of whatever kind: Ansible would go on without this source, and so without the guard.
        stop(Refusal("this run cannot be held to the boundary: %s" % error))


def digest_of(boundary):
    """Return the digest of a manifest's content, as the binary reads it: from a file, and no more than a manifest may have."""
    try:
        if not os.path.exists(boundary) or os.path.isfile(boundary):  # before it is opened, as that alone does something to a device
            # What has taken its place since then is not waited for.
            with open(os.open(boundary, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as manifest:
                if stat.S_ISREG(os.fstat(manifest.fileno()).st_mode):
                    content = manifest.read(_MANIFEST_MOST + 1)
                    if len(content) > _MANIFEST_MOST:
                        raise Refusal("the boundary manifest %s has more than %d bytes" % (boundary, _MANIFEST_MOST))
                    return hashlib.sha256(content).hexdigest()
    except (OSError, ValueError) as error:
        raise Refusal("the boundary manifest cannot be read: %s" % error) from error
    raise Refusal("the boundary manifest %s is no file; name the one of your sandbox's inventory" % boundary)


def stop(refusal):
    """End the process. SystemExit is no Exception, so nothing in Ansible makes a warning of it.

    A worker only fails its task, as its end would be taken for a crash.
    """
    if isinstance(multiprocessing.current_process(), WorkerProcess):
        raise AnsibleError("prod-ip-guard: refused: %s" % refusal)
    sys.stderr.write("prod-ip-guard: refused: %s\n" % refusal)
    sys.stderr.flush()
    raise SystemExit(REFUSED)


def guard_connections():
    """Let every connection that this process and its workers make be the guarded one, or stay on this machine."""
    from ansible.plugins.loader import connection_loader

    if getattr(connection_loader, "_arcodange_guarded", False):
        return
    original = connection_loader.get_with_context

    def guarded(name, *args, **kwargs):
        if not isinstance(name, str):
            raise AnsibleError("prod-ip-guard: refused: the connection %s is no name of one; use %s" % (name, GUARDED))
        if name in HERE:  # Ansible's own, and none of that name beside a playbook
            return original("ansible.builtin.local", *args, **kwargs)
        if kwargs.get("class_only") or name == GUARDED:
            return original(name, *args, **kwargs)
        if name in _SSH:
            return original(GUARDED, *args, **kwargs)
        if Process.meant:
            try:
                reached("a host by the connection %s" % name, Process.boundary)
            except Refusal as refusal:
                raise AnsibleError("prod-ip-guard: refused: %s" % refusal) from refusal
            return original(name, *args, **kwargs)
        raise AnsibleError("prod-ip-guard: refused: the connection %s is not guarded; use %s" % (name, GUARDED))

    connection_loader.get_with_context = guarded
    connection_loader._arcodange_guarded = True


def is_production(name, value=""):
    """Whether an environment variable belongs to production's tools."""
    if name in _KEPT:
        return False
    if name == "DOCKER_HOST" and value.startswith("unix://"):
        return False  # an engine of this machine: a user's own, or one in a virtual machine of it
    return any(name == pattern or pattern.endswith("*") and name.startswith(pattern[:-1]) for pattern in _PRODUCTION)


def guard_environment(boundary):
    """Take production's credentials out of the environment and put the guard where ssh is looked for."""
    if Process.environment is None:
        Process.environment = dict(os.environ)
    here = _programs(boundary)
    production = {name: value for name, value in os.environ.items() if is_production(name, value)}
    # What this guard itself has set, for a run that this one starts, is no news.
    asked = {name: value for name, value in os.environ.items() if name not in _OWN and not (name in production and here in value)}
    mention = _mentions(boundary, asked)
    for name in set(production).union(mention):
        del os.environ[name]
    if mention:
        Display().warning("prod-ip-guard: left out of this run's environment, since they mention production: %s" % ", ".join(mention))
    os.environ["SANDBOX_BOUNDARY"] = boundary
    os.environ["PATH"] = os.pathsep.join([here] + [part for part in os.environ.get("PATH", os.defpath).split(os.pathsep) if part != here])
    # kubectl reads the home's own file unless it is told another; an empty one leads nowhere.
    os.environ["KUBECONFIG"] = _empty_kubeconfig(here)
    if not _docker_is_here():
        os.environ["DOCKER_CONTEXT"] = "default"
    os.environ["GIT_SSH_COMMAND"] = os.environ["RSYNC_RSH"] = shlex.quote(os.path.join(here, "ssh"))


def _mentions(boundary, variables):
    """Return the names of the variables whose value mentions production: proxies, and whatever a callback or a tool sends to."""
    lines = "".join(json.dumps({"kind": "text", "value": value, "from": name}) + "\n" for name, value in variables.items() if value)
    if not lines:
        return []
    status, out = guard(["check", "--boundary", boundary, "--output", "json", "--targets-from-stdin"], lines)
    return [] if status == 0 else sorted({decision["from"] for decision in json.loads(out)["decisions"] if not decision["allowed"]})


def _docker_is_here():
    """Whether the context that docker takes from the home's configuration is an engine of this machine."""
    directory = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    try:
        with open(os.path.join(directory, "config.json"), encoding="utf-8") as config:
            name = json.load(config).get("currentContext") or "default"
        if name == "default":
            return True
        with open(os.path.join(directory, "contexts", "meta", hashlib.sha256(name.encode()).hexdigest(), "meta.json"), encoding="utf-8") as context_file:
            return str(json.load(context_file)["Endpoints"]["docker"]["Host"]).startswith("unix://")
    except FileNotFoundError as missing:
        return os.path.basename(missing.filename) == "config.json"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _programs(boundary):
    """Return the directory of an ssh, scp and sftp that ask this manifest as it is now, whatever the environment of a task names."""
    guard_, boundary, digest = guard_binary(), os.path.abspath(boundary), digest_of(boundary)
    name = hashlib.sha256(os.fsencode("%s %s" % (digest, boundary))).hexdigest()[:16]
    directory = os.path.join(user_folder("XDG_STATE_HOME", ".local", "state"), "programs", name)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    for name, program in (("ssh", "ssh"), ("slogin", "ssh"), ("scp", "scp"), ("sftp", "sftp"), ("ssh-keyscan", "ssh-keyscan")):
        words = [guard_, program, "--boundary", boundary, "--digest", digest, "--"]
        _written(os.path.join(directory, name), "#!/bin/sh\nexec %s \"$@\"\n" % " ".join(shlex.quote(word) for word in words), 0o700)
    return directory


def _empty_kubeconfig(directory):
    """Return the path of a kubeconfig that leads nowhere: a current context that is missing is an error to every client."""
    text = "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\ncurrent-context: nowhere\n"
    return _written(os.path.join(directory, "kubeconfig-that-leads-nowhere"), text, 0o600)


def _written(path, text, mode):
    """Return the path of a file that holds this text, for everyone at once who reads or writes it meanwhile."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as there:
            if there.read() == text and stat.S_IMODE(os.fstat(there.fileno()).st_mode) == mode:
                return path
    except OSError:
        pass
    unfinished = "%s.%d" % (path, os.getpid())
    with open(unfinished, "w", encoding="utf-8", errors="surrogateescape") as out:
        out.write(text)
        os.chmod(unfinished, mode)
    os.replace(unfinished, path)
    return path
