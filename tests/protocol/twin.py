# SPDX-License-Identifier: GPL-3.0-or-later
"""Run argument sets through a real AnsibleModule, many in one process.

The first line of standard input holds the specs by name; every further line is one case, {"spec": name, "args": text of
the file of arguments}. Each case is answered by one line: what AnsibleModule made of it, or why it failed.
"""

from __future__ import annotations

import copy
import json
import sys

from ansible.module_utils import basic
from ansible.module_utils.common import warnings as ansible_warnings


class Failed(Exception):
    """What a module's end by fail_json becomes."""


class Twin(basic.AnsibleModule):
    """AnsibleModule without its effects on the process: no exit, no log, no change of locale or directory."""

    def fail_json(self, msg, **kwargs):
        raise Failed(msg)

    def exit_json(self, **kwargs):
        raise Failed("exit: %s" % kwargs.get("msg"))

    def _log_invocation(self):
        pass

    def _check_locale(self):
        pass

    def _set_cwd(self):
        pass


def only(spec, value):
    """Drop aliases, which AnsibleModule leaves among the values, as deep as specs go."""
    out = {}
    for name, option in spec.items():
        inner = value.get(name)
        if option.get("options") and isinstance(inner, dict):
            inner = only(option["options"], inner)
        elif option.get("options") and isinstance(inner, list):
            inner = [only(option["options"], item) for item in inner]
        out[name] = inner
    return out


def answer(spec, text):
    """Return what AnsibleModule makes of one file of arguments."""
    ansible_warnings._global_warnings.clear()
    basic._ANSIBLE_ARGS = ('{"ANSIBLE_MODULE_ARGS": %s}' % text).encode("utf-8")
    basic._ANSIBLE_PROFILE = "legacy"
    try:
        module = Twin(**copy.deepcopy(spec))
        params = only(spec["argument_spec"], module.params)
        return {"ok": True, "params": params, "warnings": [str(w) for w in ansible_warnings.get_warning_messages()]}
    except Failed as error:
        return {"ok": False, "error": str(error)}
    except Exception as error:  # a crash of AnsibleModule is a failure of the task
        return {"ok": False, "error": "%s: %s" % (type(error).__name__, error)}


def main():
    """Answer line by line."""
    specs = json.loads(sys.stdin.readline())
    for line in sys.stdin:
        case = json.loads(line)
        result = answer(specs[case["spec"]], case["args"])
        try:
            text = json.dumps(result, allow_nan=False)
        except (TypeError, ValueError) as error:
            if "float" in str(error):
                text = json.dumps({"ok": True, "infinite": True})
            else:  # an int of too many digits, or a tuple for a key
                text = json.dumps({"ok": False, "error": str(error)})
        print(text)


if __name__ == "__main__":
    main()
