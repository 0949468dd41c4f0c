// SPDX-License-Identifier: GPL-3.0-or-later

// Package promotion checks whether a range of commits may reach production: it
// lists the touched files, their classes of change, the policy's requirements
// for each class, and whether the ledger meets them for exactly the tree that
// would run. It writes the grant that an override may require, and runs
// production's playbook from that tree.
//
// Anything unreadable or unknown is a finding. It reads commits and trees
// by their hashes, never the working tree, the index or HEAD.
package promotion
