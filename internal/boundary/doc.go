// SPDX-License-Identifier: GPL-3.0-or-later

// Package boundary decides whether a target is inside the sandbox. It reads the
// boundary manifest, which lists production and sandbox, and every spelling of an
// address that the system's resolver accepts. It connects to the resolver only.
//
// The rule is allow first: a target is allowed only if the manifest lists every
// address that it resolves to as sandbox. Production entries can only refuse
// further. What is unknown, unresolvable or unreadable is refused.
package boundary
