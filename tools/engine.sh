#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Ensures that a Docker engine answers: a running one, the service of this
# machine, or (without a service manager, as in a container or
# a small virtual machine) a dockerd started here.
set -euo pipefail

answers() { docker info >/dev/null 2>&1; }

answers && exit 0

if [ -n "${DOCKER_HOST:-}" ]; then
    echo "engine: DOCKER_HOST=$DOCKER_HOST does not answer; unset it to use this machine's own engine" >&2
    exit 1
fi
if [ "$(uname -s)" = Darwin ]; then
    echo "engine: no Docker engine answers; start Docker Desktop, Colima or OrbStack, then run the command again" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    if [ -S /var/run/docker.sock ]; then
        echo "engine: $(id -un) may not talk to the Docker engine; as root run: usermod -aG docker $(id -un), then log in again" >&2
    else
        echo "engine: no Docker engine runs here and only root can start one; as root run: make engine" >&2
    fi
    exit 1
fi

if [ -d /run/systemd/system ]; then
    systemctl start docker
else
    log=/var/log/dockerd-sandbox.log
    # A pid file that a killed engine left behind would stop the new one.
    if [ -f /var/run/docker.pid ] && ! kill -0 "$(cat /var/run/docker.pid)" 2>/dev/null; then
        rm -f /var/run/docker.pid
    fi
    setsid nohup dockerd >"$log" 2>&1 </dev/null &
fi
for _ in $(seq 1 120); do
    answers && exit 0
    sleep 0.5
done
echo "engine: dockerd did not answer within 60 s; its last words: $(tail -n 1 "${log:-/dev/null}" 2>/dev/null)" >&2
exit 1
