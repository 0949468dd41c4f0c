// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// unreachable is reported for a host that could not be reached.
type unreachable struct{}

func (unreachable) Info() gate.Info {
	return gate.Info{ID: "unreachable", Summary: "A host could not be reached", NeverWaive: "nothing is known about it; bring it up, or leave it out by limit"}
}

func (unreachable) Check(_ context.Context, r *recording, report *gate.Report) {
	for _, e := range r.events {
		if e.Kind != "result" || e.Result != "unreachable" {
			continue
		}
		f := r.at(e, "unreachable")
		f.Expected, f.Found = "a host that answers", "unreachable: "+oneLine(e.Msg)
		if e.Ignored {
			f.Found = "unreachable, and ignore_unreachable hides it: " + oneLine(e.Msg)
		}
		report.Add(f)
	}
}
