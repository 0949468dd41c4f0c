#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Written by the role arcodange.sandbox.k3s. Ends k3s and removes it from this machine, with all data of the cluster that
# is on it. The name of this file tells which service: k3s-uninstall.sh or k3s-agent-uninstall.sh.
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"
set -x

unit=$(basename "$0" -uninstall.sh)
/usr/local/bin/k3s-killall.sh
systemctl disable "$unit"
rm -rf "/etc/systemd/system/$unit.service" "/etc/systemd/system/$unit.service.d" "/etc/systemd/system/$unit.service.env" \
    "/etc/default/$unit" "/etc/sysconfig/$unit"
systemctl daemon-reload
systemctl reset-failed "$unit" 2>/dev/null
for name in kubectl crictl ctr; do
    # Another program of that name is not k3s's.
    if [ "$(readlink "/usr/local/bin/$name")" = k3s ]; then rm -f "/usr/local/bin/$name"; fi
done
rm -rf /etc/rancher/k3s /run/k3s /run/flannel /var/lib/rancher/k3s /var/lib/kubelet
rm -f /usr/local/bin/k3s /usr/local/bin/k3s-killall.sh "/usr/local/bin/$unit-uninstall.sh"
exit 0
