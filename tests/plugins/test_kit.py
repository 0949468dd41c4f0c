# SPDX-License-Identifier: GPL-3.0-or-later

"""What plugin_utils/kit.py decides by itself, asked in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from conftest import PLATFORM

CONTROLLER = "controller_" + PLATFORM

ASK = """
import json, sys
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([%r])
from ansible_collections.arcodange.sandbox.plugins.plugin_utils import kit
print(json.dumps(%s))
"""


def ask(stage, expression, **more):
    return subprocess.Popen(
        [sys.executable, "-c", ASK % (str(stage.collections), expression)],
        env=stage.environment(**more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )


def answer(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


def test_processes_that_unpack_at_once_get_the_same_whole_file(stage):
    processes = [ask(stage, "kit.controller_binary()") for dummy in range(6)]
    assert {answer(process) for process in processes} == {str(stage.cached(CONTROLLER))}
    here = stage.cached(CONTROLLER).parent
    left = sorted(path.name for path in here.iterdir())
    names = ["prod-ip-guard", "scp", "sftp", "ssh"]
    assert left == [".lock", CONTROLLER] + names, "an unpacker left something behind"
    assert {(here / name).resolve() for name in names} == {stage.cached(CONTROLLER).resolve()}


def test_a_link_that_leads_elsewhere_is_made_anew(stage):
    answer(ask(stage, "kit.controller_binary()"))
    link = stage.cached(CONTROLLER).parent / "ssh"
    link.unlink()
    link.symlink_to("/usr/bin/true")
    assert answer(ask(stage, "kit.guard_binary()")) == str(stage.cached(CONTROLLER).parent / "prod-ip-guard")
    assert link.resolve() == stage.cached(CONTROLLER).resolve()


def test_a_process_that_died_while_it_unpacked_is_no_obstacle(stage):
    directory = stage.cached(CONTROLLER).parent
    directory.mkdir(parents=True, mode=0o700)
    (directory / (CONTROLLER + "abc123")).write_bytes(b"half")
    (directory / ".lock").write_bytes(b"")
    assert answer(ask(stage, "kit.controller_binary()")) == str(stage.cached(CONTROLLER))


def test_the_cache_is_where_the_environment_says(stage):
    cache = stage.directory / "cache"
    found = answer(ask(stage, "kit.controller_binary()", XDG_CACHE_HOME=str(cache)))
    assert found == str(cache / "arcodange-sandbox" / "bin" / stage.sums[CONTROLLER] / CONTROLLER)
    assert not (stage.home / ".cache").exists()


def test_a_cache_that_is_named_relative_to_nothing_is_not_used(stage):
    found = answer(ask(stage, "kit.controller_binary()", XDG_CACHE_HOME="cache"))
    assert found == str(stage.cached(CONTROLLER))


def test_binaries_unused_for_a_month_are_removed(stage):
    bin_directory = stage.cached(CONTROLLER).parent.parent
    month = 31 * 24 * 3600
    for name, age in {"old": month, "recent": 0}.items():
        (bin_directory / name).mkdir(parents=True)
        (bin_directory / name / "binary").write_bytes(b"x")
        os.utime(bin_directory / name, (time.time() - age, time.time() - age))
    answer(ask(stage, "kit.controller_binary()"))
    used = stage.cached(CONTROLLER).parent
    assert sorted(path.name for path in bin_directory.iterdir()) == sorted([used.name, "recent"])
    os.utime(used, (0, 0))
    answer(ask(stage, "kit.controller_binary()"))
    assert used.stat().st_mtime > time.time() - month, "what is used is not old"


READ_AGAIN = """
import hashlib, json, os, sys, time
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([%r])
from ansible_collections.arcodange.sandbox.plugins.plugin_utils import kit

reads, real = [], hashlib.file_digest
def counted(data, name):
    reads.append(data.name)
    return real(data, name)
hashlib.file_digest = counted

def call(times):
    del reads[:]
    try:
        for dummy in range(times):
            path = kit.controller_binary()
    except kit.KitError as error:
        return str(error)
    return len(reads)

path, real_time = kit.controller_binary(), time.time
kit.time.time = lambda: os.stat(path).st_ctime + 1
of_now = call(3)
kit.time.time = lambda: real_time() + 10
of_before = call(3)
child = os.fork()
if not child:
    os._exit(call(3))
in_a_child = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
status = os.stat(path)
with open(path, "r+b") as data:  # as many bytes, and the times that it had
    data.seek(1000)
    data.write(b"another")
os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
changed = kit._digest(path) != kit._wanted(os.path.basename(path))
print(json.dumps([of_now, of_before, in_a_child, changed]))
"""


def test_a_binary_is_read_again_only_if_it_can_have_changed(stage):
    answer(ask(stage, "kit.controller_binary()"))
    process = subprocess.Popen(
        [sys.executable, "-c", READ_AGAIN % str(stage.collections)],
        env=stage.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    of_now, of_before, in_a_child, changed = answer(process)
    assert of_now == 3, "a file that was written this very moment may be written once more, and look the same"
    assert of_before == 1
    assert in_a_child == 0, "what the process that loads the inventory has read, its workers need not"
    assert changed, "other bytes of the same number, at the same time, were taken for the same"


def test_another_version_has_a_file_of_its_own(stage, sample):
    first = answer(ask(stage, "kit.controller_binary()"))
    another = stage.directory / "another"
    another.write_bytes(sample[PLATFORM].read_bytes() + b"\0")
    stage.add(CONTROLLER, another)
    second = answer(ask(stage, "kit.controller_binary()"))
    assert first != second


PLATFORMS = {
    "a Debian on a PC": ("Linux", "x86_64", "linux_amd64"),
    "a Raspberry Pi": ("Linux", "aarch64", "linux_arm64"),
    "a Mac": ("Darwin", "arm64", "darwin_arm64"),
    "an older Mac": ("Darwin", "x86_64", "darwin_amd64"),
    "an answer with a line end": ("Linux\n", " x86_64 ", "linux_amd64"),
    "a 32-bit Raspberry Pi": ("Linux", "armv7l", None),
    "another system": ("OpenBSD", "amd64", None),
    "no answer": ("", None, None),
}


def test_a_platform_is_named_as_go_names_it_or_refused(stage):
    asked = "[kit.platform_name(*p) if w else str(kit.KitError) for p, w in %r]" % [((s, m), w) for s, m, w in PLATFORMS.values() if w]
    assert answer(ask(stage, asked)) == [w for dummy, dummy2, w in PLATFORMS.values() if w]
    for system, machine, wanted in PLATFORMS.values():
        if wanted is None:
            process = ask(stage, "kit.platform_name(%r, %r)" % (system, machine))
            dummy, err = process.communicate(timeout=120)
            assert process.returncode != 0
            assert "KitError: there is no binary for" in err


RESULTS = {
    "one object": (b'{"changed": true}\n', b"", 0, {"changed": True}),
    "one object of a module that failed": (b'{"failed": true, "msg": "x"}\n', b"noise", 1, {"failed": True, "msg": "x"}),
    "nothing": (b"", b"", 0, "M ended with status 0 and no result"),
    "a complaint": (b"", b"first\nlast\n\n", 2, "M ended with status 2 and no result: last"),
    "a word": (b"fine", b"", 0, "M ended with status 0 and printed something else than one JSON object"),
    "a list": (b"[{}]", b"", 0, "M ended with status 0 and printed something else than one JSON object"),
    "null": (b"null", b"", 0, "M ended with status 0 and printed something else than one JSON object"),
    "a word before the object": (b"x {}", b"", 0, "M ended with status 0 and printed something else than one JSON object"),
    "two objects": (b"{}\n{}\n", b"", 0, "M ended with status 0 and printed something else than one JSON object"),
    "half an object": (b'{"changed": tr', b"", 0, "M ended with status 0 and printed something else than one JSON object"),
    "bytes that are no UTF-8": (b'{"a": "\xff"}', b"", 0, "M ended with status 0 and printed something else than one JSON object"),
    "an object, and then a signal": (b'{"changed": false}\n', b"", -9, "M was killed by SIGKILL"),
    "a signal that has no name": (b"", b"", -250, "M was killed by signal 250"),
}


@pytest.mark.parametrize("silent", [False, True], ids=["", "no_log"])
def test_a_result_is_one_object_or_a_failure_that_says_what_it_was_instead(stage, silent):
    calls = [(out, err, code) for out, err, code, dummy in RESULTS.values()]
    found = answer(ask(stage, "[kit.parse_result(o, e, c, 'M', silent=%r) for o, e, c in %r]" % (silent, calls)))
    for (name, (dummy, err, dummy2, wanted)), result in zip(RESULTS.items(), found):
        if isinstance(wanted, str):
            if silent and err:
                wanted = wanted.rpartition(": ")[0]
            wanted = {"failed": True, "changed": False, "msg": wanted}
        assert result == wanted, name
