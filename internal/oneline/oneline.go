// SPDX-License-Identifier: GPL-3.0-or-later

// Package oneline fits text of any origin into a message of one line.
package oneline

import "strings"

// Join returns text with every run of white space, line ends among it, as one space.
func Join(text string) string { return strings.Join(strings.Fields(text), " ") }

// Cut returns text, or its first bytes up to most and "…".
func Cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
