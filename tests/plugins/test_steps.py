# SPDX-License-Identifier: GPL-3.0-or-later

"""The callback steps in real runs on localhost: what the screen shows, and what the log holds."""

from __future__ import annotations

import json
import re
import stat
import sys
import time

import pytest
from conftest import SECRET, Stage


@pytest.fixture
def run(tmp_path):
    """Run tasks with the callback, and return what was printed, the log and the exit status."""
    stage = Stage(tmp_path)
    state = tmp_path / "state"

    def play(tasks, *options, hosts=("alpha", "beta"), environment=None, **keywords):
        inventory = {"all": {"hosts": {host: {"ansible_connection": "local", "ansible_python_interpreter": sys.executable} for host in hosts}}}
        (tmp_path / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
        plays = [dict({"name": "A play", "hosts": "all", "gather_facts": False, "tasks": tasks}, **keywords)]
        (tmp_path / "play.json").write_text(json.dumps(plays), encoding="utf-8")
        done = stage.run(
            "ansible-playbook", "-i", str(tmp_path / "hosts.json"), str(tmp_path / "play.json"), *options,
            environment={"ANSIBLE_STDOUT_CALLBACK": "arcodange.sandbox.steps", "XDG_STATE_HOME": str(state), **(environment or {})},
        )
        logs = sorted((state / "arcodange-sandbox" / "logs").glob("*.log")) if state.is_dir() else []
        return done, logs[-1] if logs else None

    play.stage, play.state = stage, state
    return play


def debug(name, message):
    return {"name": name, "ansible.builtin.debug": {"msg": message}}


def test_a_step_is_one_line_with_its_number_its_time_and_the_hosts_that_changed(run):
    done, dummy = run([
        {"name": "Touch it", "ansible.builtin.command": {"cmd": "true"}, "changed_when": "inventory_hostname == 'beta'"},
        {"name": "Leave it", "ansible.builtin.command": {"cmd": "true"}, "changed_when": False},
        {"name": "Pass it over", "ansible.builtin.command": {"cmd": "true"}, "when": False},
        {"name": "End", "ansible.builtin.command": {"cmd": "true"}, "changed_when": False},
    ])
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [re.sub(r" +[\d.]+s  ", " TIME ", line) for line in done.stdout.splitlines()]
    assert lines[:4] == ["A play", "[1/4] TIME Touch it  ok; changed: beta", "[2/4] TIME Leave it  ok", "[4/4] TIME End  ok"]
    assert "  alpha : ok=3 changed=0 failed=0 skipped=1" in lines
    assert "  beta  : ok=3 changed=1 failed=0 skipped=1" in lines
    assert "\x1b" not in done.stdout


def test_a_name_is_shown_with_its_variables_filled_in(run):
    done, dummy = run([debug("Greet {{ whom }}", "hello")], vars={"whom": "the world"})
    assert "Greet the world  ok" in done.stdout


def test_included_tasks_are_counted_once_they_are_known(run, tmp_path):
    (tmp_path / "more.yml").write_text(json.dumps([debug("First", "1"), debug("Second", "2")]), encoding="utf-8")
    done, dummy = run([{"name": "Include", "ansible.builtin.include_tasks": str(tmp_path / "more.yml")}, debug("Last", "3")])
    assert re.findall(r"^\[\d/\d\]", done.stdout, re.MULTILINE) == ["[2/4]", "[3/4]", "[4/4]"]
    assert "Include" not in done.stdout


def test_batches_of_a_play_and_hosts_that_do_not_wait_are_shown(run):
    for keywords in ({"serial": 1}, {"strategy": "free"}):
        done, dummy = run([debug("One", "1"), debug("Two", "2")], **keywords)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in done.stderr.lower()
        numbers = [tuple(map(int, found)) for found in re.findall(r"^\[(\d+)/(\d+)\]", done.stdout, re.MULTILINE)]
        assert numbers and all(number <= total for number, total in numbers), done.stdout


def test_a_failure_is_shown_whole_with_its_host_and_place(run):
    done, log = run([{"name": "Break", "ansible.builtin.shell": "echo first; echo second; echo why >&2; exit 3", "when": "inventory_hostname == 'beta'"}])
    assert done.returncode == 2
    assert re.search(r"^\[1/1\] +[\d.]+s  Break  FAILED: beta$", done.stdout, re.MULTILINE)
    for line in ("rc: 3", "  first", "  second", "stderr: why", "task: %s:" % (log.parents[3] / "play.json")):
        assert line in done.stdout
    assert "  beta  : ok=0 changed=0 failed=1" in done.stdout


def test_each_item_that_failed_is_shown(run):
    done, dummy = run([{"name": "Break", "ansible.builtin.command": "test {{ item }} = a", "loop": ["a", "b", "c"]}], hosts=["alpha"])
    assert "item b:" in done.stdout and "item c:" in done.stdout and "item a:" not in done.stdout


GATE = """
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        return dict(failed=True, msg="a drift (and 1 more)", verdict="red", report="/report.json", findings=[{"rule": "node"}] * 50,
                    summary=["red: node: a drift", "red: node: another", "waived: node: a third"])
"""


def test_a_red_gate_is_shown_by_its_findings_and_its_report(run):
    (run.stage.plugins / "action" / "warns.py").write_text(GATE, encoding="utf-8")
    (run.stage.plugins / "modules" / "warns.py").write_text("", encoding="utf-8")
    done, dummy = run([{"name": "Compare", "arcodange.sandbox.warns": {}}], hosts=["alpha"])
    assert re.search(r"a drift \(and 1 more\)\n +red: node: a drift\n +red: node: another\n +report: /report.json\n +task: ", done.stdout), done.stdout


def test_an_ignored_failure_is_one_line_and_its_message(run):
    done, dummy = run([{"name": "Break", "ansible.builtin.fail": {"msg": "not today"}, "ignore_errors": True}], hosts=["alpha"])
    assert done.returncode == 0
    assert "Break  failed, ignored: alpha" in done.stdout and "not today" in done.stdout


def test_an_unreachable_host_is_shown_with_the_reason(run):
    done, dummy = run(
        [{"name": "Reach", "ansible.builtin.ping": {}, "vars": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}}], hosts=["alpha"],
    )
    assert done.returncode == 4
    assert "Reach  UNREACHABLE: alpha" in done.stdout and "refused" in done.stdout


WARNS = """
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        return dict(changed=False, warnings=["the disk of %s is slow" % task_vars["inventory_hostname"]])
"""


def test_a_warning_is_shown_once_for_all_hosts_and_steps(run):
    (run.stage.plugins / "action" / "warns.py").write_text(WARNS, encoding="utf-8")
    (run.stage.plugins / "modules" / "warns.py").write_text("", encoding="utf-8")
    done, log = run([{"name": name, "arcodange.sandbox.warns": {}} for name in ("One", "Two")])
    assert (done.stdout + done.stderr).count("is slow") == 1
    assert log.read_text(encoding="utf-8").count("is slow") == 4


def test_differences_are_shown_once_for_the_hosts_that_have_them(run, tmp_path):
    done, dummy = run([{"name": "Write", "ansible.builtin.copy": {"content": "new\n", "dest": str(tmp_path / "{{ inventory_hostname }}")}}], "--check", "--diff")
    assert done.stdout.count("+new") == 2  # two files
    assert "A play (check mode)" in done.stdout and "Recap after" in done.stdout
    assert not (tmp_path / "alpha").exists()


@pytest.mark.parametrize("message", ["ssh pi@node\nkubectl get nodes\n", ["ssh pi@node", "kubectl get nodes", ""]])
def test_the_summary_is_the_last_thing_and_plain_text(run, message):
    done, dummy = run([debug("Show summary", message), debug("Another", "something else")], hosts=["alpha"])
    assert done.stdout.endswith("\n\nssh pi@node\nkubectl get nodes\n"), done.stdout
    assert done.stdout.count("kubectl get nodes") == 1
    assert done.stdout.index("something else") < done.stdout.index("Recap after")


def test_the_log_is_the_users_alone_named_once_and_as_the_default_callback_prints(run):
    done, log = run([debug("Speak", "hello"), {"name": "Skip", "ansible.builtin.ping": {}, "when": False}], hosts=["alpha"])
    assert done.stdout.count(str(log)) == 1
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700
    again, dummy = run([debug("Speak", "hello"), {"name": "Skip", "ansible.builtin.ping": {}, "when": False}], hosts=["alpha"],
                       environment={"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default"})
    assert log.read_text(encoding="utf-8").split() == again.stdout.split()


def test_the_newest_fifty_logs_are_kept(run):
    folder = run.state / "arcodange-sandbox" / "logs"
    folder.mkdir(parents=True)
    for number in range(60):
        (folder / ("20200101T0000%02d-play-1.log" % number)).touch()
    run([debug("Speak", "hello")], hosts=["alpha"])
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 50 and names[0] == "20200101T000011-play-1.log"


@pytest.mark.parametrize("options", [(), ("-v",), ("--diff",)])
def test_what_no_log_hides_is_nowhere(run, tmp_path, options):
    done, log = run([
        {"name": "Run", "ansible.builtin.command": "echo " + SECRET, "no_log": True},
        {"name": "Loop", "ansible.builtin.command": "echo {{ item }}", "loop": [SECRET], "no_log": True},
        {"name": "Write", "ansible.builtin.copy": {"content": SECRET, "dest": str(tmp_path / "secret")}, "no_log": True},
        {"name": "Show", "ansible.builtin.debug": {"msg": SECRET}, "no_log": True},
        {"name": "Fail", "ansible.builtin.shell": "echo %s; false" % SECRET, "no_log": True, "ignore_errors": True},
        {"name": "Fail in a loop", "ansible.builtin.shell": "echo {{ item }}; false", "loop": [SECRET], "no_log": True},
    ], *options, hosts=["alpha"])
    assert done.returncode == 2
    assert "Fail in a loop" in done.stdout
    assert SECRET not in done.stdout + done.stderr + log.read_text(encoding="utf-8")


def test_verbose_runs_are_shown_as_by_the_default_callback(run):
    done, log = run([debug("Speak", "hello")], "-v", hosts=["alpha"])
    assert "TASK [Speak]" in done.stdout and "[1/1]" not in done.stdout
    assert "TASK [Speak]" in log.read_text(encoding="utf-8")


def test_no_colour_in_a_pipeline(run):
    for pipeline in ("", "true"):
        done, dummy = run([debug("Speak", "hello")], hosts=["alpha"], environment={"CI": pipeline, "ANSIBLE_FORCE_COLOR": "true", "ANSIBLE_NOCOLOR": "false"})
        assert ("\x1b" in done.stdout) != bool(pipeline), done.stdout


def test_a_log_that_cannot_be_written_does_not_end_the_run(run):
    run.state.write_text("not a folder", encoding="utf-8")
    done, log = run([debug("Speak", "hello")], hosts=["alpha"])
    assert (done.returncode, log) == (0, None)
    assert "TASK [Speak]" in done.stdout and "callback arcodange.sandbox.steps failed" in done.stderr


def test_a_fault_of_the_callback_does_not_end_the_run_and_the_rest_is_shown(run):
    plugin = run.stage.plugins / "callback" / "steps.py"
    text = plugin.read_text(encoding="utf-8")
    plugin.write_text(text.replace('    def _show_step(self, step):\n', '    def _show_step(self, step):\n        raise KeyError("oops")\n'), encoding="utf-8")
    done, dummy = run([debug("One", "1"), debug("Two", "two"), {"name": "Break", "ansible.builtin.fail": {"msg": "broken"}}], hosts=["alpha"])
    assert done.returncode == 2
    assert done.stderr.count("callback arcodange.sandbox.steps failed") == 1
    assert "TASK [Two]" in done.stdout and "broken" in done.stdout


def test_a_long_step_is_announced_while_it_runs(run):
    plugin = run.stage.plugins / "callback" / "steps.py"
    text = plugin.read_text(encoding="utf-8")
    plugin.write_text(text.replace("_ANNOUNCE = 20", "_ANNOUNCE = 1"), encoding="utf-8")
    began = time.monotonic()
    done, dummy = run([{"name": "Sleep", "ansible.builtin.command": "sleep 3", "changed_when": False}], hosts=["alpha"])
    assert re.search(r"^\[1/1\] +1\.\ds  Sleep: still running$", done.stdout, re.MULTILINE), done.stdout
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("task,message", [
    ({"ansible.builtin.assert": {"that": "1 == 2", "fail_msg": "port 1: must be 2"}}, "port 1: must be 2"),
    ({"ansible.builtin.validate_argument_spec": {"argument_spec": {"root": {"type": "path", "required": True}}}}, "missing required arguments: root"),
])
def test_a_failed_check_of_options_is_shown_by_its_message_alone(run, task, message):
    done, log = run([dict(task, name="Check the options")], hosts=["alpha"])
    shown = done.stdout.split("FAILED: alpha")[1].split("task: ")[0]
    assert message in shown and len(shown.strip().splitlines()) <= 3, shown
    assert message in log.read_text(encoding="utf-8")
