// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// rescuedFailure is reported for a task that failed in a block with a rescue.
type rescuedFailure struct{}

func (rescuedFailure) Info() gate.Info {
	return gate.Info{ID: "rescued_failure", Summary: "A task failed in a block with a rescue"}
}

func (rescuedFailure) Check(_ context.Context, r *recording, report *gate.Report) {
	for _, e := range r.events {
		if e.Kind == "result" && e.Result == "failed" && !e.Ignored && e.Rescued {
			f := r.at(e, "rescued_failure")
			f.Expected, f.Found = "no failure", "it failed, in a block with a rescue: "+e.reason()
			report.Add(f)
		}
	}
}
