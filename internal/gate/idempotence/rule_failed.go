// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// failed is reported for a task that failed and was not rescued: its host did
// not run the tasks after it.
type failed struct{}

func (failed) Info() gate.Info {
	return gate.Info{ID: "failed", Summary: "A task failed", NeverWaive: "the tasks behind it did not run; fix it"}
}

func (failed) Check(_ context.Context, r *recording, report *gate.Report) {
	for _, e := range r.events {
		if e.Kind == "result" && e.Result == "failed" && !e.Ignored && !e.Rescued {
			f := r.at(e, "failed")
			f.Expected, f.Found = "no failure", "it failed: "+e.reason()
			report.Add(f)
		}
	}
}
