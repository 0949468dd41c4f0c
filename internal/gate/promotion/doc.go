// SPDX-License-Identifier: GPL-3.0-or-later

// Package promotion tells whether a range of commits may reach production: it
// lists what was touched, which classes of change that is, what a policy wants
// of each, and whether the ledger of evidence holds that for exactly the tree
// that would run. It writes the grant that an override can ask for, and runs
// production's playbook out of the tree that was judged.
//
// Whatever it cannot read, does not know or did not see is red. It reads
// commits and trees by their hashes, never the working tree, the index or HEAD,
// and knows nothing of what gates judge, and of Ansible's protocol.
package promotion
