// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// hiddenChange is reported for a task that returned ok together with a difference.
type hiddenChange struct{}

func (hiddenChange) Info() gate.Info {
	return gate.Info{ID: "hidden_change", Summary: "A task returned ok, and showed a difference"}
}

func (hiddenChange) Check(_ context.Context, r *recording, report *gate.Report) {
	for _, e := range r.events {
		for _, o := range e.telling() {
			if o.Changed {
				continue
			}
			f := r.at(e, "hidden_change")
			f.Expected, f.Item, f.Diff, f.Found = "no change", o.Item, o.Diff, "it returned ok and showed a difference"
			if len(e.ChangedWhen) > 0 {
				f.Found += "; changed_when is " + strings.Join(e.ChangedWhen, " and ")
			}
			report.Add(f)
		}
	}
}
