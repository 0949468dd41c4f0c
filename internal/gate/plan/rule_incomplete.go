// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// incomplete is reported for a plan that does not cover all changes, that cannot
// be applied, or that was cancelled.
type incomplete struct{}

func (incomplete) Info() gate.Info {
	return gate.Info{ID: "incomplete", Summary: "The plan does not cover everything, or cannot be applied", NeverWaive: cannotTrust}
}

func (incomplete) Check(_ context.Context, s subject, report *gate.Report) {
	if s.Complete != nil && !*s.Complete {
		report.Add(gate.Finding{Rule: "incomplete", Expected: "a plan of everything", Found: "the plan is not complete: more would change after it"})
	}
	if s.Applyable != nil && !*s.Applyable && s.changes() && !s.noChanges && !s.Errored {
		report.Add(gate.Finding{Rule: "incomplete", Expected: "a plan that can be applied", Found: "there are changes, and the plan is marked as not applyable"})
	}
}
