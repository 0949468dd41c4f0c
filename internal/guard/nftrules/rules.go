// SPDX-License-Identifier: GPL-3.0-or-later

package nftrules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// portRule holds one port of some addresses.
type portRule struct {
	text   string // the host as the manifest has it
	ranges []boundary.Range
	port   uint16
}

// family returns nftables' word for the addresses of a range.
func family(r boundary.Range) string {
	if r.First.Is4() {
		return "ip"
	}
	return "ip6"
}

// private are the networks that may be production's home, router or storage, or
// a cloud's metadata, whatever the manifest lists.
var private = map[string]string{"ip": "10.0.0.0/8, 100.64.0.0/10, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16", "ip6": "fc00::/7"}

// rules returns the ruleset. Loading it again replaces it. networks are the
// private networks that stay open, allowed the ports that do.
func rules(t *targets, ports []portRule, networks []boundary.Range, allowed []portRule) string {
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	elements := map[string][]string{}
	slices.SortFunc(t.ranges, func(a, b boundary.Range) int { return cmp.Or(a.First.Compare(b.First), a.Last.Compare(b.Last)) })
	for _, r := range slices.Compact(t.ranges) {
		elements[family(r)] = append(elements[family(r)], element(r))
	}
	line("# Drops and counts what leaves this node, its containers and its pods for production or a private network of others.")
	line("# Rendered from the boundary manifest by the role node_fence: changes here are lost.")
	line("table inet arcodange_fence {}")
	line("delete table inet arcodange_fence")
	line("table inet arcodange_fence {")
	for _, set := range []struct{ family, kind string }{{"ip", "ipv4_addr"}, {"ip6", "ipv6_addr"}} {
		if len(elements[set.family]) > 0 {
			line("    set production_%s {", set.family)
			line("        type %s", set.kind)
			line("        flags interval")
			line("        auto-merge")
			line("        elements = { %s }", strings.Join(elements[set.family], ", "))
			line("    }")
		}
	}
	line("    counter held { }")
	line("    counter asked { }")
	line("    chain leaving {")
	line("        type filter hook postrouting priority 300; policy accept;")
	for _, family := range []string{"ip", "ip6"} {
		if len(elements[family]) > 0 {
			line("        %[1]s daddr @production_%[1]s counter name held drop", family)
		}
	}
	for _, rule := range ports {
		line("        # %s port %d", rule.text, rule.port)
		for _, r := range rule.ranges {
			line("        %s daddr %s meta l4proto { tcp, udp } th dport %d counter name held drop", family(r), element(r), rule.port)
		}
	}
	line("        # What stays on the node: loopback, containers and pods.")
	line("        oifname { \"lo\", \"docker0\", \"br-*\", \"cni*\", \"flannel*\", \"veth*\" } accept")
	for _, r := range networks {
		line("        %s daddr %s accept", family(r), element(r))
	}
	for _, rule := range allowed {
		line("        # %s port %d", rule.text, rule.port)
		for _, r := range rule.ranges {
			line("        %s daddr %s meta l4proto { tcp, udp } th dport %d accept", family(r), element(r), rule.port)
		}
	}
	for _, family := range []string{"ip", "ip6"} {
		line("        %s daddr { %s } counter name held drop", family, private[family])
	}
	line("    }")
	out.WriteString(queries(t.names))
	line("}")
	return out.String()
}

// Where the name of the first question lies in a message of DNS: behind a header
// of 12 bytes (RFC 1035 section 4.1.1), and in TCP behind two more (section 4.2.2).
const (
	udpName  = 12
	tcpName  = 14
	maxName  = 255 // section 2.3.4
	minLabel = 2   // its length and one character
)

var (
	plainName  = lazyregexp.New(`^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$`)
	belowNames = lazyregexp.New(`^\*(\.[a-z0-9_-]{1,63})+$`)
)

// queries returns the chains that reject queries for names, and for names below
// patterns of the form *.example.net; empty if there are none.
func queries(names []string) string {
	var exact, below strings.Builder
	for _, name := range sorted(names) {
		switch {
		case plainName.MatchString(name):
			fmt.Fprintf(&exact, "        # %s\n", name)
			fmt.Fprintf(&exact, "        meta l4proto udp %s\n", match(udpName, name))
			fmt.Fprintf(&exact, "        meta l4proto tcp %s\n", match(tcpName, name))
		case belowNames.MatchString(name):
			name = strings.TrimPrefix(name, "*.")
			fmt.Fprintf(&below, "        # *.%s, behind labels of any length\n", name)
			for at := udpName + minLabel; at <= udpName+maxName-len(name); at++ {
				protocol := ""
				if at < tcpName+minLabel {
					protocol = "meta l4proto udp "
				}
				fmt.Fprintf(&below, "        %s%s\n", protocol, match(at, name))
			}
		}
	}
	if exact.Len()+below.Len() == 0 {
		return ""
	}
	return "    # Unencrypted DNS queries for names of production.\n    chain names {\n" + exact.String() + below.String() + `    }
    # Before destination NAT: behind it, a query to Docker's or the cluster's own resolver has another port.
    chain asking {
        type filter hook output priority -310; policy accept;
        meta l4proto { tcp, udp } th dport 53 jump names
    }
    chain asking_through {
        type filter hook prerouting priority -310; policy accept;
        meta l4proto { tcp, udp } th dport 53 jump names
    }
`
}

// match returns the rule that rejects a message with this name at an offset of
// its payload, in small or capital letters. nftables compares 16 bytes at a time.
func match(offset int, name string) string {
	var value, mask []byte
	for label := range strings.SplitSeq(name, ".") {
		value, mask = append(value, byte(len(label))), append(mask, 0xff)
		for _, c := range []byte(label) {
			if c >= 'a' && c <= 'z' {
				value, mask = append(value, c-'a'+'A'), append(mask, 0xdf) // without the bit that tells them apart
			} else {
				value, mask = append(value, c), append(mask, 0xff)
			}
		}
	}
	value, mask = append(value, 0), append(mask, 0xff)
	var out strings.Builder
	for first := 0; first < len(value); first += 16 {
		last := min(first+16, len(value))
		fmt.Fprintf(&out, "@ih,%d,%d & 0x%x == 0x%x ", (offset+first)*8, (last-first)*8, mask[first:last], value[first:last])
	}
	return out.String() + "counter name asked reject"
}
