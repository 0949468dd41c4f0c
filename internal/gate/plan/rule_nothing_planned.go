// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// nothingPlanned is reported for a plan without resources and outputs: nothing was checked.
type nothingPlanned struct{}

func (nothingPlanned) Info() gate.Info {
	return gate.Info{ID: "nothing_planned", Summary: "The plan holds no resource and no output", NeverWaive: "nothing was checked; give a root module that holds something"}
}

func (nothingPlanned) Check(_ context.Context, s subject, report *gate.Report) {
	if len(s.Changes) == 0 && len(s.Outputs) == 0 {
		report.Add(gate.Finding{Rule: "nothing_planned", Expected: "at least one resource or output", Found: "the plan holds none"})
	}
}
