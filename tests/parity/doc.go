// SPDX-License-Identifier: GPL-3.0-or-later

// Package parity holds the parity gate to a real sandbox of three nodes: each
// drift that is brought about is named, and nothing else is. `make test-parity`
// runs it.
package parity
