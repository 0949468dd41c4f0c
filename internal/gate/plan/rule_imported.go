// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// imported is reported for a resource that would be imported where no change is expected.
type imported struct{}

func (imported) Info() gate.Info {
	return gate.Info{ID: "imported", Summary: "A resource would be imported, and no change is expected"}
}

func (imported) Check(_ context.Context, s subject, report *gate.Report) {
	if !s.noChanges {
		return
	}
	for r := range s.known() {
		if r.Change.importing() {
			report.Add(gate.Finding{Rule: "imported", Resource: r.Address, Expected: "no change", Found: "it would be imported"})
		}
	}
}
