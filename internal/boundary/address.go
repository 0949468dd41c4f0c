// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// canonical returns the address for text in any spelling that
// getaddrinfo takes as a number: dotted with one to four parts in decimal,
// octal (leading 0) or hexadecimal (leading 0x) as inet_aton(3) has it, IPv6
// with or without brackets and zone. ok is false when text is a name.
//
// Addresses that carry an IPv4 address inside (v4-mapped, v4-compatible,
// NAT64 of RFC 6052, 6to4 of RFC 3056) are returned unchanged; see Embedded.
func canonical(text string) (address netip.Addr, ok bool) {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	if address, ok := inetAton(text); ok {
		return address, true
	}
	parsed, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, false
	}
	return parsed.WithZone("").Unmap(), true
}

// inetAton reads one to four parts; the last one fills what the others leave.
func inetAton(text string) (netip.Addr, bool) {
	parts := strings.Split(text, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var value uint64
	for i, part := range parts {
		number, ok := atonPart(part)
		last := i == len(parts)-1
		if !ok || !last && number > 255 || last && number >= 1<<(8*(5-len(parts))) {
			return netip.Addr{}, false
		}
		if last {
			value |= number
		} else {
			value |= number << (8 * (3 - i))
		}
	}
	return netip.AddrFrom4([4]byte{byte(value >> 24), byte(value >> 16), byte(value >> 8), byte(value)}), true
}

// atonPart reads a part as strtoul(3) with base 0 does, without sign or blank.
func atonPart(part string) (uint64, bool) {
	base := 10
	switch {
	case len(part) > 1 && (part[:2] == "0x" || part[:2] == "0X"):
		base, part = 16, part[2:]
		if part == "" {
			return 0, true // glibc reads a bare 0x as zero
		}
	case len(part) > 1 && part[0] == '0':
		base, part = 8, part[1:]
	}
	if part == "" || part[0] == '+' || part[0] == '-' || strings.Contains(part, "_") {
		return 0, false
	}
	number, err := strconv.ParseUint(part, base, 64)
	return number, err == nil
}

// The ranges whose addresses carry an IPv4 address.
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052, well-known prefix
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215, local use
	sixToFour  = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")       // RFC 4380
	compatible = netip.MustParsePrefix("::/96")           // RFC 4291, deprecated
	translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765, deprecated
	isatap     = [4]byte{0, 0, 0x5e, 0xfe}                // RFC 5214, interface identifier
	isatapOwn  = [4]byte{2, 0, 0x5e, 0xfe}                // the same, for globally unique addresses
)

// Embedded returns the addresses that traffic to a may reach: a, and the IPv4 addresses that it embeds.
func Embedded(a netip.Addr) []netip.Addr {
	all := []netip.Addr{a}
	if !a.Is6() {
		return all
	}
	b := a.As16()
	add := func(w, x, y, z byte) { all = append(all, netip.AddrFrom4([4]byte{w, x, y, z})) }
	if nat64.Contains(a) || translated.Contains(a) || compatible.Contains(a) && b[12] != 0 {
		add(b[12], b[13], b[14], b[15])
	}
	if nat64Local.Contains(a) {
		// The operator chooses a prefix length; the position of the address follows from it (RFC 6052 section 2.2).
		add(b[6], b[7], b[9], b[10])    // /48
		add(b[7], b[9], b[10], b[11])   // /56
		add(b[9], b[10], b[11], b[12])  // /64
		add(b[12], b[13], b[14], b[15]) // /96
	}
	if sixToFour.Contains(a) {
		add(b[2], b[3], b[4], b[5])
	}
	if teredo.Contains(a) {
		add(b[4], b[5], b[6], b[7])                         // the server
		add(b[12]^0xff, b[13]^0xff, b[14]^0xff, b[15]^0xff) // the client, veiled
	}
	if id := [4]byte(b[8:12]); id == isatap || id == isatapOwn {
		add(b[12], b[13], b[14], b[15])
	}
	return all
}

// Range is a span of addresses of one family, both ends included.
type Range struct {
	First, Last netip.Addr
}

// ParseRange parses a single address, a span (a-b) or a CIDR block. Only the
// canonical spelling is accepted, since people read manifests.
func ParseRange(text string) (Range, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		if prefix.Addr().Is4In6() {
			return Range{}, fmt.Errorf("%q is an IPv4 block written as IPv6; write it as IPv4", text)
		}
		if prefix != prefix.Masked() {
			return Range{}, fmt.Errorf("%q has bits set behind its prefix; write %s", text, prefix.Masked())
		}
		return Range{prefix.Addr(), lastOf(prefix)}, nil
	}
	low, high, span := strings.Cut(text, "-")
	first, err := netip.ParseAddr(strings.TrimSpace(low))
	if err != nil || first.Zone() != "" || first.Is4In6() {
		return Range{}, fmt.Errorf("%q is not an address, a range (first-last) or a CIDR block in plain spelling", text)
	}
	if !span {
		return Range{first, first}, nil
	}
	last, err := netip.ParseAddr(strings.TrimSpace(high))
	if err != nil || last.Zone() != "" || last.Is4In6() || last.BitLen() != first.BitLen() {
		return Range{}, fmt.Errorf("%q is not a range of addresses; write first-last in full, of one family", text)
	}
	if last.Less(first) {
		return Range{}, fmt.Errorf("%q ends before it begins", text)
	}
	return Range{first, last}, nil
}

// lastOf is the last address of a block.
func lastOf(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}

// Prefixes returns the blocks that together are the range.
func (r Range) Prefixes() []netip.Prefix {
	var all []netip.Prefix
	for first := r.First; ; {
		prefix := widest(first, r.Last)
		all = append(all, prefix)
		next := lastOf(prefix).Next()
		if !next.IsValid() || r.Last.Less(next) {
			return all
		}
		first = next
	}
}

// widest is the largest block that begins at first and does not pass last.
func widest(first, last netip.Addr) netip.Prefix {
	for bits := 0; ; bits++ {
		prefix := netip.PrefixFrom(first, bits)
		if prefix == prefix.Masked() && !last.Less(lastOf(prefix)) {
			return prefix
		}
	}
}

// Contains returns whether a is in the range.
func (r Range) Contains(a netip.Addr) bool {
	return a.BitLen() == r.First.BitLen() && !a.Less(r.First) && !r.Last.Less(a)
}

// overlaps returns whether the ranges share an address.
func (r Range) overlaps(o Range) bool {
	return r.First.BitLen() == o.First.BitLen() && !r.Last.Less(o.First) && !o.Last.Less(r.First)
}

// String writes the range as a manifest does.
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}
