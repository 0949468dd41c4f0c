// SPDX-License-Identifier: GPL-3.0-or-later

// Package naming computes what an application is called in every system, from
// its name and its env. The rule is a table (systems.yml here, a user's own by
// a conventions file): the name in production, the name in any other env, and
// what the system allows. A name that a system would refuse, cut or already has
// for itself is an error, and so are two instances that would share a name.
//
// It refuses to know whether anything of these names exists, and it talks to no
// system: the same input always gives the same output.
package naming
