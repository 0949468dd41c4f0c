#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Written by the role arcodange.sandbox.k3s. Ends k3s with all of its pods, and removes what they leave in the kernel:
# mounts, network devices, routes and firewall rules. Data stays; the services start again as before.
[ "$(id -u)" -eq 0 ] || exec sudo "$0" "$@"

for unit in /etc/systemd/system/k3s*.service; do
    if [ -e "$unit" ]; then systemctl stop "$(basename "$unit")"; fi
done

# The shims of k3s's containerd, and all that runs below them. Other containers of this machine have another address.
children() {
    for pid in "$@"; do
        echo "$pid"
        # shellcheck disable=SC2046
        children $(cat "/proc/$pid/task"/*/children 2>/dev/null)
    done
}
shims=$(ps -e -o pid= -o args= | awk '/[c]ontainerd-shim/ && index($0, "/run/k3s/containerd/") { print $1 }')
# shellcheck disable=SC2046,SC2086
kill -9 $(children $shims) 2>/dev/null

below() {
    # The deepest first: a mount cannot go before what is mounted in it.
    awk -v top="$1" 'index($2, top) == 1 { print $2 }' /proc/self/mounts | sort -r | while read -r mount; do
        umount "$mount" 2>/dev/null || umount -l "$mount"
    done
}
for top in /run/k3s/ /var/lib/rancher/k3s/ /var/lib/kubelet/pods/ /var/lib/kubelet/plugins/ /run/netns/cni-; do below "$top"; done
rm -rf /run/k3s /run/netns/cni-*

ip link show master cni0 2>/dev/null | awk -F'[ :@]+' '/veth/ { print $2 }' | while read -r device; do ip link delete "$device"; done
for device in cni0 flannel.1 flannel-wg kube-ipvs0; do ip link delete "$device" 2>/dev/null; done
ip route show proto 199 2>/dev/null | while read -r route _; do ip route delete "$route" proto 199; done
rm -rf /var/lib/cni

for tables in iptables ip6tables; do
    command -v $tables-save >/dev/null || continue
    $tables-save 2>/dev/null | grep -v -e KUBE- -e CNI- -e 'k3s pods' -e cali- -e flannel | $tables-restore 2>/dev/null
done
exit 0
