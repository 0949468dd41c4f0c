// SPDX-License-Identifier: GPL-3.0-or-later

// Package promotion checks whether a range of commits may reach production: it
// lists the touched files and their classes of change, what the policy requires
// for each class, and whether the ledger holds that for exactly the tree that
// would run. It writes the grant that an override may require, and runs
// production's playbook from that tree.
//
// What it cannot read or does not know is a finding. It reads commits and trees
// by their hashes, never the working tree, the index or HEAD.
package promotion
