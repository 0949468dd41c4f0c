// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// changed is reported for a task, or each item of its loop, that changed or would change something.
type changed struct{}

func (changed) Info() gate.Info {
	return gate.Info{ID: "changed", Summary: "A task changed something, or would"}
}

func (changed) Check(_ context.Context, r *recording, report *gate.Report) {
	for _, e := range r.events {
		verb := "it would change something"
		if r.run != check || e.CheckMode != nil && !*e.CheckMode {
			verb = "it changed something"
		}
		for _, o := range e.telling() {
			if !o.Changed {
				continue
			}
			f := r.at(e, "changed")
			f.Expected, f.Item, f.Diff, f.Found = "no change", o.Item, o.Diff, verb
			if o.Msg != "" {
				f.Found += ": " + oneLine(o.Msg)
			}
			report.Add(f)
		}
	}
}

// telling are the outcomes of a result with a change or a difference:
// of the items of its loop, or of the task if no item does.
func (e event) telling() []outcome {
	if !e.tellsChange() {
		return nil
	}
	var out []outcome
	for _, item := range e.Items {
		if item.Changed || item.Differs {
			out = append(out, item)
		}
	}
	if len(out) == 0 && (e.Changed || e.Differs) {
		out = append(out, e.outcome)
	}
	return out
}
