// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// loss is reported for a resource that the program would delete, replace or
// forget: three rules of one form. Each needs a waiver with the reason.
type loss struct{ action string }

func (l loss) Info() gate.Info {
	return gate.Info{ID: l.action, Summary: "A resource would be lost by the action " + l.action}
}

func (l loss) Check(_ context.Context, s subject, report *gate.Report) {
	if s.noChanges {
		return // see changed
	}
	for r, kind := range s.known() {
		if r.Mode != "managed" || kind != l.action && !(l.action == forget && kind == "forget and create") {
			continue
		}
		found := kind
		if r.Deposed != "" {
			found += " of the deposed object " + r.Deposed
		}
		report.Add(gate.Finding{Rule: l.action, Resource: r.Address, Expected: "no " + l.action + " without a waiver", Found: found})
	}
}
