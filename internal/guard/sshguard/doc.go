// SPDX-License-Identifier: GPL-3.0-or-later

// Package sshguard stands in for ssh, scp and sftp. It knows their command
// lines and configuration files, asks `ssh -G` what they really mean, has every
// address decided, and gives back the command line that can only reach what was
// decided. It does not know what is production, and it starts nothing but
// `ssh -G`: whoever calls it puts the real program in its own place.
//
// What the caller's command line and ssh's configuration say stays as it is,
// except for what could lead elsewhere or run something else on the way: see
// forced in plan.go for the list and the reasons.
package sshguard
