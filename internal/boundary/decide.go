// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Checker checks targets against a manifest. It is safe for concurrent use if its Resolver is.
type Checker struct {
	Manifest *Manifest
	Resolver Resolver      // nil means System
	Timeout  time.Duration // for one name; zero means five seconds
}

// Decide returns whether a target is inside the sandbox: the manifest must list
// every address that it resolves to as sandbox, and no part of it as production.
// It connects to the resolver only.
func (c Checker) Decide(ctx context.Context, t Target) Decision {
	if t.Kind == "" {
		t.Kind = Host
	}
	d := &Decision{Kind: t.Kind, Target: redact(t.Value), From: t.From, Port: t.Port, Addresses: []string{}, Resolved: []Answer{}}
	if c.Manifest == nil {
		d.refuse(nil, "no boundary loaded")
		return *d
	}
	switch t.Kind {
	case Host, Endpoint, Address:
		c.decideHost(ctx, d, t)
	case HostKey:
		c.decideHostKey(d, t)
	case MachineID:
		c.decideMachineID(d, t)
	case Hostname:
		c.decideHostname(d, t)
	case KeyFile:
		c.decideKeyFile(d, t)
	case Kube:
		c.decideKube(ctx, d, t)
	case Vault:
		c.decideVault(ctx, d, t)
	case Git:
		c.decideGit(ctx, d, t)
	case TofuState:
		c.decideTofuState(d, t)
	case TofuProvider:
		c.decideTofuProvider(d, t)
	case DNSZone:
		c.decideDNSZone(d, t)
	case Database:
		c.decideDatabase(ctx, d, t)
	case Environment:
		c.decideEnvironment(d, t)
	default:
		d.refuse(nil, "unknown kind of target %q", t.Kind)
	}
	return *d
}

func (c Checker) decideHost(ctx context.Context, d *Decision, t Target) {
	p := readEndpoint(t.Value)
	switch {
	case t.Port != 0:
		p.port = t.Port
	case t.Kind == Host && p.port == 0:
		p.port = 22
	}
	if t.Kind == Address && p.bad == "" && !p.address.IsValid() {
		d.Canonical = p.host
		d.refuse(nil, "it is not an address")
		return
	}
	if t.Kind == Endpoint && p.port == 0 && p.bad == "" && p.odd == "" {
		p.odd = "it has no port"
	}
	c.settle(d, c.find(ctx, d, p))
}

// settle turns a finding into the decision.
func (c Checker) settle(d *Decision, f finding) {
	switch {
	case f.refused != "":
		d.refuse(f.rule, "%s", f.refused)
	case f.unlisted != "":
		d.refuse(nil, "%s", f.unlisted)
	default:
		d.allow(f.rule, "it is sandbox")
	}
}

// finding is what is known about an endpoint.
type finding struct {
	rule     *Rule
	refused  string // why nothing can allow it: it is production, or cannot be read
	unlisted string // why its host is not sandbox; another list may still allow it
}

// find looks an endpoint up on both sides of the manifest, and records what it resolves to.
func (c Checker) find(ctx context.Context, d *Decision, p endpoint) finding {
	production, sandbox := &c.Manifest.Production, &c.Manifest.Sandbox
	if p.bad != "" {
		return finding{refused: p.bad}
	}
	d.Canonical, d.Port = p.host, p.port

	isName := !p.address.IsValid()
	if isName {
		for i := range production.Names {
			if rule := &production.Names[i]; rule.matches(p.host) {
				return finding{rule: &rule.Rule, refused: "its name is production"}
			}
		}
		for rule := range production.endpointRules() {
			if rule.Name != "" && samePort(rule.Port, p.port) && glob(rule.Name, p.host) {
				return finding{rule: &rule.Rule, refused: "it is an endpoint of production"}
			}
		}
	}

	addresses, name, through := []netip.Addr{p.address}, p.host, "its own spelling"
	if isName {
		if p.odd != "" { // not a name to resolve
			return finding{refused: p.odd}
		}
		var err error
		if addresses, through, err = c.resolve(ctx, p.host); err != nil {
			return finding{refused: fmt.Sprintf("it cannot be resolved (%v)", err)}
		}
	}
	plain := make([]netip.Addr, 0, len(addresses))
	for _, address := range addresses {
		if address = address.WithZone(""); !slices.Contains(plain, address) {
			plain = append(plain, address)
		}
	}
	d.answers(name, plain, through)

	for _, address := range plain {
		for _, inside := range Embedded(address) {
			for i := range production.Addresses {
				if rule := &production.Addresses[i]; rule.Contains(inside) {
					return finding{rule: &rule.Rule, refused: fmt.Sprintf("it resolves to %s, which is production", spelled(address, inside))}
				}
			}
			for rule := range production.endpointRules() {
				if rule.Name == "" && samePort(rule.Port, p.port) && rule.Range.Contains(inside) {
					return finding{rule: &rule.Rule, refused: fmt.Sprintf("it resolves to %s, port %d, which is an endpoint of production", spelled(address, inside), p.port)}
				}
			}
		}
	}
	if p.odd != "" {
		return finding{refused: p.odd}
	}
	var decided *Rule
	for _, address := range plain {
		rule := sandbox.covers(address, p.port)
		if rule == nil {
			return finding{unlisted: fmt.Sprintf("it resolves to %s, which the boundary manifest does not list as sandbox", address)}
		}
		decided = rule
	}
	d.Pinned = plain[0].String()
	switch {
	case !isName && p.zone != "":
		d.Pinned = plain[0].WithZone(p.zone).String()
	case isName && addresses[0].Zone() != "":
		d.Pinned = addresses[0].String()
	}
	return finding{rule: decided}
}

// covers returns the entry that lists an address, at a port, as sandbox; nil if there is none.
func (s *Side) covers(address netip.Addr, port uint16) *Rule {
	for i := range s.Addresses {
		if s.Addresses[i].Contains(address) {
			return &s.Addresses[i].Rule
		}
	}
	for rule := range s.endpointRules() {
		if rule.Name == "" && samePort(rule.Port, port) && rule.Range.Contains(address) {
			return &rule.Rule
		}
	}
	return nil
}

// samePort returns whether a rule covers a port. An address without a port is only covered by rules for all ports.
func samePort(rule, port uint16) bool { return rule == 0 || rule == port }

func spelled(address, inside netip.Addr) string {
	if address == inside {
		return address.String()
	}
	return fmt.Sprintf("%s (inside %s)", inside, address)
}
