// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// missingHost is reported for a host that should have taken part and did not.
type missingHost struct{}

func (missingHost) Info() gate.Info {
	return gate.Info{ID: "missing_host", Summary: "An expected host took no part"}
}

func (missingHost) Check(_ context.Context, r *recording, report *gate.Report) {
	if r.has(report, "incomplete", "nothing_ran") {
		return
	}
	expected := r.expected.Hosts
	if len(expected) == 0 {
		expected = slices.Sorted(maps.Keys(r.matched))
	}
	for _, host := range expected {
		other := slices.ContainsFunc(report.Findings, func(f gate.Finding) bool {
			return f.Run == r.run && (f.Host == host || strings.HasPrefix(f.Host, host+" → "))
		})
		if r.active[host] || other {
			continue
		}
		found := "no play matched it"
		if r.matched[host] {
			found = "a play matched it, and every task was skipped"
		}
		f := r.whole("missing_host", "at least one task that ran", found)
		f.Host = host
		report.Add(f)
	}
}
