// SPDX-License-Identifier: GPL-3.0-or-later

// Package boundary decides whether a target belongs to the sandbox. It knows
// the boundary manifest (what is production, what is sandbox), every spelling
// of an address that the system's resolver accepts, and how to explain a
// decision. It does not know who asks, and it connects to nothing.
//
// The rule is allow first: a target is allowed only if the manifest says that
// every address it resolves to is sandbox. Production entries can only refuse
// further. What is unknown, cannot be resolved or cannot be read is refused.
package boundary
