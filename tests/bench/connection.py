# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare Ansible's ssh connection with the guarded one, on connections that are open, against a node of a running sandbox.

Usage: connection.py BOUNDARY STATE_DIRECTORY ADDRESS [CALLS]

What is timed is what a task waits for: the plugin makes its command line, starts it, and reads what it says. Calls
alternate, so that both meet the same machine. Printed are medians.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time


def connection(name, boundary, state, address, directory, port=22, user="pi"):
    from ansible.playbook.play_context import PlayContext
    from ansible.plugins.loader import connection_loader

    told = {
        "ansible_host": address, "ansible_port": port, "ansible_user": user, "sandbox_boundary": boundary, "ansible_control_path_dir": directory,
        "ansible_ssh_private_key_file": os.path.join(state, "ssh/id_ed25519"),
        "ansible_ssh_common_args": "-F none -o UserKnownHostsFile=%s -o BatchMode=yes" % os.path.join(state, "ssh/known_hosts"),
    }
    made = connection_loader.get(name, PlayContext(), os.devnull)
    made.set_options(var_options=told, direct={"host": address})
    return made


def main(boundary, state, address, calls="40", port="22", user="pi"):
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader()
    with tempfile.TemporaryDirectory() as directory:
        # Its control sockets are then its own, and gone with it.
        os.environ["XDG_STATE_HOME"] = directory
        names = "ansible.builtin.ssh", "arcodange.sandbox.guarded_ssh"
        times = {}
        made = {name: connection(name, boundary, state, address, directory, int(port), user) for name in names}
        for dummy in range(int(calls) + 1):
            for name, one in made.items():
                begun = time.perf_counter()
                code, out, err = one.exec_command("true", sudoable=False)
                if code:
                    sys.exit("%s: %s" % (name, err))
                times.setdefault(name, []).append((time.perf_counter() - begun) * 1000)
        median = {name: statistics.median(values[1:]) for name, values in times.items()}
        for name, one in made.items():
            one.close()
    print("%-66s %9.1f ms  %s" % (
        "a command by guarded_ssh, shared connection (%.1f ms by ssh)" % median[names[0]], median[names[1]] - median[names[0]], "5 ms"))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
