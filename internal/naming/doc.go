// SPDX-License-Identifier: GPL-3.0-or-later

// Package naming computes the names of an application in every system, from
// its name and its env. A table (systems.yml, changed by a conventions file) has,
// for each system, the name in production, the name in any other env, and
// the rules for names. A name that a system would refuse, truncate or reserve
// is an error, and so are two instances that would share a name.
//
// The package connects to no system: the same input always gives the same output.
package naming
