# SPDX-License-Identifier: GPL-3.0-or-later
"""The role node_fence installs what the guard binary renders (internal/guard/nftrules), and never on the controller."""

from conftest import ROOT

ROLE = ROOT / "roles" / "node_fence"
MANIFEST = "production: {addresses: [192.0.2.7], names: [pi1.invalid]}\nsandbox: {addresses: [172.30.0.0/24]}\n"


def lookup(real, arguments):
    (real.directory / "boundary.yml").write_text(MANIFEST, encoding="utf-8")
    (real.directory / "play.yml").write_text(
        "- hosts: localhost\n  gather_facts: false\n  vars: {node: \"{{ lookup('arcodange.sandbox.node_fence', %s) }}\"}\n"
        "  tasks: [{ansible.builtin.debug: {msg: '{{ node.rules }}{{ node.hosts }}'}}]\n" % arguments, encoding="utf-8"
    )
    return real.run("ansible-playbook", "-i", "localhost,", "-c", "local", "play.yml")


def test_rules_and_hosts_come_from_the_manifest(real):
    done = lookup(real, "'boundary.yml', addresses=['198.51.100.0/24']")
    assert done.returncode == 0, done.stdout + done.stderr
    for part in ("table inet arcodange_fence", "{ 192.0.2.7, 198.51.100.0/24 }", "# pi1.invalid", "0.0.0.0 pi1.invalid"):
        assert part in done.stdout, part


def test_a_manifest_or_an_address_that_is_wrong_fails_with_the_reason(real):
    for arguments, reason in (("'/nonexistent.yml'", "no such file"), ("'boundary.yml', addresses=['a.test']", "is not an address")):
        done = lookup(real, arguments)
        assert done.returncode != 0
        assert reason in done.stdout + done.stderr


def test_the_controller_is_refused(stage):
    (stage.directory / "boundary.yml").write_text(MANIFEST, encoding="utf-8")
    (stage.directory / "play.yml").write_text(
        "- hosts: localhost\n  gather_facts: false\n  vars: {sandbox_boundary: boundary.yml}\n  roles: [%s]\n" % ROLE, encoding="utf-8"
    )
    done = stage.run("ansible-playbook", "-i", "localhost,", "-e", "ansible_connection=local", "--check", "play.yml")
    assert done.returncode != 0
    assert "localhost is the controller" in done.stdout, done.stdout + done.stderr
    assert "Install nftables rules" not in done.stdout
