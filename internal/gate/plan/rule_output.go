// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// output is reported for an output that would change where no change is expected.
type output struct{}

func (output) Info() gate.Info {
	return gate.Info{ID: "output", Summary: "An output would change, and no change is expected"}
}

func (output) Check(_ context.Context, s subject, report *gate.Report) {
	if !s.noChanges {
		return
	}
	for name, change := range s.outputs() {
		if kind := change.kind(); kind != "" {
			report.Add(gate.Finding{Rule: "output", Resource: "output." + name, Expected: "no change", Found: kind})
		}
	}
}
