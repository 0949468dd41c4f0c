// SPDX-License-Identifier: GPL-3.0-or-later

// Package prove runs the idempotence gate with prove against a
// sandbox: real machines, packages, units, containers and a cluster.
package prove
