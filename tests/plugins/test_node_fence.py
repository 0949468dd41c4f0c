# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fence on the nodes takes for production, of what the controller found behind production's names."""

import json

import yaml
from conftest import ROOT


def test_a_name_that_the_controller_keeps_from_leading_anywhere_shuts_no_node_off_from_itself(stage):
    tasks = yaml.safe_load((ROOT / "roles" / "node_fence" / "tasks" / "main.yml").read_text(encoding="utf-8"))
    resolved = next(task["vars"]["node_fence_resolved"] for task in tasks if "node_fence_resolved" in task.get("vars", {}))
    answers = ["0.0.0.0", "127.0.0.1", "127.0.1.1", "::1", "::", "::ffff:127.0.0.1", "192.0.2.7", "2001:db8::7", "10.0.0.1", "::ffff:192.0.2.8", "100.127.0.1"]
    found = {"results": [{"ansible_facts": {"getent_ahosts": {address: ["STREAM"] for address in answers}}}, {"failed": False}]}
    (stage.directory / "vars.json").write_text(json.dumps({"node_fence_found": found, "resolved": resolved}), encoding="utf-8")
    done = stage.run(
        "ansible", "localhost", "-i", "localhost,", "-c", "local", "-e", "@vars.json", "-m", "ansible.builtin.debug", "-a", "msg='{{ resolved | to_json }}'"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = json.loads(done.stdout[done.stdout.index("{"):])["msg"]
    assert sorted(json.loads(shown) if isinstance(shown, str) else shown) == sorted(["192.0.2.7", "2001:db8::7", "10.0.0.1", "::ffff:192.0.2.8", "100.127.0.1"])


def test_the_controller_is_not_fenced(stage):
    (stage.directory / "boundary.yml").write_text("production: {}\n", encoding="utf-8")
    (stage.directory / "play.yml").write_text(
        "- hosts: localhost\n  gather_facts: false\n  vars: {sandbox_boundary: boundary.yml}\n  roles: [%s]\n" % (ROOT / "roles" / "node_fence"), encoding="utf-8"
    )
    done = stage.run("ansible-playbook", "-i", "localhost,", "-e", "ansible_connection=local", "--check", "play.yml")
    assert done.returncode != 0
    assert "localhost is the controller" in done.stdout, done.stdout + done.stderr
    assert "Put the rules down" not in done.stdout
