# SPDX-License-Identifier: GPL-3.0-or-later
"""How a process is restricted that loads the sandbox's inventory."""

import hashlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import time

import pytest
from conftest import ROOT

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
    assert "1 of 2 targets are outside the sandbox: 192.0.2.7" in done.stdout + done.stderr


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
        ('{"i_mean_prod": 2020-01-01}', 'i_mean_prod is "2020-01-01", which is not true'),
        ('{"i_mean_prod": .nan}', 'i_mean_prod is "nan", which is not true'),
        ('{"i_mean_prod": {2020-01-01: true}}', 'i_mean_prod is {"2020-01-01": true}, which is not true'),
        ("{1: 192.0.2.7}", "-e 1: 192.0.2.7"),
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
        ("ansible_host=172.30.0.12 ansible_port=abc", "pi2: port 'abc': must be 1-65535"),
        ("ansible_host=172.30.0.12 ansible_ssh_host=192.0.2.7", "pi2 (192.0.2.7): it resolves to 192.0.2.7"),
        ("ansible_host=172.30.0.12 ansible_port=22 ansible_ssh_port=99999", "pi2: port 99999: must be 1-65535"),
        ("ansible_host='{{ nope }}'", "pi2: its variables cannot be rendered"),
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
    assert "prod-ip-guard: refused: " in done.stdout + done.stderr and "is not the name of a plugin" in done.stdout + done.stderr


def test_a_second_inventory_with_a_manifest_is_told_apart_from_one_that_leads_to_production(real):
    one, other = _sandbox(real), real.directory / "other"
    shutil.copytree(one, other)
    done = real.run("ansible", "localhost", "-i", str(one), "-i", str(other), "-m", "ansible.builtin.raw", "-a", "true")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "a run has one" in done.stderr
    assert "192.0.2.7" not in done.stderr


def test_a_file_beside_a_playbook_is_no_second_manifest(real):
    (real.directory / "boundary.yml").write_text("- {hosts: localhost, gather_facts: false, tasks: []}\n", encoding="utf-8")
    (real.directory / "play.yml").write_text("- {hosts: localhost, gather_facts: false, tasks: [{ansible.builtin.debug: {msg: here}}]}\n", encoding="utf-8")
    done = real.run(
        "ansible-playbook", "-i", str(_sandbox(real)), str(real.directory / "play.yml"),
        environment={"ANSIBLE_VARS_ENABLED": "host_group_vars,arcodange.sandbox.boundary"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_playbook_beside_another_is_no_manifest_where_there_is_none(real):
    (real.directory / "boundary.yml").write_text("- {hosts: localhost, gather_facts: false, tasks: []}\n", encoding="utf-8")
    (real.directory / "play.yml").write_text("- {hosts: localhost, gather_facts: false, tasks: [{ansible.builtin.debug: {msg: here}}]}\n", encoding="utf-8")
    inventory = real.directory / "other"
    inventory.mkdir()
    (inventory / "hosts").write_text("localhost ansible_connection=local\n", encoding="utf-8")
    plugins = {"ANSIBLE_VARS_ENABLED": "host_group_vars,arcodange.sandbox.boundary"}
    for source in ("localhost,", str(inventory / "hosts"), str(inventory)):
        done = real.run("ansible-playbook", "-i", source, str(real.directory / "play.yml"), environment=plugins)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("source", ["hosts.yml", "hosts-link.yml"])
def test_a_manifest_beside_a_file_of_the_inventory_holds_the_run(real, source):
    inventory = _sandbox(real)
    (inventory / "hosts-link.yml").symlink_to("hosts.yml")
    done = real.run(
        "ansible", "localhost", "-i", str(inventory / source), "-m", "ansible.builtin.debug", "-a", "msg=192.0.2.7",
        environment={"ANSIBLE_VARS_ENABLED": "host_group_vars,arcodange.sandbox.boundary"},
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "prod-ip-guard: refused: -a: " in done.stderr


@pytest.mark.parametrize("kind", ["a pipe", "a device", "a link to a device"])
def test_a_run_waits_for_no_manifest(real, kind):
    boundary = _sandbox(real) / "boundary.yml"
    boundary.unlink()
    if kind == "a pipe":
        os.mkfifo(boundary)
    else:
        boundary.symlink_to("/dev/zero")
    # Beside a file of the inventory, and as a source that is asked first: Ansible itself would wait for a pipe otherwise.
    for source, plugins in (
        ("hosts.yml", {"ANSIBLE_VARS_ENABLED": "arcodange.sandbox.boundary"}), ("", {"ANSIBLE_INVENTORY_ENABLED": "arcodange.sandbox.boundary,yaml"}),
    ):
        done = real.run("ansible", "localhost", "-i", str(boundary.parent / source), "-m", "ansible.builtin.debug", environment=plugins, timeout=60)
        assert done.returncode == 3, done.stdout + done.stderr
        assert "prod-ip-guard: refused: " in done.stderr and "not a regular file" in done.stderr


def test_a_pipe_without_a_writer_is_not_waited_for(real):
    one, other = _sandbox(real), real.directory / "other"
    other.mkdir()
    os.mkfifo(other / "hosts.yml")
    done = real.run(
        "ansible", "localhost", "-i", str(one), "-i", str(other), "-m", "ansible.builtin.debug",
        environment={"ANSIBLE_INVENTORY_ENABLED": "arcodange.sandbox.boundary,yaml"}, timeout=60,
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "hosts.yml" in done.stderr


def _nowhere(real):
    """Return an inventory with the variables of the sandbox's own, of which no host is the sandbox's."""
    inventory = _sandbox(real)
    shutil.copytree(ROOT / "inventory" / "sandbox" / "host_vars", inventory / "host_vars")
    (inventory / "group_vars" / "all").mkdir(parents=True)
    shutil.copy(ROOT / "inventory" / "sandbox" / "group_vars" / "all" / "guard.yml", inventory / "group_vars" / "all")
    (inventory / "hosts.yml").write_text("all: {hosts: {localhost: , away: {ansible_host: 127.0.0.9, ansible_port: 9}}}\n", encoding="utf-8")
    return inventory


@pytest.mark.parametrize("value", ['""', "null", '"{{ nope }}"'])
@pytest.mark.parametrize("host", ["localhost", "away"])
def test_a_boundary_that_a_task_takes_away_is_refused_by_its_name(real, value, host):
    (real.directory / "play.yml").write_text(
        "- hosts: %s\n  gather_facts: false\n  tasks:\n    - ansible.builtin.raw: 'true'\n      vars: {sandbox_boundary: %s}\n" % (host, value),
        encoding="utf-8",
    )
    done = real.run("ansible-playbook", "-i", str(_nowhere(real)), str(real.directory / "play.yml"))
    assert done.returncode != 0
    said = done.stdout + done.stderr  # of a template, Ansible itself says what is not there, if the connection is what asks
    assert "prod-ip-guard: refused: no boundary manifest was loaded" in said or "'nope' is undefined" in said and "nope" in value
    assert "is unsupported" not in said


def test_an_empty_boundary_is_called_so_where_nothing_else_looks(real):
    inventory = _sandbox(real)
    (inventory / "hosts.yml").write_text(
        "all: {hosts: {away: {ansible_host: 127.0.0.9, ansible_port: 9, ansible_connection: arcodange.sandbox.guarded_ssh}}}\n", encoding="utf-8"
    )
    for task, says in (
        ("ansible.builtin.raw: 'true'", "sandbox_boundary is empty or the directory"),
        ("arcodange.sandbox.prod_ip_guard: {boundary: '{{ sandbox_boundary }}'}\n      delegate_to: localhost", "the boundary is empty"),
    ):
        (real.directory / "play.yml").write_text(
            "- hosts: away\n  gather_facts: false\n  tasks:\n    - %s\n      vars: {sandbox_boundary: ''}\n" % task, encoding="utf-8"
        )
        done = real.run("ansible-playbook", "-i", str(inventory), str(real.directory / "play.yml"))
        assert done.returncode != 0
        assert says in done.stdout + done.stderr


def test_an_unrendered_address_is_refused_with_its_host(real):
    inventory = _sandbox(real)
    (inventory / "hosts.yml").write_text(
        "all: {vars: {ansible_connection: arcodange.sandbox.guarded_ssh}, hosts: {pi2: {ansible_host: !unsafe '{{ x }}'}, '{{ y }}': }}\n", encoding="utf-8"
    )
    done = real.run("ansible", "all", "-i", str(inventory), "-m", "ansible.builtin.raw", "-a", "true")
    assert done.returncode == 4, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert "refused: ansible_host '{{ x }}': unrendered template" in said
    assert "refused: ansible_host '{{ y }}': unrendered template" in said
    assert "-o Control" not in said
    assert "pi2 | UNREACHABLE" in said


@pytest.mark.parametrize(
    ("behind", "says"),
    [
        ("i_mean_prod: false", "with another value in a file of variables after it"),
        ("i_mean_prod: 1", "with another value in a file of variables after it"),
        ("$ANSIBLE_VAULT;1.1;AES256\n3132", "which may change it and cannot be read yet"),
        ("- no", "which may change it and cannot be read yet"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_wish_that_a_file_takes_back_is_neither_announced_nor_paid_for(real, behind, says, first):
    inventory, state, mark = _sandbox(real), real.directory / "state", real.directory / "mark"
    with open(inventory / "boundary.yml", "a", encoding="utf-8") as boundary:
        boundary.write("policy: {token_expiry: 10m}\n")
    token = state / "arcodange-sandbox" / "override-token"
    token.parent.mkdir(parents=True)
    token.write_text("%s %s\n" % (hashlib.sha256(b"x").hexdigest(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())), encoding="utf-8")
    (real.directory / "back.yml").write_text(behind + "\n", encoding="utf-8")
    program = real.directory / "hosts.sh"
    program.write_text("#!/bin/sh\ntouch %s\necho '{}'\n" % mark, encoding="utf-8")
    program.chmod(0o755)
    sources = ["-i", str(program), "-i", str(inventory)] if first else ["-i", str(inventory)]
    environment = {"XDG_STATE_HOME": str(state)}
    if first:
        environment["ANSIBLE_INVENTORY_ENABLED"] = "arcodange.sandbox.boundary,script,yaml"
    words = [*sources, "-m", "ansible.builtin.debug", "-e", '{"i_mean_prod": true}']
    done = real.run("ansible", "localhost", *words, "-e", "@back.yml", "-e", "i_mean_prod_token=x", environment=environment)
    assert done.returncode == 3, done.stdout + done.stderr
    assert says in done.stderr and "may leave the sandbox" not in done.stdout + done.stderr
    assert token.exists() and not mark.exists() and not (token.parent / "overrides.log").exists()


def test_a_file_that_says_the_same_or_nothing_takes_no_wish_back(real):
    state = real.directory / "state"
    inventory = _sandbox(real)
    (real.directory / "same.yml").write_text("i_mean_prod: true\n", encoding="utf-8")
    (real.directory / "other.yml").write_text("other: 1\n", encoding="utf-8")
    (real.directory / "no.yml").write_text("i_mean_prod: false\n", encoding="utf-8")
    wish = '{"i_mean_prod": true}'
    for extra in ((wish, "@same.yml"), (wish, "@other.yml"), ("@no.yml", wish), (wish, "@no.yml", wish)):
        words = [word for one in extra for word in ("-e", one)]
        for enabled in ({}, {"ANSIBLE_INVENTORY_ENABLED": "arcodange.sandbox.boundary,yaml"}):
            line = ["localhost", "-i", str(inventory), "-m", "ansible.builtin.debug", *words]
            done = real.run("ansible", *line, environment={"XDG_STATE_HOME": str(state), **enabled})
            assert done.returncode == 0, done.stdout + done.stderr
            assert "may leave the sandbox" in done.stdout + done.stderr
