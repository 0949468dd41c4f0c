// SPDX-License-Identifier: GPL-3.0-or-later

// Package oneline converts any text to one line of limited length, for messages.
package oneline

import "strings"

// Join returns text with every run of white space, including line ends, replaced by one space.
func Join(text string) string { return strings.Join(strings.Fields(text), " ") }

// Cut returns text, or its first bytes up to most and "…".
func Cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
