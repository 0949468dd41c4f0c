// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// changed is reported for a change where none is expected.
type changed struct{}

func (changed) Info() gate.Info {
	return gate.Info{ID: "changed", Summary: "A resource would change, and no change is expected"}
}

func (changed) Check(_ context.Context, s subject, report *gate.Report) {
	if !s.noChanges {
		return
	}
	for r, kind := range s.known() {
		if kind != noop {
			report.Add(gate.Finding{Rule: "changed", Resource: r.Address, Expected: "no change", Found: kind + " of " + list(r.Change.attributes())})
		}
	}
}
