# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy of the collection for each test, with kits of its own to spoil, and plays that run from it."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
OS = platform.system().lower()
ARCH = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
PLATFORM = "%s_%s" % (OS, ARCH)
# A platform that this machine is not.
OTHER_ARCH = {"amd64": "arm64", "arm64": "amd64"}[ARCH]
OTHER_MACHINE = {"amd64": "x86_64", "arm64": "aarch64"}[OTHER_ARCH]
SECRET = "correct-horse-battery-staple"

ACTION = """
from ansible_collections.arcodange.sandbox.plugins.plugin_utils.kit import KitAction

class ActionModule(KitAction):
    kit = "%s"
"""


class Stage:
    """The collection as it would be installed, in a directory of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.collections = directory / "collections"
        self.root = self.collections / "ansible_collections" / "arcodange" / "sandbox"
        self.plugins = self.root / "plugins"
        shutil.copytree(
            ROOT / "plugins", self.plugins, ignore=lambda path, names: [n for n in names if n in ("bin", "__pycache__") or n.startswith("__target_")]
        )
        shutil.copytree(ROOT / "meta", self.root / "meta")
        shutil.copy(ROOT / "galaxy.yml", self.root)
        (self.plugins / "bin").mkdir()
        self.sums = {}
        self.home = directory / "home"
        self.home.mkdir()
        self.log = directory / "ansible.log"
        self.connections = directory / "connections.log"
        (directory / "ansible.cfg").write_text("[defaults]\n", encoding="utf-8")

    def add(self, name, binary):
        """Put a binary where its kind belongs, and write down its digest."""
        data = Path(binary).read_bytes()
        self.sums[name] = hashlib.sha256(data).hexdigest()
        if name.startswith("target_"):
            path = self.plugins / "modules" / ("__" + name)
            path.write_bytes(data)
            path.chmod(0o755)
        else:
            path = self.plugins / "bin" / (name + ".xz")
            path.write_bytes(lzma.compress(data, preset=0))
        self.write_sums()
        return path

    def write_sums(self):
        lines = ["%s  %s\n" % (digest, name) for name, digest in sorted(self.sums.items())]
        (self.plugins / "bin" / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")

    def cached(self, name):
        return self.home / ".cache" / "arcodange-sandbox" / "bin" / self.sums[name] / name

    def environment(self, **more):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "XDG_", "SANDBOX_"))}
        return dict(
            kept,
            HOME=str(self.home),
            LC_ALL="C.UTF-8",
            ANSIBLE_CONFIG=str(self.directory / "ansible.cfg"),
            ANSIBLE_COLLECTIONS_PATH=str(self.collections),
            ANSIBLE_CONNECTION_PLUGINS=str(HERE / "connection"),
            ANSIBLE_LOG_PATH=str(self.log),
            ANSIBLE_LOCALHOST_WARNING="false",
            ANSIBLE_NOCOLOR="true",
            ANSIBLE_REMOTE_TMP=str(self.home / "remote"),
        ) | more

    def play(self, module, args=None, task=None, hosts=None, options=(), environment=None, before=(), timeout=120, wrapper=()):
        """Run a play of one task for every host, after those of ``before``, and return what each of them registered and what was printed."""
        hosts = hosts or {"here": {"ansible_connection": "local"}}
        out = self.directory / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        inventory, playbook = self.directory / "hosts.json", self.directory / "play.json"
        for variables in hosts.values():
            variables.setdefault("elsewhere_log", str(self.connections))
            variables.setdefault("ansible_python_interpreter", sys.executable)
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
        name = module if "." in module else "arcodange.sandbox." + module
        tasks = [
            *before,
            dict({"name": "The task", name: args or {}, "register": "result", "ignore_errors": True}, **(task or {})),
            {
                "name": "Keep its result",
                "ansible.builtin.copy": {"content": "{{ result | to_json }}", "dest": "%s/{{ inventory_hostname }}" % out},
                "delegate_to": "localhost", "become": False, "no_log": True, "check_mode": False, "diff": False,
            },
        ]
        playbook.write_text(json.dumps([{"name": "A play", "hosts": "all", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
        done = self.run("ansible-playbook", "-i", str(inventory), str(playbook), *options, environment=environment, timeout=timeout, wrapper=wrapper)
        results = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in out.iterdir()}
        assert set(results) == set(hosts), done.stdout + done.stderr
        return results, done

    def one(self, module, args=None, **more):
        """Return the only host's result."""
        results, dummy = self.play(module, args, **more)
        return next(iter(results.values()))

    def run(self, program, *args, environment=None, timeout=120, wrapper=()):
        return subprocess.run(
            [*wrapper, str(Path(sys.executable).parent / program), *args],
            env=self.environment(**(environment or {})), cwd=self.directory, capture_output=True, text=True, check=False, timeout=timeout,
        )

    def everything(self, done):
        """All that a user, or a log of the CI, could see of a run."""
        return done.stdout + done.stderr + self.log.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """Build the kit for tests, and return its path for each platform that it says it is for."""
    directory = tmp_path_factory.mktemp("kits")
    paths = {}
    for name in (PLATFORM, "%s_%s" % (OS, OTHER_ARCH)):
        paths[name] = directory / name
        # All of them run here: what is tested is which one is picked.
        subprocess.run(
            [os.environ.get("GO", "go"), "build", "-trimpath", "-ldflags", "-s -w -X main.built=" + name, "-o", str(paths[name]), "./tests/plugins/kit"],
            cwd=ROOT, env=dict(os.environ, CGO_ENABLED="0", GOWORK="off"), check=True,
        )
    return paths


@pytest.fixture
def stage(tmp_path, sample):
    """The collection with the kit for tests, for every platform."""
    staged = Stage(tmp_path)
    for name, path in sample.items():
        staged.add("target_" + name, path)
    staged.add("controller_" + PLATFORM, sample[PLATFORM])
    (staged.plugins / "action" / "sample.py").write_text(ACTION % "target", encoding="utf-8")
    (staged.plugins / "action" / "sample_here.py").write_text(ACTION % "controller", encoding="utf-8")
    return staged


@pytest.fixture
def real(tmp_path):
    """The collection with the kits that the checkout has built."""
    staged = Stage(tmp_path)
    names = ["target_" + PLATFORM, "controller_" + PLATFORM]
    for name in names:
        source = ROOT / "plugins" / ("modules/__" + name if name.startswith("target_") else "bin/%s.xz" % name)
        assert source.exists(), "run `make build` first: %s is missing" % source
        shutil.copy(source, staged.plugins / source.relative_to(ROOT / "plugins"))
    lines = (ROOT / "plugins/bin/SHA256SUMS").read_text(encoding="utf-8").split()
    staged.sums = dict(zip(lines[1::2], lines[::2]))
    staged.write_sums()
    return staged


@pytest.fixture
def sshd(tmp_path):
    """An SSH server on the loopback, for the user who runs the tests; yield the variables of a host behind it."""
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / key)], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "sshd_config"
    config.write_text(
        "ListenAddress 127.0.0.1\nPort %d\nHostKey %s\nAuthorizedKeysFile %s.pub\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        "PermitRootLogin prohibit-password\nPidFile none\nSubsystem sftp internal-sftp\n" % (port, tmp_path / "host", tmp_path / "user"),
        encoding="utf-8",
    )
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    with open(tmp_path / "sshd.log", "wb") as log, subprocess.Popen([program, "-D", "-e", "-f", str(config)], stderr=log) as process:
        try:
            for dummy in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            else:
                pytest.fail("sshd does not answer: " + (tmp_path / "sshd.log").read_text(encoding="utf-8"))
            known = tmp_path / "known_hosts"
            known.write_text("[127.0.0.1]:%d %s" % (port, (tmp_path / "host.pub").read_text(encoding="utf-8")), encoding="utf-8")
            yield {
                "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": port, "ansible_ssh_private_key_file": str(tmp_path / "user"),
                "ansible_ssh_common_args": "-F none -o UserKnownHostsFile=%s -o ControlMaster=no" % known,
            }
        finally:
            process.send_signal(signal.SIGTERM)
