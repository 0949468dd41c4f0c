// SPDX-License-Identifier: GPL-3.0-or-later

package nftrules

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
)

// Network is the network of a sandbox, as the host of its engine has it.
type Network struct {
	Table  string // name for the table of rules
	Bridge string // interface
}

// Outside returns the rules for the host of the engine: what comes in from the
// sandbox's network reaches that network and what the manifest lists under
// sandbox.outside, and nothing else, on the host itself neither. Replies to what
// came from elsewhere, such as the controller, pass.
func Outside(ctx context.Context, manifest *boundary.Manifest, n Network, lookup func(ctx context.Context, name string) []netip.Addr) string {
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	line("table inet %s {}", n.Table)
	line("delete table inet %s", n.Table)
	line("table inet %s {", n.Table)
	line("    counter refused { }")
	// Reject, so that no client waits for a timeout.
	line("    chain refuse {")
	line("        meta l4proto tcp counter name refused reject with tcp reset")
	line("        counter name refused reject with icmpx admin-prohibited")
	line("    }")
	line("    chain leaving {")
	line("        ct state established,related accept")
	line("        oifname %q accept", n.Bridge)
	for _, rule := range manifest.Production.Addresses {
		line("        %s daddr %s goto refuse", family(rule.Range), element(rule.Range))
	}
	for _, rule := range manifest.Sandbox.Outside {
		for _, r := range ranges(ctx, rule, lookup) {
			line("        %s daddr %s meta l4proto { tcp, udp } th dport %d accept", family(r), element(r), rule.Port)
		}
	}
	line("        goto refuse")
	line("    }")
	for _, hook := range []string{"forward", "input"} {
		line("    chain %s {", hook)
		line("        type filter hook %s priority -10; policy accept;", hook)
		line("        iifname %q jump leaving", n.Bridge)
		line("    }")
	}
	line("}")
	return out.String()
}

// OutsideNames returns the names of sandbox.outside with their addresses: a node
// asks no name server outside of the sandbox.
func OutsideNames(ctx context.Context, manifest *boundary.Manifest, lookup func(ctx context.Context, name string) []netip.Addr) map[string][]netip.Addr {
	names := map[string][]netip.Addr{}
	for _, rule := range manifest.Sandbox.Outside {
		if rule.Name == "" || names[rule.Name] != nil {
			continue
		}
		for _, address := range lookup(ctx, rule.Name) {
			if plain := address.Unmap(); !slices.Contains(names[rule.Name], plain) {
				names[rule.Name] = append(names[rule.Name], plain)
			}
		}
	}
	return names
}

// outsideHosts returns OutsideNames as lines for /etc/hosts.
func outsideHosts(names map[string][]netip.Addr) string {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(names)) {
		for _, address := range names[name] {
			fmt.Fprintf(&out, "%s %s\n", address, name)
		}
	}
	return out.String()
}

func ranges(ctx context.Context, rule boundary.EndpointRule, lookup func(ctx context.Context, name string) []netip.Addr) []boundary.Range {
	if rule.Name == "" {
		return []boundary.Range{rule.Range}
	}
	return single(lookup(ctx, rule.Name))
}
