// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Resolver turns a name into all of its addresses. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Engine decides.
type Engine struct {
	Manifest *Manifest
	Resolver Resolver      // nil means the system's
	Timeout  time.Duration // for one name; zero means five seconds
}

// Verdict is a decision and its reason.
type Verdict struct {
	Target    string   `json:"target"`
	Allowed   bool     `json:"allowed"`
	Reason    string   `json:"reason"`    // one sentence without full stop
	Addresses []string `json:"addresses"` // what the target leads to, canonical; empty if that is unknown
	Rule      *Rule    `json:"rule"`      // the line of the manifest that decided; nil if none did
}

// Decide tells whether target, a host name or an address in any spelling,
// belongs to the sandbox. Every address that it leads to must.
func (e Engine) Decide(ctx context.Context, target string) Verdict {
	v := Verdict{Target: target, Addresses: []string{}}
	refuse := func(rule *Rule, format string, args ...any) Verdict {
		v.Allowed, v.Rule, v.Reason = false, rule, fmt.Sprintf(format, args...)
		return v
	}

	name := strings.ToLower(target)
	// One trailing dot makes a name absolute; getaddrinfo drops it.
	name = strings.TrimSuffix(name, ".")
	if name == "" {
		return refuse(nil, "it is empty")
	}
	for _, rule := range e.Manifest.Production.Names {
		if rule.Matches(name) {
			return refuse(&rule.Rule, "its name is production")
		}
	}

	var addresses []netip.Addr
	if address, ok := Canonical(name); ok {
		addresses = []netip.Addr{address}
	} else {
		if strings.ContainsFunc(name, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
		}) || strings.Contains(name, "..") || strings.HasSuffix(name, ".") || strings.HasPrefix(name, ".") {
			return refuse(nil, "it is neither an address nor a plain host name")
		}
		var err error
		if addresses, err = e.resolve(ctx, name); err != nil {
			return refuse(nil, "it cannot be resolved (%v)", err)
		}
	}
	for _, address := range addresses {
		v.Addresses = append(v.Addresses, address.String())
	}
	for _, address := range addresses {
		for _, inside := range Embedded(address) {
			for _, rule := range e.Manifest.Production.Addresses {
				if rule.Contains(inside) {
					return refuse(&rule.Rule, "it leads to %s, which is production", spelled(address, inside))
				}
			}
		}
	}
	for _, address := range addresses {
		at := slices.IndexFunc(e.Manifest.Sandbox.Addresses, func(rule AddressRule) bool { return rule.Contains(address) })
		if at < 0 {
			return refuse(nil, "it leads to %s, which the boundary manifest does not list as sandbox", address)
		}
		v.Rule = &e.Manifest.Sandbox.Addresses[at].Rule
	}
	v.Allowed, v.Reason = true, "it is sandbox"
	return v
}

func spelled(address, inside netip.Addr) string {
	if address == inside {
		return address.String()
	}
	return fmt.Sprintf("%s (inside %s)", inside, address)
}

func (e Engine) resolve(ctx context.Context, name string) ([]netip.Addr, error) {
	resolver, timeout := e.Resolver, e.Timeout
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	addresses, err := resolver.LookupNetIP(ctx, "ip", name)
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return nil, errors.New("no such host")
	case ctx.Err() != nil:
		return nil, fmt.Errorf("no answer within %s", timeout)
	case err != nil:
		return nil, err
	case len(addresses) == 0:
		return nil, errors.New("it has no address")
	}
	for i, address := range addresses {
		addresses[i] = address.WithZone("").Unmap()
	}
	return addresses, nil
}
