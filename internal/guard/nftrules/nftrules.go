// SPDX-License-Identifier: GPL-3.0-or-later

// Package nftrules renders the rules for nftables and the lines for /etc/hosts
// that block production on a node. It does not install them; the role
// node_fence does.
package nftrules

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
)

// node are the files of a node.
type node struct {
	Rules string `json:"rules"` // for nft --file
	Hosts string `json:"hosts"` // for /etc/hosts: production's names
	// Outside are lines for /etc/hosts with the names of sandbox.outside.
	Outside string `json:"outside"`
}

// Request is what Render renders.
type Request struct {
	Manifest *boundary.Manifest
	Further  []string // addresses, ranges or blocks to block beside production's
	Networks []string // private networks of the node's own cluster, which are not blocked
	// Lookup returns the addresses of a name; none if it has no answer.
	Lookup func(ctx context.Context, name string) []netip.Addr
}

// Render returns the files: production as the manifest lists it is blocked, and
// so are private networks that are not the sandbox's.
func Render(ctx context.Context, r Request) (node, error) {
	production, lookup := r.Manifest.Production, r.Lookup
	t := collect(production)
	further, err := parse(r.Further)
	if err != nil {
		return node{}, err
	}
	networks, err := parse(r.Networks)
	if err != nil {
		return node{}, err
	}
	t.ranges = append(t.ranges, further...)
	for _, name := range sorted(t.resolve) {
		t.ranges = append(t.ranges, single(lookup(ctx, name))...)
	}
	var ports []portRule
	for _, e := range t.endpoints {
		rule := portRule{text: e.host(), port: e.Port}
		if e.Name == "" {
			rule.ranges = []boundary.Range{e.Range}
		} else if !strings.Contains(e.Name, "*") {
			rule.ranges = single(lookup(ctx, e.Name))
		}
		ports = append(ports, rule)
	}
	for _, rule := range r.Manifest.Sandbox.Addresses {
		networks = append(networks, rule.Range)
	}
	var allowed []portRule
	for _, rule := range r.Manifest.Sandbox.Outside {
		allowed = append(allowed, portRule{text: endpoint{rule}.host(), ranges: ranges(ctx, rule, lookup), port: rule.Port})
	}
	return node{
		Rules: rules(t, ports, networks, allowed), Hosts: hosts(t.names), Outside: outsideHosts(OutsideNames(ctx, r.Manifest, lookup)),
	}, nil
}

func parse(texts []string) ([]boundary.Range, error) {
	var parsed []boundary.Range
	for _, text := range texts {
		r, err := boundary.ParseRange(text)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, r)
	}
	return parsed, nil
}

// targets are the machines that the manifest lists.
type targets struct {
	ranges    []boundary.Range // whole machines
	endpoints []endpoint       // one port of a machine
	names     []string         // names, and patterns for some, that the node must not resolve
	resolve   []string         // names whose addresses count as whole machines
}

type endpoint struct{ boundary.EndpointRule }

func (e endpoint) host() string {
	if e.Name != "" {
		return e.Name
	}
	return element(e.Range)
}

func collect(production boundary.Side) *targets {
	t := &targets{}
	name := func(name string) {
		t.names = append(t.names, name)
		if !strings.Contains(name, "*") {
			t.resolve = append(t.resolve, name)
		}
	}
	machine := func(rule boundary.EndpointRule) {
		if rule.Name != "" {
			name(rule.Name)
		} else {
			t.ranges = append(t.ranges, rule.Range)
		}
	}
	port := func(rule boundary.EndpointRule) {
		// On a node, a port of the loopback is the node's own.
		if rule.Name != "localhost" && (rule.Name != "" || !rule.Range.First.IsLoopback()) {
			t.endpoints = append(t.endpoints, endpoint{rule})
		}
	}
	for _, rule := range production.Addresses {
		t.ranges = append(t.ranges, rule.Range)
	}
	for _, rule := range production.Names {
		name(rule.Pattern)
	}
	for _, rule := range production.Kube {
		if rule.Server != nil {
			machine(*rule.Server)
		}
	}
	for _, rule := range production.Vaults {
		machine(rule)
	}
	for _, rule := range production.Databases {
		if rule.Port == 0 {
			machine(rule)
		} else {
			port(rule)
		}
	}
	for _, rule := range production.Endpoints {
		port(rule)
	}
	for _, zone := range production.DNSZones {
		// Not resolved: a zone's name often resolves to a host shared with others.
		t.names = append(t.names, zone.Pattern, "*."+zone.Pattern)
	}
	return t
}

// single returns a range for each address, except for those that mean the node
// itself: a controller whose /etc/hosts blocks a name says 0.0.0.0 or 127.0.0.1.
func single(addresses []netip.Addr) []boundary.Range {
	var ranges []boundary.Range
	for _, a := range addresses {
		a = a.WithZone("")
		plain := a.Unmap()
		if plain.IsLoopback() || plain.IsUnspecified() || plain.Is4() && plain.As4()[0] == 0 {
			continue
		}
		ranges = append(ranges, boundary.Range{First: a, Last: a})
		if plain != a {
			ranges = append(ranges, boundary.Range{First: plain, Last: plain})
		}
	}
	return ranges
}

// element writes a range as an element of a set.
func element(r boundary.Range) string {
	if prefixes := r.Prefixes(); len(prefixes) == 1 && r.First != r.Last {
		return prefixes[0].String()
	}
	return r.String()
}

// hosts returns the lines of /etc/hosts that make the names unusable.
func hosts(names []string) string {
	var out strings.Builder
	for _, name := range sorted(names) {
		if !strings.Contains(name, "*") {
			fmt.Fprintf(&out, "0.0.0.0 %[1]s\n:: %[1]s\n", name)
		}
	}
	return out.String()
}

func sorted(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }
