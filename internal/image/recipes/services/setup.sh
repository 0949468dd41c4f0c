#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs inside the image's root file system, last, after packages and files.
set -eu
rm -f /etc/chrony/chrony.conf
