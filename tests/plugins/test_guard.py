# SPDX-License-Identifier: GPL-3.0-or-later
"""What leaves the environment when the sandbox's inventory is loaded."""

import json
import os
import pwd
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

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
        ("KUBE_CONFIG_PATH", "/home/me/.kube/prod", True),
        ("KUBE_HOST", "https://kube.example:6443", True),
        ("HCLOUD_TOKEN", "x", True),
        ("GIT_CONFIG_COUNT", "1", True),
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


def test_the_guard_looks_at_whom_the_play_delegates_to(real):
    (real.directory / "play.yml").write_text(
        """
- hosts: pi1
  gather_facts: false
  vars: {elsewhere: 192.0.2.7}
  tasks:
    - arcodange.sandbox.prod_ip_guard: {boundary: b.yml, content: "{production: {addresses: [192.0.2.7]}, sandbox: {addresses: [172.30.0.0/24]}}"}
      delegate_to: localhost
    - when: false
      block:
        - {ansible.builtin.raw: "true", delegate_to: "{{ not_yet }}"}
        - {ansible.builtin.raw: "true", delegate_to: "{{ item }}", loop: [192.0.2.8]}
        - {ansible.builtin.raw: "true", delegate_to: localhost}
        - block:
            - ansible.builtin.meta: noop
          rescue:
            - {ansible.builtin.raw: "true", delegate_to: "{{ elsewhere }}"}
""",
        encoding="utf-8",
    )
    (real.directory / "hosts").write_text("pi1 ansible_host=172.30.0.11\nlocalhost ansible_connection=local\n", encoding="utf-8")
    done = real.run("ansible-playbook", "-i", str(real.directory / "hosts"), str(real.directory / "play.yml"))
    assert done.returncode != 0
    assert "1 of 2 targets are not the sandbox's: 192.0.2.7" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("ansible", "pi1", "-m", "ansible.builtin.raw", "-a", "true"),
        ("ansible", "pi1", "-m", "ansible.builtin.raw", "-a", "true", "-e", "ansible_connection=ssh"),
        ("ansible", "localhost", "-m", "ansible.builtin.raw", "-a", "touch {mark}"),
        ("ansible-playbook", "{play}"),
    ],
)
def test_a_file_of_the_inventory_without_its_directory_leads_nowhere(real, words):
    mark, play = real.directory / "mark", real.directory / "play.yml"
    play.write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - {ansible.builtin.raw: 'true', delegate_to: 127.0.0.9}\n", encoding="utf-8"
    )
    words = [word.format(mark=mark, play=play) for word in words]
    hosts = ROOT / "inventory" / "sandbox" / "hosts.yml"
    done = real.run(words[0], "-i", str(hosts), *words[1:])
    assert done.returncode != 0
    assert "load the whole inventory" in done.stdout + done.stderr
    assert not mark.exists()


def _sandbox(real):
    """Return a directory that is an inventory with a boundary, and holds nothing else."""
    inventory = real.directory / "inventory"
    inventory.mkdir()
    (inventory / "boundary.yml").write_text(
        "plugin: arcodange.sandbox.boundary\nproduction: {addresses: [192.0.2.7]}\nsandbox: {addresses: [172.30.0.0/24]}\n", encoding="utf-8"
    )
    (inventory / "hosts.yml").write_text("all: {hosts: {localhost: {ansible_connection: local}}}\n", encoding="utf-8")
    return inventory


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ("/nowhere/variables.yml", "Please prepend"),
        ("@/nowhere/variables.yml", "/nowhere/variables.yml"),
        ('{"i_mean_prod": null}', "i_mean_prod is null, which is not true"),
    ],
)
def test_extra_variables_that_say_nothing_end_the_run_with_the_reason(real, extra, says):
    done = real.run("ansible", "localhost", "-i", str(_sandbox(real)), "-m", "ansible.builtin.raw", "-a", "true", "-e", extra)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "prod-ip-guard: refused: " in done.stderr and says in done.stderr
    assert "Unable to parse" not in done.stderr


IN_A_PROCESS = """
import multiprocessing, sys

def run():
    from ansible.cli.adhoc import AdHocCLI
    AdHocCLI(["ansible", "localhost", "-i", sys.argv[1], "-m", "ansible.builtin.raw", "-a", "touch %s 192.0.2.7" % sys.argv[2]]).run()

process = multiprocessing.get_context("fork").Process(target=run)
process.start()
process.join()
sys.exit(process.exitcode)
"""


def test_a_run_inside_another_programs_process_is_ended_too(real):
    mark = real.directory / "mark"
    done = real.run(sys.executable, "-c", IN_A_PROCESS, str(_sandbox(real)), str(mark))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "prod-ip-guard: refused: -a: 192.0.2.7" in done.stderr
    assert not mark.exists()


@pytest.mark.parametrize("words", [("ansible-playbook",), (sys.executable, "-m", "ansible", "playbook")])
def test_a_promotion_is_held_by_whatever_name_the_command_is_started(real, words):
    playbook = real.plugins.parent / "playbooks" / "promote.yml"
    playbook.parent.mkdir(exist_ok=True)
    playbook.write_text("- {hosts: localhost, gather_facts: false, tasks: []}\n", encoding="utf-8")
    done = real.run(*words, "-i", str(_sandbox(real)), str(playbook), "-e", "i_mean_prod=true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "may leave the sandbox" not in done.stderr


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ("ansible_host=172.30.0.12 ansible_port=abc", "the port of pi2 is 'abc'"),
        ("ansible_host=172.30.0.12 ansible_ssh_host=192.0.2.7", "pi2 (192.0.2.7): it leads to 192.0.2.7"),
        ("ansible_host=172.30.0.12 ansible_port=22 ansible_ssh_port=99999", "pi2 has port 99999"),
        ("ansible_host='{{ nope }}'", "nobody can tell where pi2 leads"),
    ],
)
def test_the_guard_names_the_host_that_it_cannot_tell_about(real, variables, says):
    (real.directory / "play.yml").write_text(
        """
- hosts: all
  gather_facts: false
  tasks:
    - arcodange.sandbox.prod_ip_guard: {boundary: b.yml, content: "{production: {addresses: [192.0.2.7]}, sandbox: {addresses: [172.30.0.0/24]}}"}
      delegate_to: localhost
      run_once: true
""",
        encoding="utf-8",
    )
    (real.directory / "hosts").write_text("pi1 ansible_host=172.30.0.11\npi2 %s\n" % variables, encoding="utf-8")
    done = real.run("ansible-playbook", "-i", str(real.directory / "hosts"), str(real.directory / "play.yml"))
    assert done.returncode != 0
    assert says in done.stdout + done.stderr


def test_the_log_of_overrides_names_the_account_and_not_what_the_environment_says(real):
    state = real.directory / "state"
    state.mkdir()
    environment = {"XDG_STATE_HOME": str(state), "LOGNAME": "somebody-else", "USER": "somebody-else"}
    done = real.run(
        "ansible", "localhost", "-i", str(_sandbox(real)), "-m", "ansible.builtin.raw", "-a", "true", "-e", "i_mean_prod=true", environment=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (state / "arcodange-sandbox" / "overrides.log").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["user"] for line in lines] == [pwd.getpwuid(os.getuid()).pw_name]


def test_whom_a_console_is_for_is_looked_at_as_it_starts(real):
    done = real.run("ansible-console", "192.0.2.7", "-i", str(_sandbox(real)))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "prod-ip-guard: refused: the command line: 192.0.2.7" in done.stderr


def test_late_hosts_are_looked_at_beside_a_manifest_of_either_name(real):
    inventory = _sandbox(real)
    (inventory / "boundary.yml").rename(inventory / "boundary.yaml")
    (real.directory / "play.yml").write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - ansible.builtin.add_host: {name: 192.0.2.7}\n"
        "- hosts: all\n  gather_facts: false\n  tasks: [{ansible.builtin.debug: {msg: late}}]\n",
        encoding="utf-8",
    )
    done = real.run(
        "ansible-playbook", "-i", str(inventory), str(real.directory / "play.yml"),
        environment={"ANSIBLE_VARS_ENABLED": "host_group_vars,arcodange.sandbox.boundary"},
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "the host 192.0.2.7" in done.stderr


@pytest.mark.parametrize(
    ("extra", "status"), [('{"ansible_connection": ["ssh"]}', 3), ('{"ansible_connection": "{{ [\'ssh\'] }}"}', 2)]
)
def test_a_connection_that_is_no_name_is_refused(real, extra, status):
    done = real.run("ansible", "all", "-i", str(_sandbox(real)), "-m", "ansible.builtin.raw", "-a", "true", "-e", extra)
    assert done.returncode == status, done.stdout + done.stderr
    assert "prod-ip-guard: refused: " in done.stdout + done.stderr and "is no name of one" in done.stdout + done.stderr


def test_a_second_inventory_with_a_manifest_is_told_apart_from_one_that_leads_to_production(real):
    one, other = _sandbox(real), real.directory / "other"
    shutil.copytree(one, other)
    done = real.run("ansible", "localhost", "-i", str(one), "-i", str(other), "-m", "ansible.builtin.raw", "-a", "true")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "a run is held to one" in done.stderr
    assert "192.0.2.7" not in done.stderr


def test_a_file_beside_a_playbook_is_no_second_manifest(real):
    (real.directory / "boundary.yml").write_text("- {hosts: localhost, gather_facts: false, tasks: []}\n", encoding="utf-8")
    (real.directory / "play.yml").write_text("- {hosts: localhost, gather_facts: false, tasks: [{ansible.builtin.debug: {msg: here}}]}\n", encoding="utf-8")
    done = real.run(
        "ansible-playbook", "-i", str(_sandbox(real)), str(real.directory / "play.yml"),
        environment={"ANSIBLE_VARS_ENABLED": "host_group_vars,arcodange.sandbox.boundary"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
