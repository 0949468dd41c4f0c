# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure what the callback gate_events adds to a play of 1,000 tasks that it watches.

Usage: gate_events.py [ROUNDS]

The tasks are the cheapest that Ansible has, which never leave the controller, so the share is the largest that it can be.
Runs with and without the callback alternate in pairs, the first of each pair too, so that both meet the same machine. Told are the
least of each, as noise only adds, and the median of the pairs with the span of them, which is the noise. The last line is the time
spent inside the callback itself, by its own clock.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

TASKS = 1000
CALLBACKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "plugins", "callback")

# Appended to a copy of the callback: counts the time spent in each of its methods that Ansible calls.
CLOCK = """

def _timed(method):
    def timed(self, *args, **kwargs):
        began = time.perf_counter()
        try:
            return method(self, *args, **kwargs)
        finally:
            self.spent = getattr(self, "spent", 0) + time.perf_counter() - began
    return timed

for _name in [name for name in vars(CallbackModule) if name.startswith("v2_") and name != "v2_playbook_on_stats"]:
    setattr(CallbackModule, _name, _timed(getattr(CallbackModule, _name)))

def _last(self, stats, told=CallbackModule.v2_playbook_on_stats):
    told(self, stats)
    with open(self.get_option("path") + ".spent", "w", encoding="utf-8") as out:
        out.write(str(self.spent))

CallbackModule.v2_playbook_on_stats = _last
"""


def measure(program, playbook, folder, events, callbacks=CALLBACKS):
    """Seconds, and seconds of processor, of one run."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    env["ANSIBLE_LOCALHOST_WARNING"] = env["ANSIBLE_INVENTORY_UNPARSED_WARNING"] = "False"
    if events:
        env["ANSIBLE_CALLBACKS_ENABLED"] = "gate_events"
        env["ANSIBLE_CALLBACK_PLUGINS"] = callbacks
        env["ARCODANGE_SANDBOX_EVENTS"] = events
    used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([program, "--check", "--diff", playbook], env=env, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    took, now = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if events:
        with open(events, encoding="utf-8") as lines:
            found = sum('"event":"result"' in line for line in lines)
        if found != TASKS:
            raise SystemExit("the events tell of %d results and must of %d" % (found, TASKS))
    return took, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    program = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    with tempfile.TemporaryDirectory() as folder:
        playbook = os.path.join(folder, "play.yml")
        with open(playbook, "w", encoding="utf-8") as text:
            text.write("- hosts: localhost\n  gather_facts: false\n  tasks:\n")
            for number in range(TASKS):
                text.write("    - name: Task %d\n      ansible.builtin.debug: {msg: hello}\n" % number)
        without, watched = [], []
        for number in range(rounds):
            pair = [(without, None), (watched, os.path.join(folder, "events.%d" % number))]
            for into, events in pair if number % 2 == 0 else reversed(pair):
                into.append(measure(program, playbook, folder, events))
        timed = os.path.join(folder, "callback")
        os.mkdir(timed)
        with open(os.path.join(CALLBACKS, "gate_events.py"), encoding="utf-8") as plain:
            source = plain.read()
        with open(os.path.join(timed, "gate_events.py"), "w", encoding="utf-8") as copy:
            copy.write(source + CLOCK)
        events = os.path.join(folder, "timed")
        took = measure(program, playbook, folder, events, timed)[0]
        with open(events + ".spent", encoding="utf-8") as text:
            spent = float(text.read())
    for column, what in enumerate(("wall clock", "processor")):
        a, b = min(run[column] for run in without), min(run[column] for run in watched)
        print("%-66s %12s  %s" % ("gate_events on 1,000 tasks, %s (%.2f s, watched %.2f s)" % (what, a, b), "%+.1f %%" % ((b / a - 1) * 100), "5 %"))
        pairs = sorted((watching[column] / plain[column] - 1) * 100 for plain, watching in zip(without, watched))
        print("%-66s %12s  %s" % ("  median of %d pairs (%+.1f to %+.1f %%)" % (len(pairs), pairs[0], pairs[-1]), "%+.1f %%" % statistics.median(pairs), "5 %"))
    print("%-66s %12s  %s" % ("gate_events on 1,000 tasks, inside it (%.3f s of %.2f s)" % (spent, took), "%.1f %%" % (spent / took * 100), "5 %"))


if __name__ == "__main__":
    main()
