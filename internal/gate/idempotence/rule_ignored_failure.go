// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// ignoredFailure is reported for a failure that ignore_errors hides.
type ignoredFailure struct{}

func (ignoredFailure) Info() gate.Info {
	return gate.Info{ID: "ignored_failure", Summary: "A task failed, and ignore_errors hides it"}
}

func (ignoredFailure) Check(_ context.Context, r *recording, report *gate.Report) {
	for _, e := range r.events {
		if e.Kind == "result" && e.Result == "failed" && e.Ignored {
			f := r.at(e, "ignored_failure")
			f.Expected, f.Found = "no failure", "it failed, and ignore_errors hides it: "+e.reason()
			report.Add(f)
		}
	}
}
