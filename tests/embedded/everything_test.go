// SPDX-License-Identifier: GPL-3.0-or-later

//go:build engine && acceptance

package embedded

// everything tells that there is time for all behaviours and clients.
const everything = true
