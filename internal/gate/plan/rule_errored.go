// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// errored is reported for a plan that ended with an error, and for a program that failed.
type errored struct{}

func (errored) Info() gate.Info {
	return gate.Info{ID: "errored", Summary: "OpenTofu or Terraform ended with an error", NeverWaive: cannotTrust}
}

func (errored) Check(_ context.Context, s subject, report *gate.Report) {
	if s.Errored {
		report.Add(gate.Finding{Rule: "errored", Expected: "a plan without errors", Found: "planning ended with an error, so the plan may lack changes"})
	}
}
