// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"
	"fmt"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// nothingRan is reported for a run without events, without a play, or without a task that did anything.
type nothingRan struct{}

func (nothingRan) Info() gate.Info {
	return gate.Info{ID: "nothing_ran", Summary: "No task ran, so there is nothing to check", NeverWaive: "nothing was checked; give a playbook that runs something"}
}

func (nothingRan) Check(_ context.Context, r *recording, report *gate.Report) {
	switch {
	case !r.began():
		found := "Ansible wrote no events"
		switch {
		case r.broken != nil:
			found = r.broken.Error()
		case r.ended != nil:
			found = how(r.ended)
		}
		report.Add(r.whole("nothing_ran", "a run", found))
	case r.has(report, "incomplete"): // it is unknown which tasks would have run
	case r.plays == 0:
		report.Add(r.whole("nothing_ran", "at least one play", "no play began"))
	case len(r.active) == 0 && !r.has(report, "no_hosts", "failed", "rescued_failure", "unreachable", "check_mode_skip", "ignored_failure"):
		report.Add(r.whole("nothing_ran", "at least one task", fmt.Sprintf("%d plays began and no task did anything", r.plays)))
	}
}
