# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold the guarded connection to having every option of Ansible's own, as this interpreter's ansible-core defines it."""

from __future__ import annotations

import sys

from ansible import constants as C
from ansible.plugins.loader import connection_loader, init_plugin_loader
from ansible.release import __version__

OURS, THEIRS = "arcodange.sandbox.guarded_ssh", "ansible.builtin.ssh"


def options(name):
    if connection_loader.get(name, class_only=True) is None:
        sys.exit("options: there is no connection %s" % name)
    namespace, collection, short = name.split(".")
    return C.config.get_configuration_definitions("connection", "ansible_collections.%s.%s.plugins.connection.%s" % (namespace, collection, short))


def main():
    init_plugin_loader()
    theirs, ours = options(THEIRS), options(OURS)
    if len(theirs) < 20:
        sys.exit("options: only %d options of %s were found" % (len(theirs), THEIRS))
    wrong = sorted(name for name in theirs if name not in ours)
    for name in set(theirs) & set(ours):
        # Where it is taken from and what it is worth without: all but the words about it.
        for part in ("default", "type", "choices", "vars", "env", "ini", "keyword", "cli"):
            if theirs[name].get(part) != ours[name].get(part):
                wrong.append("%s (%s)" % (name, part))
    more = sorted(set(ours) - set(theirs))
    if wrong or more != ["boundary"]:
        sys.exit("options: of ansible-core %s differ: %s; and more than there are: %s" % (__version__, ", ".join(wrong), ", ".join(more)))
    print("options: all %d of ansible-core %s" % (len(theirs), __version__))


if __name__ == "__main__":
    main()
