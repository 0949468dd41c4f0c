# SPDX-License-Identifier: GPL-3.0-or-later

"""Plays with the plugins as users run them: which binary is picked, where it runs, and what the user gets to see."""

from __future__ import annotations

import json
import lzma
import os
import stat

import pytest
from conftest import ARCH, OS, OTHER_ARCH, OTHER_MACHINE, PLATFORM, ROOT, SECRET

CONTROLLER, TARGET = "controller_" + PLATFORM, "target_" + PLATFORM


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def change(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.chmod(path.stat().st_mode | stat.S_IWUSR)
    path.write_bytes(data)


def packed(stage):
    return stage.plugins / "bin" / (CONTROLLER + ".xz")


def another_program(stage):
    packed(stage).write_bytes(lzma.compress(b"#!/bin/sh\necho '{}'\n"))


SPOILED = {
    "a packed kit that was cut short": ("sample_here", lambda s: cut(packed(s)), "unpacking"),
    "a packed kit with a byte changed": ("sample_here", lambda s: change(packed(s)), CONTROLLER),
    "a packed kit that holds another program": ("sample_here", another_program, "SHA-256"),
    "a packed kit that is missing": ("sample_here", lambda s: packed(s).unlink(), "unpacking"),
    "a target kit with a byte changed": ("sample", lambda s: change(s.plugins / "modules" / ("__" + TARGET)), "SHA-256"),
    "a target kit that is missing": ("sample", lambda s: (s.plugins / "modules" / ("__" + TARGET)).unlink(), "cannot be read"),
    "a list of digests that is missing": ("sample", lambda s: (s.plugins / "bin" / "SHA256SUMS").unlink(), "list of binaries"),
    "a list of digests that is no such list": ("sample", lambda s: (s.plugins / "bin" / "SHA256SUMS").write_text("x\n", encoding="utf-8"), "list of binaries"),
    "a platform that was not built": ("sample", lambda s: (s.sums.pop(TARGET), s.write_sums()), "has no binary " + TARGET),
}


@pytest.mark.parametrize("what,place", [(what, "an installed collection") for what in SPOILED] + [
    ("a target kit that is missing", "a checkout"), ("a packed kit with a byte changed", "a checkout"),
])
def test_nothing_runs_that_is_not_what_was_built_and_the_message_says_what_to_run(stage, what, place):
    module, spoil, why = SPOILED[what]
    spoil(stage)
    command = "ansible-galaxy collection install --force arcodange.sandbox"
    if place == "a checkout":
        (stage.root / "go.mod").write_text("module x\n", encoding="utf-8")
        command = "make build"
    result = stage.one(module)
    assert result["failed"] is True
    assert why in result["msg"]
    assert command in result["msg"]
    assert "\n" not in result["msg"]
    assert "built" not in result, "it ran all the same"


@pytest.mark.parametrize("spoil", [change, cut], ids=["changed", "cut short"])
def test_a_cached_kit_that_was_tampered_with_is_never_run_but_replaced(stage, spoil):
    assert stage.one("sample_here")["built"] == PLATFORM
    cached = stage.cached(CONTROLLER)
    good = cached.read_bytes()
    spoil(cached)
    assert stage.one("sample_here")["built"] == PLATFORM
    assert cached.read_bytes() == good
    assert stat.S_IMODE(cached.stat().st_mode) == 0o700


def test_a_cached_kit_that_was_tampered_with_and_cannot_be_replaced_is_refused(stage):
    assert stage.one("sample_here")["built"] == PLATFORM
    change(stage.cached(CONTROLLER))
    change(packed(stage))
    result = stage.one("sample_here")
    assert result["failed"] is True
    assert "ansible-galaxy collection install --force" in result["msg"]


def test_a_play_over_two_architectures_copies_to_each_host_its_own_kit(stage):
    other = "%s_%s" % (OS, OTHER_ARCH)
    system = {"linux": "Linux", "darwin": "Darwin"}[OS]
    machine = {"amd64": "x86_64", "arm64": "aarch64"}[ARCH]
    logs = {name: stage.directory / (name + ".log") for name in ("like_here", "other", "by_facts")}
    hosts = {
        "like_here": {"elsewhere_uname": "%s\n%s\n" % (system, machine)},
        "other": {"elsewhere_uname": "%s\n%s\n" % (system, OTHER_MACHINE)},
        "by_facts": {"elsewhere_uname": ""},
    }
    for name, variables in hosts.items():
        variables.update(ansible_connection="elsewhere", elsewhere_log=str(logs[name]))
    facts = {
        "name": "Know the platform already", "ansible.builtin.set_fact": {"ansible_system": system, "ansible_architecture": OTHER_MACHINE, "cacheable": True},
        "when": "inventory_hostname == 'by_facts'",
    }
    results, done = stage.play("sample", hosts=hosts, before=[facts])
    wanted = {"like_here": PLATFORM, "other": other, "by_facts": other}
    assert {name: result.get("built") for name, result in results.items()} == wanted, done.stdout
    for name, platform in wanted.items():
        lines = logs[name].read_text(encoding="utf-8").splitlines()
        copies = [line for line in lines if line.startswith("copied") and "args" not in line]
        assert copies == ["copied AnsiballZ___target_" + platform], name
        assert results[name]["called"] == "AnsiballZ___target_" + platform
    assert "asked" not in logs["by_facts"].read_text(encoding="utf-8")


@pytest.mark.parametrize("uname,why", [
    ("Linux\nriscv64\n", "Linux on riscv64"),
    ("FreeBSD\nx86_64\n", "FreeBSD on x86_64"),
    ("", "finding out the platform of odd"),
], ids=["a processor that is not built for", "a system that is not built for", "a host that cannot tell"])
def test_a_host_without_a_kit_is_refused(stage, uname, why):
    result = stage.one("sample", hosts={"odd": {"ansible_connection": "elsewhere", "elsewhere_uname": uname}})
    assert result["failed"] is True
    assert why in result["msg"]


def test_every_file_that_is_cached_or_copied_names_system_and_architecture(stage):
    stage.one("sample_here")
    files = [path for path in (stage.home / ".cache").rglob("*") if path.is_file() and not path.is_symlink() and path.name != ".lock"]
    assert [path.name for path in files] == [CONTROLLER]
    assert [path.parent.name for path in files] == [stage.sums[CONTROLLER]]


def elevate(stage):
    """A command that stands in for sudo: it says that it was used and runs what it was given."""
    program = stage.directory / "elevate"
    program.write_text('#!/bin/sh\n: >"%s.used"\nwhile [ "$1" != /bin/sh ]; do shift; done\nexec "$@"\n' % program, encoding="utf-8")
    program.chmod(0o755)
    return program


def test_a_local_host_runs_the_kit_in_place(stage):
    assert stage.one("sample")["called"] == "__" + TARGET


def test_become_on_a_local_host_copies_the_kit_and_runs_it_as_the_other_user(stage):
    program = elevate(stage)
    result = stage.one("sample", task={"become": True}, hosts={"here": {"ansible_connection": "local", "ansible_become_exe": str(program)}},
                       environment={"ANSIBLE_BECOME_ALLOW_SAME_USER": "true"})
    assert result["called"] == "AnsiballZ___" + TARGET
    assert (stage.directory / "elevate.used").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("further, writable, works", [("", True, True), ("/dev/shm", True, True), ("/dev/shm", False, False)])
def test_a_folder_for_modules_that_holds_no_programs_is_passed_over_for_one_that_does(stage, further, writable, works):
    remote = stage.home / "remote"
    remote.mkdir()
    mounts = "; ".join("mount -t tmpfs -o noexec,mode=1777 none %s" % path for path in [remote, *further.split()])
    tools = stage.directory / "tools"
    tools.mkdir()
    if not writable:
        (tools / "mktemp").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        (tools / "mktemp").chmod(0o755)
    result = stage.one("sample", task={"become": True}, hosts={"here": {"ansible_connection": "local", "ansible_become_exe": str(elevate(stage))}},
                       environment={"ANSIBLE_BECOME_ALLOW_SAME_USER": "true", "PATH": "%s:%s" % (tools, os.environ["PATH"])},
                       wrapper=["unshare", "--mount", "sh", "-ec", mounts + '; exec "$0" "$@"'])
    if works:
        assert result["called"] == "AnsiballZ___" + TARGET
    else:
        assert result["msg"].startswith(str(remote) + ": programs cannot run there") and "set ansible_remote_tmp" in result["msg"]


def test_become_does_nothing_to_a_module_of_the_controller(stage):
    program = elevate(stage)
    result = stage.one("sample_here", task={"become": True}, hosts={"here": {"ansible_connection": "local", "ansible_become_exe": str(program)}},
                       environment={"ANSIBLE_BECOME_ALLOW_SAME_USER": "true"})
    assert result["called"] == CONTROLLER
    assert not (stage.directory / "elevate.used").exists()


def test_an_ssh_host_gets_the_kit_copied_and_keeps_nothing_of_it(stage, sshd):
    result = stage.one("sample", {"password": SECRET}, hosts={"far": sshd})
    assert result.get("called") == "AnsiballZ___" + TARGET, result
    assert not [path for path in (stage.home / "remote").rglob("*") if path.is_file()]


def test_a_module_of_the_controller_needs_no_connection(stage):
    result = stage.one("sample_here", hosts={"nowhere": {"ansible_connection": "ssh", "ansible_host": "host.invalid"}})
    assert result["called"] == CONTROLLER


def ways(**variables):
    """Two hosts, one that runs a kit in place and one that it is copied to."""
    return {
        "in_place": dict(variables, ansible_connection="local"),
        "copied": dict(variables, ansible_connection="elsewhere", elsewhere_uname="%s\n%s\n" % (OS, ARCH)),
    }


@pytest.mark.parametrize("module", ["sample", "sample_here"])
def test_an_argument_that_belongs_to_ansible_or_the_kit_is_refused_by_name(stage, module):
    hosts, smuggled = {}, ["_kit_call", "_ansible_check_mode", "_ansible_no_log", "_ansible_anything"]
    for argument in smuggled:
        for name, variables in ways(smuggled={argument: "sample_here"}).items():
            hosts[name + argument] = variables
    # Ansible looks at what is written in a task; what a template yields comes as far as the plugin.
    results, dummy = stage.play(module, task={"args": "{{ smuggled }}"}, hosts=hosts, environment={"ANSIBLE_FORKS": "4"})
    for host, result in results.items():
        assert result["failed"] is True, host
        assert any(argument in result["msg"] for argument in smuggled if host.endswith(argument)), result["msg"]
        assert "built" not in result, host


def test_an_argument_that_names_another_module_is_refused_where_it_is_written_in_the_task(stage):
    results, dummy = stage.play("sample", {"_kit_call": "sample_here"}, hosts=ways())
    for result in results.values():
        assert result["failed"] is True
        assert "unsupported arguments: _kit_call" in result["msg"]


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("diff", [False, True])
def test_check_mode_and_diff_pass_through(stage, check, diff):
    results, dummy = stage.play("sample", task={"check_mode": check, "diff": diff}, hosts=ways())
    for result in results.values():
        assert (result["check"], result["shows_diff"]) == (check, diff)
        assert result["changed"] is True
        assert ("diff" in result) is diff


def test_the_command_line_s_check_and_diff_pass_through(stage):
    results, done = stage.play("sample", options=["--check", "--diff"])
    assert results["here"]["check"] and results["here"]["shows_diff"]
    assert "before" in done.stdout and "after" in done.stdout


@pytest.mark.parametrize("do", ["well", "fail", "complain"])
@pytest.mark.parametrize("module", ["sample", "sample_here"])
def test_a_task_with_no_log_shows_no_secret_anywhere(stage, module, do):
    results, done = stage.play(module, {"password": SECRET, "do": do}, task={"no_log": True, "diff": True}, options=["-vvvv"], hosts=ways())
    assert SECRET not in stage.everything(done)
    own = json.dumps(results if module == "sample_here" else results["in_place"])
    assert "the thing says" not in own, "a line of standard error became part of the message"
    assert SECRET not in own


@pytest.mark.parametrize("do", ["well", "fail"])
@pytest.mark.parametrize("module", ["sample", "sample_here"])
def test_an_option_with_no_log_shows_no_secret_anywhere(stage, module, do):
    # Written in two pieces, since Ansible quotes the lines of a task that fails.
    args = {"password": "{{ 'correct-horse-' ~ 'battery-staple' }}", "do": do}
    results, done = stage.play(module, args, task={"diff": True}, options=["-vvvv"], hosts=ways())
    assert SECRET not in stage.everything(done)
    assert SECRET not in json.dumps(results)


BROKEN = {
    "something that is no JSON": ("no_json", "printed something else than one JSON object"),
    "a list": ("list", "printed something else than one JSON object"),
    "two objects": ("two", "printed something else than one JSON object"),
    "nothing": ("nothing", "ended with status 0 and no result"),
    "only a complaint": ("complain", "ended with status 3 and no result: the thing says"),
    "nothing, because it was killed": ("be_killed", "was killed by SIGKILL"),
}


def broken(way):
    return {do: dict(ways()[way], do=do) for do, dummy in BROKEN.values()}


@pytest.mark.parametrize("module", ["sample", "sample_here"])
def test_a_module_that_prints_no_result_fails_clearly(stage, module):
    results, dummy = stage.play(module, {"do": "{{ do }}"}, hosts=broken("in_place"))
    for what, (do, why) in BROKEN.items():
        result = results[do]
        assert result["failed"] is True and result["changed"] is False, what
        assert "arcodange.sandbox." + module in result["msg"], what
        assert why in result["msg"], what


def test_a_copied_module_that_prints_no_result_fails(stage):
    results, dummy = stage.play("sample", {"do": "{{ do }}"}, hosts=broken("copied"))
    assert {do: result["failed"] for do, result in results.items()} == {do: True for do, dummy2 in BROKEN.values()}


def test_a_task_that_runs_out_of_time_lets_the_module_clean_up(stage):
    file = stage.directory / "waiting"
    result = stage.one("sample", {"do": "wait", "file": str(file)}, task={"timeout": 4})
    assert result["failed"] is True
    assert file.read_text(encoding="utf-8") == "cleaned up"


REFUSED = {
    "an option that is not there": ("app_env_name", {"app": "erp", "colour": "red"}, "colour"),
    "a list where a path belongs": ("app_env_name", {"app": "erp", "conventions": ["a"]}, "conventions"),
    "a word where a boolean belongs": ("app_env_name", {"app": "erp", "with_table": "perhaps"}, "with_table"),
    "two that exclude each other": ("app_env_name", {"app": "erp", "apps": ["cms"]}, "app|apps"),
    "a target without an address": ("prod_ip_guard", {"boundary": "b.yml", "targets": [{"host": "pi1"}]}, "address"),
    "a suboption that is not there": ("prod_ip_guard", {"boundary": "b.yml", "targets": [{"host": "a", "address": "b", "colour": 1}]}, "targets.colour"),
    "an option that is missing": ("sandbox_vm", {"state": "absent"}, "missing required arguments: name"),
    "a word where a number belongs": ("sandbox_vm", {"name": "pi1", "state": "absent", "timeout": "soon"}, "timeout"),
    "a state that is none": ("sandbox_vm", {"name": "pi1", "state": "sleeping"}, "state"),
    "a recipe that is none": ("sandbox_image", {"recipe": "cake"}, "recipe"),
    "an option of another module": ("sandbox_image", {"targets": []}, "targets"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_the_real_modules_refuse_wrong_arguments_and_name_them(real, what):
    module, args, named = REFUSED[what]
    result = real.one(module, args)
    assert result["failed"] is True and result["changed"] is False
    assert named in result["msg"]


def test_the_real_modules_answer_an_ad_hoc_command(real):
    done = real.run("ansible", "localhost", "-m", "arcodange.sandbox.app_env_name", "-a", "app=erp env=sandbox systems=postgres_role")
    assert done.returncode == 0, done.stderr
    assert "erp_sandbox_role" in done.stdout


def test_the_real_guard_runs_on_an_ssh_host(real, sshd):
    manifest = (ROOT / "inventory/sandbox/boundary.yml").read_text(encoding="utf-8")
    args = {"boundary": "boundary.yml", "content": manifest, "targets": [{"host": "pi1", "address": "192.0.2.1"}]}
    result = real.one("prod_ip_guard", args, hosts={"far": sshd})
    assert result["failed"] is True
    assert "192.0.2.1" in result["msg"]
    assert [verdict["allowed"] for verdict in result["verdicts"]] == [False]


@pytest.mark.parametrize("inventory,expected", [
    ("inventory/sandbx", "Completely failed to parse inventory source"),
    ("192.0.2.1,", "sandbox_boundary: not set; use an inventory with a boundary manifest"),
])
def test_an_inventory_that_is_mistyped_or_has_no_boundary_fails_with_the_reason(real, inventory, expected):
    checkout = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "default"}
    done = real.run("ansible-playbook", "-i", inventory, str(ROOT / "playbooks/guard.yml"), environment=checkout)
    assert done.returncode != 0
    assert expected in done.stdout + done.stderr, done.stdout + done.stderr
