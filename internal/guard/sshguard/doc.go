// SPDX-License-Identifier: GPL-3.0-or-later

// Package sshguard wraps ssh, scp and sftp. It reads their command lines and
// configuration files, resolves them with `ssh -G`, has a Decider check every
// host, and returns a command line that can only reach the checked addresses.
// It does not know what is production, and runs nothing but `ssh -G`; the
// caller execs the real program.
//
// Settings of the caller and of ssh's configuration are kept, except for those
// that could connect to another host or run another program: see forced in plan.go.
package sshguard
