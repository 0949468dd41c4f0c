#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs ansible-test sanity on the artifact's files, without Docker. Its
# environments are kept in CACHE.
# usage: sanity.sh CACHE [ARGUMENT...]
set -euo pipefail

cache=$1/ansible-test
shift
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/sandbox-sanity.XXXXXX")
trap 'rm -rf "$work"' EXIT
tree=$work/ansible_collections/arcodange/sandbox
mkdir -p "$tree"
(cd "$root" && git ls-files -z --cached --others --exclude-standard -- CHANGELOG.md LICENSE README.md galaxy.yml meta plugins roles playbooks \
    changelogs tests/sanity |
    while IFS= read -r -d '' file; do [ -f "$file" ] && printf '%s\0' "$file"; done |
    tar --null -T - -cf -) | tar -xf - -C "$tree"

# ansible-test would download pip from its site; use this Python's instead.
version=$(python3 -c 'import pathlib, re, ansible_test
print(re.search(r"pip=\W([0-9.]+)", (pathlib.Path(ansible_test.__path__[0]) / "_internal/python_requirements.py").read_text()).group(1))')
mkdir -p "$cache/.ansible/test/cache"
printf 'import ensurepip\n\nensurepip.bootstrap()\n' >"$cache/.ansible/test/cache/get_pip_${version//./_}.py"
for file in .config/pip/pip.conf .pip/pip.conf; do # the user's settings, such as a mirror
    [ ! -f "$HOME/$file" ] || install -D -m 600 "$HOME/$file" "$cache/$file"
done

cd "$tree"
HOME=$cache ansible-test sanity --python "$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')" --requirements --color no "$@" >"$work/log" 2>&1 || {
    grep -vE '^( |Collecting|Downloading|Installing|Looking|Processing|Successfully|Using|WARNING: Using locale)' "$work/log" >&2
    exit 1
}
echo "collection-sanity: $(grep -c '^Running sanity test' "$work/log") tests of ansible-test pass"
