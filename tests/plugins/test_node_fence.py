# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fence on the nodes takes for production, of what the controller found behind production's names."""

import json
import os
import re
import shutil
import subprocess
import sys

import yaml
from conftest import ROOT


ROLE = ROOT / "roles" / "node_fence"


def rules(stage, production, answers):
    """Return the rules for what is production, as nftables is given them; answers are the addresses of names."""
    told = dict(yaml.safe_load((ROLE / "vars" / "main.yml").read_text(encoding="utf-8")), node_fence_production=production, node_fence_addresses=[])
    told["node_fence_found"] = {"results": [
        {"item": name, "ansible_facts": {"getent_ahosts": {address: ["STREAM"] for address in addresses}}} for name, addresses in answers.items()
    ] + [{"item": "no.answer.test", "failed": False}]}
    (stage.directory / "vars.json").write_text(json.dumps(told), encoding="utf-8")
    done = stage.run(
        "ansible", "localhost", "-i", "localhost,", "-c", "local", "-e", "@vars.json", "-e", "ansible_python_interpreter=" + sys.executable,
        "-m", "ansible.builtin.template", "-a", "src=%s dest=%s" % (ROLE / "templates" / "fence.nft.j2", stage.directory / "fence.nft"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    done = stage.run("ansible", "localhost", "-i", "localhost,", "-c", "local", "-e", "@vars.json", "-m", "ansible.builtin.debug", "-a", "msg='{{ node_fence_questions | to_json }}'")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = json.loads(done.stdout[done.stdout.index("{"):])["msg"]
    return (stage.directory / "fence.nft").read_text(encoding="utf-8"), sorted(json.loads(shown) if isinstance(shown, str) else shown)


def elements(text, family):
    """Return the addresses that a set of the rules has."""
    found = re.search(r"set production_%s \{.*?elements = \{ (.*?) \}" % family, text, re.DOTALL)
    return sorted(found.group(1).split(", ")) if found else []


def test_a_name_that_the_controller_keeps_from_leading_anywhere_shuts_no_node_off_from_itself(stage):
    answers = ["0.0.0.0", "127.0.0.1", "127.0.1.1", "::1", "::", "::ffff:127.0.0.1", "192.0.2.7", "2001:db8::7", "10.0.0.1", "::ffff:192.0.2.8", "100.127.0.1"]
    text, dummy = rules(stage, {"names": ["a.test"]}, {"a.test": answers})
    assert elements(text, "ip") == ["10.0.0.1", "100.127.0.1", "192.0.2.7"]
    assert elements(text, "ip6") == ["2001:db8::7", "::ffff:192.0.2.8"]


def test_every_list_that_names_machines_is_held(stage):
    production = {
        "addresses": ["192.0.2.1-192.0.2.3", "2001:db8::/64"],
        "names": ["pi.test", "*.lab.test", "trailing.test."],
        "kube": [{"server": "https://198.51.100.1:6443"}, {"server": "api.test:6443"}, {"server": "https://[2001:db8:1::1]:6443"}, {"cluster_uid": "x"}],
        "vault": [{"address": "https://user@vault.test:8200/v1?x"}, {"address": "198.51.100.2"}, {"key_files": ["~/x"]}],
        "databases": ["198.51.100.3", "198.51.100.4:5432", "db.test:5432", "[2001:db8:1::2]:5432", "2001:db8:1::3", "alone.test", "postgres://198.51.100.5:5433"],
        "endpoints": ["203.0.113.7:2201", "127.0.0.1:2222", "127.0.0.0/8:2222", "[::1]:22", "203.0.113.16/28:22", "gateway.test:6443", "localhost:1", "*.forward.test:22"],
        "dns_zones": [{"name": "zone.test"}, {"id": "1"}],
        "git": ["forge.test/*"],
    }
    text, asked = rules(stage, production, {"pi.test": ["192.0.2.9"], "db.test": ["198.51.100.9", "2001:db8:1::9"], "vault.test": ["198.51.100.8"]})
    assert elements(text, "ip") == sorted(["192.0.2.1-192.0.2.3", "192.0.2.9", "198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.8"])
    assert elements(text, "ip6") == sorted(["2001:db8::/64", "2001:db8:1::1", "2001:db8:1::3"])
    ports = sorted(re.findall(r"daddr (\S+) meta l4proto \{ tcp, udp \} th dport (\d+) counter name held drop", text))
    assert ports == sorted([
        ("198.51.100.4", "5432"), ("198.51.100.9", "5432"), ("2001:db8:1::9", "5432"), ("2001:db8:1::2", "5432"), ("198.51.100.5", "5433"),
        ("203.0.113.7", "2201"), ("203.0.113.16/28", "22"),
    ]), "a port of a machine that is otherwise free, and never of the node's own loopback"
    assert asked == ["alone.test", "api.test", "db.test", "gateway.test", "pi.test", "trailing.test", "vault.test"]
    for name in ("alone.test", "api.test", "pi.test", "trailing.test", "vault.test", "zone.test", "*.zone.test, behind", "*.lab.test, behind"):
        assert "# %s\n" % name in text or "# %s" % name in text, name
    assert "forge.test" not in text, "a forge may hold the sandbox's repositories too"
    if shutil.which("nft") and os.geteuid() == 0:
        done = subprocess.run(["unshare", "-n", "nft", "--check", "--file", str(stage.directory / "fence.nft")], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_manifest_that_names_no_machine_still_makes_rules(stage):
    text, asked = rules(stage, {}, {})
    assert not asked and not elements(text, "ip") and "th dport" not in text


def test_the_controller_is_not_fenced(stage):
    (stage.directory / "boundary.yml").write_text("production: {}\n", encoding="utf-8")
    (stage.directory / "play.yml").write_text(
        "- hosts: localhost\n  gather_facts: false\n  vars: {sandbox_boundary: boundary.yml}\n  roles: [%s]\n" % (ROOT / "roles" / "node_fence"), encoding="utf-8"
    )
    done = stage.run("ansible-playbook", "-i", "localhost,", "-e", "ansible_connection=local", "--check", "play.yml")
    assert done.returncode != 0
    assert "localhost is the controller" in done.stdout, done.stdout + done.stderr
    assert "Put the rules down" not in done.stdout
