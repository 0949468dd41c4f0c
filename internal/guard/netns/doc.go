// SPDX-License-Identifier: GPL-3.0-or-later

// Package netns runs a command in a network of its own, in which there is
// nothing but the sandbox: a network namespace whose only device ends in this
// process, which answers what arrives there by connecting onwards itself, to
// allowed addresses and to nothing else. No rule set of the host is touched and
// no privilege on the host is needed, since the namespace belongs to a user
// namespace.
//
// It fences the network, not the machine: a Unix socket in the file system,
// such as a container engine's, reaches as far as whoever listens on it.
package netns
