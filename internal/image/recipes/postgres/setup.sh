#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs inside the image's root file system, last, after packages and files.
set -eu
chmod 0755 /usr/local/bin/docker-entrypoint.sh
# The cluster that Debian's package makes is not ours.
rm -rf /var/lib/postgresql/17 /etc/postgresql/17
install -d -m 0700 -o postgres -g postgres /var/lib/postgresql/data
install -d -m 2775 -o postgres -g postgres /var/run/postgresql
install -d -m 0755 /docker-entrypoint-initdb.d
# Sockets where every client looks first, and a preloaded cluster never again.
printf '%s\n' 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
