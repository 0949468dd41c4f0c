// SPDX-License-Identifier: GPL-3.0-or-later

// Package drift holds the bring-up to its promise: whatever somebody changed on
// the machines, in the cluster or in the database by hand, `--check` names it
// without failing, `site.yml` repairs it, and a further run finds nothing.
package drift
