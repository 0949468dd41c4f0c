#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs a long test unless it has passed before with the same content: that of
# the named files of this checkout, the versions of the programs that the test
# uses, and the command. FORCE=1 always runs it.
# usage: once.sh CACHE NAME PATH... -- COMMAND...
set -euo pipefail

cache=$1 name=$2
shift 2
paths=()
while [ "$1" != -- ]; do
    paths+=("$1")
    shift
done
shift

key=$({
    git ls-files -z --cached --others --exclude-standard -- "${paths[@]}" | LC_ALL=C sort -z |
        while IFS= read -r -d '' file; do [ ! -f "$file" ] || sha256sum "$file"; done
    uname -srm
    ssh -V 2>&1 || true
    docker version --format '{{.Server.Version}}' 2>/dev/null || true
    ansible --version 2>/dev/null | head -n 1 || true
    printf '%s\n' "$*"
} | sha256sum | cut -c1-24)
stamp=$cache/passed/$name-$key
if [ -e "$stamp" ] && [ -z "${FORCE:-}" ]; then
    echo "$name: passed on this very content on $(cat "$stamp"); FORCE=1 runs it again"
    exit 0
fi
"$@"
mkdir -p "$(dirname "$stamp")"
date -u +%FT%TZ >"$stamp"
