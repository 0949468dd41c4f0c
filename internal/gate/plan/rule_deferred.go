// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"fmt"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// deferred is reported for changes that are left to a later plan.
type deferred struct{}

func (deferred) Info() gate.Info {
	return gate.Info{ID: "deferred", Summary: "Changes are deferred to a later plan", NeverWaive: cannotTrust}
}

func (deferred) Check(_ context.Context, s subject, report *gate.Report) {
	if s.Deferred > 0 {
		report.Add(gate.Finding{Rule: "deferred", Expected: "no deferred changes", Found: fmt.Sprintf("%d changes are deferred to a later plan", s.Deferred)})
	}
}
