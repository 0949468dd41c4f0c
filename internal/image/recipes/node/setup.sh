#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Runs inside the image's root file system, last, after packages and files.
set -eu

# Identity belongs to a node, never to the image.
rm -f /etc/ssh/ssh_host_*
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id

# Units that make no sense in a container, would reach for the host's devices,
# or only cost time at boot. A mask is a link to /dev/null.
for unit in \
	systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket \
	systemd-udev-trigger.service systemd-udev-settle.service systemd-udev-load-credentials.service \
	systemd-modules-load.service systemd-remount-fs.service systemd-firstboot.service \
	systemd-pstore.service systemd-binfmt.service systemd-homed.service \
	systemd-hwdb-update.service systemd-network-generator.service systemd-random-seed.service \
	systemd-tmpfiles-setup-dev-early.service systemd-tmpfiles-setup-dev.service \
	kmod-static-nodes.service sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
	sys-fs-fuse-connections.mount dev-hugepages.mount dev-mqueue.mount proc-sys-fs-binfmt_misc.automount \
	keyboard-setup.service console-setup.service getty.target console-getty.service getty@tty1.service getty-static.service \
	apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
	e2scrub_all.timer e2scrub_reap.service \
	rpcbind.service rpcbind.socket nfs-blkmap.service rpc-statd-notify.service auth-rpcgss-module.service \
	nfs-client.target run-rpc_pipefs.mount proc-fs-nfsd.mount; do
	ln -sf /dev/null "/etc/systemd/system/$unit"
done
# Installed but not started: the roles start what their node needs.
systemctl disable containerd.service docker.service docker.socket open-iscsi.service iscsid.socket nftables.service \
	avahi-daemon.service avahi-daemon.socket udisks2.service
systemctl enable ssh.service sandbox-hardware.service
systemctl set-default multi-user.target
# Host keys come from the driver; Debian's generator would make keys that are not in known_hosts.
ln -sf /dev/null /etc/systemd/system/sshd-keygen.service
# Logins are allowed as soon as sshd listens.
ln -sf /dev/null /etc/tmpfiles.d/systemd-nologin.conf

for name in swapon swapoff; do
	dpkg-divert --quiet --local --rename --divert "/usr/sbin/$name.distrib" --add "/usr/sbin/$name"
	ln -s /usr/local/sbin/sandbox-swap "/usr/sbin/$name"
done

# Groups of Raspberry Pi OS that no package of Debian's makes.
for group in gpio i2c input netdev render spi; do
	getent group "$group" >/dev/null || groupadd --system "$group"
done
install -d -m 0755 /etc/arcodange-sandbox
echo pi >/etc/arcodange-sandbox/user
/usr/local/sbin/sandbox-seed
rm /etc/arcodange-sandbox/user
