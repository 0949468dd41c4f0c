// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// dnsZoneUnknown is reported for a DNS change whose zone is not known before it is applied.
type dnsZoneUnknown struct{}

func (dnsZoneUnknown) Info() gate.Info {
	return gate.Info{ID: "dns_zone_unknown", Summary: "The DNS zone of a change is not known before it is applied"}
}

func (dnsZoneUnknown) Check(_ context.Context, s subject, report *gate.Report) {
	for r, sides := range s.dnsChanges() {
		add := once(report, r)
		for _, side := range sides {
			if len(side.zones) == 0 {
				attributes, _ := dnsAttributes(r)
				add("dns_zone_unknown", "a zone that is known in the plan", strings.Join(attributes.zone, " or ")+" is not known")
			}
		}
	}
}
