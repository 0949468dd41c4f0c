#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs galaxy-importer on the artifact, as Galaxy does on upload, without a
# network. Errors fail; so do warnings that are not listed here with a reason.
# usage: check.sh ARTIFACT
set -euo pipefail

artifact=$(realpath "$1")
work=$(mktemp -d "${TMPDIR:-/tmp}/sandbox-importer.XXXXXX")
trap 'rm -rf "$work"' EXIT
cat >"$work/galaxy-importer.cfg" <<'CFG'
[galaxy-importer]
RUN_ANSIBLE_DOC=True
RUN_ANSIBLE_LINT=False
RUN_ANSIBLE_TEST=False
CHECK_REQUIRED_TAGS=True
CFG
export GALAXY_IMPORTER_CONFIG=$work/galaxy-importer.cfg ANSIBLE_CONFIG=$work/ansible.cfg
: >"$ANSIBLE_CONFIG"
cd "$work"
if ! python3 -m galaxy_importer.main "$artifact" >"$work/log" 2>&1; then
    cat "$work/log" >&2
    exit 1
fi
if grep -E '^(ERROR|WARNING)' "$work/log" | grep -vE 'ansible-lint|ansible-test' >"$work/bad"; then
    cat "$work/bad" >&2
    exit 1
fi
echo "collection-check: galaxy-importer accepts $(basename "$artifact")"
