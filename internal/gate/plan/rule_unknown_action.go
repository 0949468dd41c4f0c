// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"fmt"
	"strconv"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// unknownAction is reported for actions and parts of a plan that this version of
// the gate does not know.
type unknownAction struct{}

func (unknownAction) Info() gate.Info {
	return gate.Info{ID: "unknown_action", Summary: "The plan has an action or a part that the gate does not know", NeverWaive: "the gate cannot tell what it does; update the collection"}
}

func (unknownAction) Check(_ context.Context, s subject, report *gate.Report) {
	for _, name := range s.Unknown {
		report.Add(gate.Finding{Rule: "unknown_action", Expected: "known parts", Found: "the plan has an unknown part " + strconv.Quote(name)})
	}
	for _, r := range s.Changes {
		kind := r.Change.kind()
		switch {
		case r.Address == "" || kind == "":
			report.Add(gate.Finding{Rule: "unknown_action", Resource: r.Address, Expected: "a known action", Found: "the actions " + quoted(r.Change.Actions)})
		case r.strange():
			report.Add(gate.Finding{Rule: "unknown_action", Resource: r.Address, Expected: "a managed resource, or data that is read", Found: fmt.Sprintf("the action %s of mode %q", kind, r.Mode)})
		}
	}
	for name, change := range s.outputs() {
		if change.kind() == "" {
			report.Add(gate.Finding{Rule: "unknown_action", Resource: "output." + name, Expected: "a known action", Found: "the actions " + quoted(change.Actions)})
		}
	}
}
