// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// endpoint is a host and a port, in any spelling that programs accept.
type endpoint struct {
	host    string     // canonical: lower case, no trailing dot, no brackets; an address plainly
	address netip.Addr // valid if host is an address; unmapped, without zone
	zone    string     // of an IPv6 address
	port    uint16     // 0 if the text names none
	scheme  string     // lower case, of a URL
	path    string     // of a URL, unchanged
	// odd is why the text is ambiguous: programs differ in how they read it, so
	// that it can be refused as production, and not be allowed.
	odd string
	// bad is why the text cannot be read at all.
	bad string
}

// schemePorts are the default ports of schemes.
var schemePorts = map[string]uint16{
	"ssh": 22, "sftp": 22, "scp": 22, "git+ssh": 22, "ssh+git": 22, "git": 9418, "http": 80, "https": 443, "ftp": 21, "ftps": 990,
	"postgres": 5432, "postgresql": 5432, "mysql": 3306, "mariadb": 3306, "mongodb": 27017, "redis": 6379, "rediss": 6379,
	"socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080, "tcp": 2375,
}

const notPlain = "it is neither an address nor a plain host name"

// readEndpoint reads [user@]host[:port] or scheme://[user@]host[:port][/path].
func readEndpoint(text string) endpoint {
	var p endpoint
	odd := func(why string) {
		if p.odd == "" {
			p.odd = why
		}
	}
	if !utf8.ValidString(text) {
		odd(notPlain + ": it is not UTF-8")
		text = strings.ToValidUTF8(text, "?")
	}
	blank := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }
	if trimmed := strings.TrimFunc(text, blank); trimmed != text {
		odd(notPlain + ": there are blanks around it")
		text = trimmed
	}
	if at := strings.IndexFunc(text, blank); at >= 0 {
		// inet_aton(3) stops at the first blank.
		odd(notPlain + ": there are blanks in it")
		text = text[:at]
	}
	if strings.HasPrefix(text, "-") {
		odd("it begins with a dash, which programs take for an option")
	}
	if folded, ok := fold(text); ok {
		text = folded
		odd(notPlain + ": it is written with characters beyond ASCII, which programs read differently; write " + text)
	}
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		p.scheme, text = strings.ToLower(scheme), rest
		if at := strings.IndexAny(text, "/?#\\"); at >= 0 {
			if text[at] == '\\' {
				odd("it has a backslash, which programs read differently")
			}
			text, p.path = text[:at], text[at:]
		}
		p.port = schemePorts[p.scheme]
	}
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		text = text[at+1:]
	}
	host, port := text, ""
	switch {
	case strings.HasPrefix(text, "["):
		inside, after, ok := strings.Cut(text[1:], "]")
		host = inside
		if !ok || after != "" && !strings.HasPrefix(after, ":") {
			odd(notPlain + ": its brackets do not match")
		}
		if after != "" {
			port = strings.TrimPrefix(after, ":")
			if port == "" {
				odd("its port is missing")
			}
		}
	case strings.Count(text, ":") == 1:
		host, port, _ = strings.Cut(text, ":")
		if port == "" {
			odd(notPlain + ": its port is missing")
		}
	}
	if port != "" {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || number == 0 || port[0] == '+' {
			odd(notPlain + ": its port is not a number from 1 to 65535")
		}
		p.port = uint16(number)
	}
	if at := strings.IndexByte(host, '%'); at >= 0 {
		if address, err := netip.ParseAddr(host[:at]); err == nil && address.Is6() {
			p.zone = host[at+1:]
			host = host[:at]
			if strings.ContainsFunc(p.zone, func(r rune) bool {
				return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
			}) {
				odd(notPlain + ": its zone is not the name of an interface")
			}
		} else {
			odd(notPlain + ": it is written with percent signs, which only some programs decode")
			if decoded, err := url.PathUnescape(host); err == nil {
				host, _ = fold(decoded)
			}
		}
	}
	p.host = strings.TrimSuffix(strings.ToLower(host), ".")
	if p.host == "" {
		p.bad = "it is empty"
		return p
	}
	if address, ok := canonical(p.host); ok {
		p.address, p.host = address, address.String()
		return p
	}
	if !plainName(p.host) {
		p.bad = notPlain
		return p
	}
	// A name that ends in a number is a mistyped address, which programs read
	// differently.
	if last := p.host[strings.LastIndexByte(p.host, '.')+1:]; numeric(last) {
		p.bad = notPlain + ": it ends in a number"
	}
	return p
}

func plainName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_') {
			return false
		}
		if c == '.' && (i == 0 || name[i-1] == '.') {
			return false
		}
	}
	return name != "" && name[len(name)-1] != '.' && len(name) <= 253
}

func numeric(label string) bool {
	if label == "" {
		return false
	}
	digits := strings.TrimLeft(label, "0123456789") == ""
	hex := strings.HasPrefix(label, "0x") && strings.TrimLeft(label[2:], "0123456789abcdef") == ""
	return digits || hex
}

// fold writes text as programs do that know of internationalised names:
// fullwidth characters and other dots become plain ones, and a label that still
// holds other letters becomes its xn-- form (RFC 3492).
func fold(text string) (string, bool) {
	if strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return text, false
	}
	plain := strings.Map(func(r rune) rune {
		switch {
		case r == '。' || r == '．' || r == '｡' || r == '․': // the dots of UTS 46, and one of NFKC
			return '.'
		case r >= '！' && r <= '～': // fullwidth forms
			return unicode.ToLower(r - '！' + '!')
		case r >= '⁰' && r <= '⁹' && r != 'ⁱ': // superscripts
			return superscript(r)
		case r == '¹':
			return '1'
		case r == '²':
			return '2'
		case r == '³':
			return '3'
		case r >= '₀' && r <= '₉': // subscripts
			return r - '₀' + '0'
		case r >= '①' && r <= '⑨': // circled
			return r - '①' + '1'
		case r == '⓪':
			return '0'
		case r >= 0x1D7CE && r <= 0x1D7FF: // mathematical digits, five alphabets of ten
			return (r-0x1D7CE)%10 + '0'
		case r == 0x00AD || unicode.Is(unicode.Cf, r): // invisible characters are dropped
			return -1
		}
		return unicode.ToLower(r)
	}, text)
	labels := strings.Split(plain, ".")
	for i, label := range labels {
		if strings.IndexFunc(label, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
			// Letters that cannot be encoded stay; plainName refuses them.
			if encoded, err := idna.Punycode.ToASCII(label); err == nil {
				labels[i] = encoded
			}
		}
	}
	return strings.Join(labels, "."), true
}

func superscript(r rune) rune {
	if r == '⁰' || r >= '⁴' {
		return r - '⁰' + '0'
	}
	return r
}
