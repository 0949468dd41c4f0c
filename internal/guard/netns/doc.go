// SPDX-License-Identifier: GPL-3.0-or-later

// Package netns runs a command in a network namespace that reaches the sandbox
// only. The namespace's one device ends in this process, which relays connections
// to allowed addresses. It changes no rules of the host and needs no privilege,
// since the namespace belongs to a user namespace.
//
// It does not restrict Unix sockets in the file system, such as that of Docker:
// the process that listens on one is outside.
package netns
