#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installs the Debian packages that the project's own commands need, and only
# those that are missing: a second run sends no request. Further
# pairs, for single tests, are arguments.
set -euo pipefail

if ! command -v apt-get >/dev/null; then
    missing=()
    for program in docker ssh-keygen; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    [ ${#missing[@]} -eq 0 ] && exit 0
    echo "setup: this machine has no apt-get, and these programs are missing: ${missing[*]}; install them, then run the command again" >&2
    exit 1
fi

# package:program pairs. A program that exists already, from any source, is used.
wanted=(
    ca-certificates:update-ca-certificates
    curl:curl
    docker.io:dockerd
    gcc:gcc
    git:git
    iproute2:ip
    iptables:iptables
    mmdebstrap:mmdebstrap
    nftables:nft
    openssh-client:ssh-keygen
    openssh-server:sshd
    postgresql:psql
    procps:pkill
    python3:python3
    rsync:rsync
    sshpass:sshpass
    sudo:sudo
    shellcheck:shellcheck
    xz-utils:xz
    "$@"
)
missing=()
for pair in "${wanted[@]}"; do
    program=${pair#*:}
    command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || [ -x "/sbin/$program" ] || missing+=("${pair%%:*}")
done
[ -f /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
[ -f /usr/include/stdlib.h ] || missing+=(libc6-dev)
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "setup: these packages are missing: ${missing[*]}; as root run: apt-get install ${missing[*]}" >&2
    exit 1
fi
echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
