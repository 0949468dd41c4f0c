// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"
	"fmt"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// notCheck is reported for a run in the wrong mode, and for a play that never converges.
type notCheck struct{}

func (notCheck) Info() gate.Info {
	return gate.Info{ID: "not_check", Summary: "The run, or a play in it, was not in the mode in which it has to be", NeverWaive: "nothing was checked; remove the setting that changes the mode"}
}

func (notCheck) Check(_ context.Context, r *recording, report *gate.Report) {
	if begin, wanted := r.events[0], r.run == check; begin.Check != wanted {
		report.Add(r.whole("not_check", fmt.Sprintf("check mode %t", wanted), fmt.Sprintf("the run had check mode %t", begin.Check)))
	}
	if r.run == check {
		return
	}
	for _, e := range r.events {
		if e.Kind == "play" && e.CheckMode != nil && *e.CheckMode {
			f := r.at(e, "not_check")
			f.Expected, f.Found = "a play that converges", fmt.Sprintf("the play %q only ever runs in check mode", e.Play)
			report.Add(f)
		}
	}
}
