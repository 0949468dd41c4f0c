// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"context"
	"strings"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// word matches what could be a host name or an address in a text.
var word = lazyregexp.New(`[0-9A-Za-z_.:\[\]-]+`)

// Mentions returns refusals for production in a text, such as a variable's value
// or an inventory: addresses in any spelling, and names that the manifest lists.
// It resolves nothing, so a text without a mention may still refer to production.
func (c Checker) Mentions(ctx context.Context, text, from string) []Decision {
	var found []Decision
	seen := map[string]bool{}
	try := func(candidate string) {
		if candidate == "" || seen[candidate] {
			return
		}
		seen[candidate] = true
		if _, ok := canonical(candidate); ok {
			d := c.Decide(ctx, Target{Kind: Address, Value: candidate, From: from})
			if !d.Allowed && d.Rule != nil {
				found = append(found, d)
			}
			return
		}
		name := strings.TrimSuffix(strings.ToLower(candidate), ".")
		for _, rule := range c.Manifest.Production.Names {
			if rule.matches(name) {
				d := Decision{Kind: Host, Target: candidate, From: from, Canonical: name, Addresses: []string{}, Resolved: []Answer{}}
				d.refuse(&rule.Rule, "its name is production")
				found = append(found, d)
				return
			}
		}
	}
	for _, candidate := range word.FindAllString(text, -1) {
		candidate = strings.Trim(candidate, "-")
		try(strings.Trim(candidate, "[]"))
		try(strings.TrimRight(candidate, ".:"))
		if at := strings.LastIndexByte(candidate, ':'); at > 0 {
			try(strings.Trim(candidate[:at], "[]"))
			try(candidate[at+1:])
		}
		if at := strings.IndexByte(candidate, ':'); at > 0 {
			try(candidate[:at])
		}
	}
	return found
}
