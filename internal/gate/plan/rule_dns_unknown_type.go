// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// dnsUnknownType is reported for a resource type whose name looks like DNS, but
// whose zone attribute is unknown.
type dnsUnknownType struct{}

func (dnsUnknownType) Info() gate.Info {
	return gate.Info{ID: "dns_unknown_type", Summary: "A type of resource reads like DNS, and the gate does not know its zone attribute"}
}

func (dnsUnknownType) Check(_ context.Context, s subject, report *gate.Report) {
	for r := range s.touched() {
		if _, ok := dnsAttributes(r); !ok && dnsLike.MatchString(r.Type) {
			report.Add(gate.Finding{Rule: "dns_unknown_type", Resource: r.Address, Expected: "a type whose zone attribute is known", Found: "the type " + r.Type})
		}
	}
}
