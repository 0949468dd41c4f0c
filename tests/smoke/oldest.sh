#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A short play on the oldest supported ansible-core: the modules of both kits,
# check mode, diff, the documentation, and the idempotence gate. Collections of others come from the
# newest environment's package `ansible`.
# usage: oldest.sh VENV_OLDEST VENV
set -euo pipefail

oldest=$1
site=$(ls -d "$2"/lib/python3*/site-packages)
export PATH=$oldest/bin:$PATH
export ANSIBLE_COLLECTIONS_PATH=$PWD/.ansible/collections:$site
work=$(mktemp -d "${TMPDIR:-/tmp}/sandbox-smoke.XXXXXX")
trap 'rm -rf "$work"' EXIT
export XDG_STATE_HOME=$work/state
export ANSIBLE_STDOUT_CALLBACK=ansible.builtin.default # whose [WARNING] is looked for

ansible --version | head -n 1
for python in "$oldest/bin/python" "$2/bin/python"; do
    "$python" tests/smoke/options.py
done
ansible-doc arcodange.sandbox.sandbox_vm >"$work/doc" 2>"$work/warnings"
[ ! -s "$work/warnings" ] || { cat "$work/warnings" >&2; exit 1; }
ansible-playbook -i inventory/sandbox tests/smoke/play.yml --diff >"$work/out" 2>&1 || { cat "$work/out" >&2; exit 1; }
ansible-playbook -i inventory/sandbox tests/smoke/gate.yml >"$work/gate" 2>&1 || { cat "$work/gate" >&2; exit 1; }
cat "$work/gate" >>"$work/out"
# What the host cannot grant is said on purpose; every other warning is a defect.
if grep -E 'DEPRECATION|\[WARNING\]' "$work/out" | grep -v 'cannot grant'; then
    echo "smoke-oldest: the play warns" >&2
    exit 1
fi
echo "smoke-oldest: ok"
