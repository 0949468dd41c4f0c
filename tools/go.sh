#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Prints the path of a Go command that can build the project: 1.21 or newer is
# enough, since it downloads the toolchain that go.mod requires.
set -euo pipefail

good() {
    local version
    version=$("$1" env GOVERSION 2>/dev/null) || return 1
    version=${version#go1.}
    version=${version%%.*}
    [ "${version%%[!0-9]*}" -ge 21 ] 2>/dev/null
}

find_one() {
    local candidate
    for candidate in "${GO:-}" go /usr/local/go/bin/go /usr/lib/go-1.2[1-9]/bin/go /opt/homebrew/bin/go; do
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
if command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC1091 # the machine names its own release there
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    # Debian 12's own Go is too old; its backports have a newer one.
    if [ "$codename" = bookworm ] && ! apt-cache madison golang-1.24-go 2>/dev/null | grep -q .; then
        # shellcheck disable=SC2016 # the dollar is apt's, not the shell's
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm-backports main" \
            >/etc/apt/sources.list.d/sandbox-backports.list
        apt-get update -qq
    fi
    for package in golang-1.25-go golang-1.24-go golang-1.23-go golang-1.22-go golang-go; do
        apt-cache madison "$package" 2>/dev/null | grep -q . || continue
        apt-get install -y -qq --no-install-recommends "$package" >/dev/null
        find_one && exit 0
    done
fi
echo "go: Go 1.21 or newer is needed and none was found; install it, or name it in GO" >&2
exit 1
