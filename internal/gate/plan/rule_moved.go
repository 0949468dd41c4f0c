// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// moved is reported for a resource that gets another address where no change is expected.
type moved struct{}

func (moved) Info() gate.Info {
	return gate.Info{ID: "moved", Summary: "A resource would move, and no change is expected"}
}

func (moved) Check(_ context.Context, s subject, report *gate.Report) {
	if !s.noChanges {
		return
	}
	for r := range s.known() {
		if from := r.movedFrom(); from != "" {
			report.Add(gate.Finding{Rule: "moved", Resource: r.Address, Expected: "no change", Found: "it moves here from " + from})
		}
	}
}
