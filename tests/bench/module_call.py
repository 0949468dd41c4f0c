# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare one call of a module in the target kit with a Python module doing the same.

Usage: module_call.py TARGET_KIT [CALLS]

Both are started as Ansible starts a module: a process with a file of arguments. Both check the same arguments and compare
addresses with the ranges of a boundary manifest. Calls alternate, so that both meet the same machine. The Python side is
given every advantage: no AnsiballZ archive to unpack, and modules already compiled.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

MANIFEST = "production:\n  addresses: [192.0.2.1-192.0.2.9]\nsandbox:\n  addresses: [127.0.0.0/8, 172.30.0.0/24]\n"

TWIN = """
import ipaddress, json
from ansible.module_utils import basic
import sys
with open(sys.argv[1], "rb") as f:
    basic._ANSIBLE_ARGS = b'{"ANSIBLE_MODULE_ARGS": ' + f.read() + b'}'
basic._ANSIBLE_PROFILE = "legacy"
module = basic.AnsibleModule(
    argument_spec=dict(
        boundary=dict(type="path", required=True),
        targets=dict(type="list", elements="dict", default=[],
                     options=dict(host=dict(required=True), address=dict(required=True))),
        check_remote_host=dict(type="bool", default=False),
        i_mean_prod=dict(type="bool", default=False),
    ),
    supports_check_mode=True,
)
with open(module.params["boundary"]) as f:
    f.read()
sandbox = [ipaddress.ip_network(n) for n in ("127.0.0.0/8", "172.30.0.0/24")]
verdicts = []
for target in module.params["targets"]:
    address = ipaddress.ip_address(target["address"])
    verdicts.append(dict(host=target["host"], allowed=any(address in n for n in sandbox)))
module.exit_json(changed=False, verdicts=verdicts)
"""


def call(argv):
    """Run one call and return its seconds."""
    start = time.perf_counter()
    done = subprocess.run(argv, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    json.loads(done.stdout)
    return seconds


def main():
    """Alternate the two, print the medians and how they compare."""
    kit, calls = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 40
    with tempfile.TemporaryDirectory() as directory:
        paths = {name: os.path.join(directory, name) for name in ("boundary.yml", "twin.py", "args", "kit_args")}
        args = {"boundary": paths["boundary.yml"], "targets": [{"host": "pi1", "address": "172.30.0.11"}]}
        contents = {
            "boundary.yml": MANIFEST,
            "twin.py": TWIN,
            "args": json.dumps(args),
            "kit_args": json.dumps(dict(args, _kit_call="prod_ip_guard")),
        }
        for name, text in contents.items():
            with open(paths[name], "w", encoding="utf-8") as file:
                file.write(text)
        go = [kit, paths["kit_args"]]
        python = [sys.executable, paths["twin.py"], paths["args"]]
        for argv in (go, python):
            call(argv)
        times = [(call(go), call(python)) for dummy in range(calls)]
        fast, slow = (statistics.median(column) for column in zip(*times))
        print("one call of a module, median of %d: binary %.1f ms, Python %.1f ms, %.1f times faster" % (
            calls, fast * 1000, slow * 1000, slow / fast))


if __name__ == "__main__":
    main()
