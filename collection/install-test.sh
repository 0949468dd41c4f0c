#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installs the artifact into an empty directory without a network, reads all
# documentation with ansible-doc without a warning, and runs the collection's
# playbook from there, without the checkout.
# usage: install-test.sh ARTIFACT
set -euo pipefail

artifact=$(realpath "$1")
limit=$((20 * 1024 * 1024)) # Galaxy's
kit_limit=$((6 * 1024 * 1024))
fail() { echo "install-test: $*" >&2; exit 1; }

size=$(stat -c %s "$artifact")
[ "$size" -le "$limit" ] || fail "the artifact has $size bytes; Galaxy takes $limit"

work=$(mktemp -d "${TMPDIR:-/tmp}/sandbox-install.XXXXXX")
trap 'rm -rf "$work"' EXIT
export HOME=$work/home ANSIBLE_CONFIG=$work/ansible.cfg XDG_CACHE_HOME=$work/cache XDG_STATE_HOME=$work/state
unset ANSIBLE_COLLECTIONS_PATH ANSIBLE_INVENTORY
mkdir -p "$HOME" "$work/empty"
: >"$ANSIBLE_CONFIG"
cd "$work/empty"

export ANSIBLE_COLLECTIONS_PATH=$work/collections
# The package `ansible` contains the dependencies; --offline avoids requests to Galaxy.
ansible-galaxy collection install --offline --no-deps -p "$work/collections" "$artifact" >/dev/null
installed=$work/collections/ansible_collections/arcodange/sandbox
python3 - "$installed/MANIFEST.json" <<'PY'
import json, sys
from importlib import metadata, util
import os
root = os.path.join(os.path.dirname(os.path.dirname(util.find_spec("ansible").origin)), "ansible_collections")
for name in json.load(open(sys.argv[1]))["collection_info"]["dependencies"]:
    path = os.path.join(root, *name.split("."), "MANIFEST.json")
    if not os.path.exists(path):
        sys.exit("install-test: the package ansible %s has no %s, which the artifact depends on" % (metadata.version("ansible"), name))
PY

stray=$(find "$installed/plugins/bin" -mindepth 1 ! -name 'controller_*.xz' ! -name SHA256SUMS)
[ -z "$stray" ] || fail "the artifact carries what it should not: $stray"
for kit in "$installed"/plugins/modules/__target_*; do
    [ "$(stat -c %s "$kit")" -le "$kit_limit" ] || fail "$(basename "$kit") is larger than $kit_limit bytes"
    [ -x "$kit" ] || fail "$(basename "$kit") lost its mode on the way"
done

quietly() {
    local out
    out=$("$@" 2>&1 >"$work/out") || fail "$* failed: $out"
    # ansible-core warns about one of its own packages whenever it documents a role.
    out=$(grep -v "ansible/_internal/ansible_collections/ansible/_protomatter" <<<"$out" || true)
    [ -z "$out" ] || fail "$* warns: $out"
}
for type in module inventory filter lookup connection vars role; do
    quietly ansible-doc -t "$type" -l arcodange.sandbox
    found=$(awk '/^arcodange\.sandbox\./ {sub(/:$/, "", $1); print $1}' "$work/out" | sort -u)
    for name in $found; do
        quietly ansible-doc -t "$type" "$name"
        [ -s "$work/out" ] || fail "ansible-doc -t $type $name says nothing"
    done
    case $type in
    module) dir=plugins/modules ;;
    role) dir=roles ;;
    *) dir=plugins/$type ;;
    esac
    [ -d "$installed/$dir" ] || continue
    want=$(find "$installed/$dir" -mindepth 1 -maxdepth 1 ! -name '_*' | wc -l)
    got=$(echo "$found" | grep -c . || true)
    [ "$got" -eq "$want" ] || fail "ansible-doc lists $got of $want ${type}s"
done

# The playbook runs from there and passes its guard; check mode makes no machine.
ansible-playbook -i "$installed/inventory/sandbox" arcodange.sandbox.site --check --tags always >"$work/out" 2>&1 ||
    fail "arcodange.sandbox.site does not run: $(tail -n 5 "$work/out")"
grep -q 'failed=0' "$work/out" || fail "arcodange.sandbox.site ran nothing"
# Its guard works: a production address is refused.
if ansible-playbook -i "$installed/inventory/sandbox" arcodange.sandbox.site --check --tags always -e ansible_host=192.168.1.201 >"$work/out" 2>&1; then
    fail "arcodange.sandbox.site let a production address pass"
fi
grep -q 'which is production' "$work/out" || fail "the guard did not say why: $(tail -n 5 "$work/out")"
echo "install-test: $(basename "$artifact"), $((size / 1024)) KiB, is installed, documented and runs"
