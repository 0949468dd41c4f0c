// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// noChange is reported for a plan without changes where some are expected.
type noChange struct{}

func (noChange) Info() gate.Info {
	return gate.Info{ID: "no_change", Summary: "Changes are expected, and nothing would change", NeverWaive: "use expect: no_changes"}
}

func (noChange) Check(_ context.Context, s subject, report *gate.Report) {
	if !s.noChanges && !s.changes() && len(s.planJSON.Changes)+len(s.Outputs) > 0 {
		report.Add(gate.Finding{Rule: "no_change", Expected: "a change", Found: "nothing would change"})
	}
}
