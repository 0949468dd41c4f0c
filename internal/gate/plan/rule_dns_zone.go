// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"fmt"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// dnsZone is reported for a change in a DNS zone that is not the sandbox's.
type dnsZone struct{}

func (dnsZone) Info() gate.Info {
	return gate.Info{ID: "dns_zone", Summary: "A change is in a DNS zone that the boundary manifest does not list as sandbox", NeverWaive: "list the zone under sandbox.dns_zones"}
}

func (dnsZone) Check(ctx context.Context, s subject, report *gate.Report) {
	for r, sides := range s.dnsChanges() {
		add := once(report, r)
		for _, side := range sides {
			for _, zone := range side.zones {
				d := s.ask(ctx, r, zone.value)
				if d.Allowed {
					continue
				}
				reason := d.Reason
				if zone.sensitive {
					reason = "it is not the throwaway zone"
				}
				add("dns_zone", "a change in the throwaway zone only", fmt.Sprintf("%s %s: %s", zone.attribute, zone.shown(), reason))
			}
		}
	}
}
