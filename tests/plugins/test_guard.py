# SPDX-License-Identifier: GPL-3.0-or-later
"""What leaves the environment when the sandbox's inventory is loaded."""

import subprocess
import sys

import pytest

ASK = """
import sys
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([%r])
from ansible_collections.arcodange.sandbox.plugins.plugin_utils import guard
print(guard.is_production(%r, %r))
"""


@pytest.mark.parametrize(
    ("name", "value", "leaves"),
    [
        ("KUBECONFIG", "/home/me/.kube/config", True),
        ("VAULT_ADDR", "https://vault.example", True),
        ("PGHOST", "db", True),
        ("AWS_SECRET_ACCESS_KEY", "x", True),
        ("SSH_AUTH_SOCK", "/tmp/agent", True),
        ("DOCKER_HOST", "tcp://192.0.2.1:2375", True),
        ("DOCKER_HOST", "ssh://192.0.2.1", True),
        ("DOCKER_HOST", "unix:///run/user/1000/docker.sock", False),
        ("TF_CLI_CONFIG_FILE", "/home/me/.terraformrc", False),
        ("PATH", "/usr/bin", False),
        ("HOME", "/home/me", False),
        ("KUBE_EDITOR", "vi", False),
    ],
)
def test_production_leaves_the_environment_and_the_machines_own_engine_stays(stage, name, value, leaves):
    said = subprocess.run(
        [sys.executable, "-c", ASK % (str(stage.collections), name, value)], env=stage.environment(), capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == str(leaves)
