// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"fmt"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// dnsName is reported for a record whose full name is outside the sandbox's
// zones. A name without a trailing dot may be relative to its zone, so it is only
// reported if it is production's.
type dnsName struct{}

func (dnsName) Info() gate.Info {
	return gate.Info{ID: "dns_name", Summary: "The name of a DNS record is outside of the sandbox's zones", NeverWaive: "use a name in the sandbox's zone"}
}

func (dnsName) Check(ctx context.Context, s subject, report *gate.Report) {
	for r, sides := range s.dnsChanges() {
		add := once(report, r)
		for _, side := range sides {
			for _, name := range side.names {
				if !strings.Contains(strings.TrimSuffix(name.value, "."), ".") {
					continue // a label within the zone
				}
				if d := s.ask(ctx, r, name.value); !d.Allowed && (d.Rule != nil || strings.HasSuffix(name.value, ".")) {
					add("dns_name", "a name in the throwaway zone only", fmt.Sprintf("%s %s is outside of it", name.attribute, name.shown()))
				}
			}
		}
	}
}
