// SPDX-License-Identifier: GPL-3.0-or-later

// Package embedded proves on a sandbox that the embedded Kubernetes
// survives kill -9 of any of its processes,
// a stop and start of any node, and a power cut of all nodes at once, with
// nothing lost that the API had acknowledged. `make test-embedded` runs it.
package embedded
