#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Prints the path of a Python for the newest supported ansible-core
# (3.12 or newer): an installed one, the distribution's
# package, or one built from Debian's source package, whose signature
# apt checks. usage: python.sh CACHE_DIR
set -euo pipefail

cache=${1:?usage: python.sh CACHE_DIR}

good() {
    "$1" -c 'import sys, ctypes, ensurepip, lzma, sqlite3, ssl, venv; sys.exit(sys.version_info < (3, 12))' 2>/dev/null
}

find_one() {
    local candidate
    for candidate in "${PYTHON:-}" python3.14 python3.13 python3.12 python3 \
        "$HOME"/.pyenv/versions/3.1[2-9].*/bin/python3 "$cache"/python/*/bin/python3; do
        [ -n "$candidate" ] || continue
        candidate=$(command -v "$candidate" 2>/dev/null) || continue
        if good "$candidate"; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

find_one && exit 0

if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "python: ansible-core needs Python 3.12 or newer and none was found; install one (for example python3.13 and python3.13-venv), or name it in PYTHON" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
for version in 3.13 3.12 3.14; do
    if [ -n "$(apt-cache madison "python$version-venv" 2>/dev/null)" ]; then
        apt-get install -y -qq --no-install-recommends "python$version" "python$version-venv" >/dev/null
        find_one && exit 0
    fi
done

# Debian 12 ends at 3.11. Debian 13's source package builds there; apt checks
# its signature with the archive's keyring, as for any package.
echo "python: no Python 3.12 or newer as a package here; building Debian 13's python3.13 (about 4 minutes, once)" >&2
apt-get install -y -qq --no-install-recommends make gcc libc6-dev libssl-dev libffi-dev zlib1g-dev liblzma-dev libbz2-dev \
    libsqlite3-dev libreadline-dev xz-utils debian-archive-keyring >/dev/null
# shellcheck disable=SC2016 # the dollar is apt's, not the shell's
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
if [ -z "$mirror" ]; then
    echo "python: apt has no package source; repair its configuration and run apt-get update, or name a Python 3.12 in PYTHON" >&2
    exit 1
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/sandbox-python.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/source" "$work/build" "$cache/python"
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/sources.list"
chmod 755 "$work" # apt's own user reads there
private=(-o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$work/lists")
apt-get -qq "${private[@]}" update
(cd "$work/source" && apt-get -qq "${private[@]}" -o APT::Sandbox::User=root source --download-only python3.13 >/dev/null)
tar -xf "$work"/source/python3.13_*.orig.tar.* -C "$work/build" --strip-components=1
prefix="$cache/python/3.13"
(
    cd "$work/build"
    ./configure --prefix="$prefix" --quiet >/dev/null
    make -s -j"$(nproc)" >/dev/null 2>"$work/make.log" || { tail -n 5 "$work/make.log" >&2; exit 1; }
    # Into a directory beside it first: an installation cut short must not look whole.
    make -s install DESTDIR="$work/root" >/dev/null 2>&1
)
rm -rf "$prefix"
mv "$work/root$prefix" "$prefix"
find_one && exit 0
echo "python: the Python built in $prefix lacks a needed module; install libssl-dev libffi-dev liblzma-dev libsqlite3-dev, remove that directory and try again" >&2
exit 1
