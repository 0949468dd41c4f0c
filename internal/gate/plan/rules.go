// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"iter"
	"maps"
	"slices"
	"strconv"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/gate"
)

// subject is a plan and the options of its check.
type subject struct {
	planJSON
	noChanges bool // no change is expected; else at least one is
	boundary  boundary.Checker
}

// planRules are the rules about the content of a plan, in the order of their findings.
var planRules = []gate.Rule[subject]{
	errored{}, incomplete{}, deferred{}, unknownAction{}, failedCheck{}, drift{},
	changed{}, moved{}, imported{}, output{}, loss{remove}, loss{replace}, loss{forget},
	dnsZone{}, dnsZoneUnknown{}, dnsName{}, dnsUnknownType{}, nothingPlanned{}, noChange{},
}

// invocationRules are the rules about arguments and environment. They are checked before anything runs.
var invocationRules = []gate.Rule[invocation]{
	narrowing{"targeted", []string{"target", "target-file", "exclude", "exclude-file"}, "The plan would not be of everything"},
	narrowing{"unrefreshed", []string{"refresh"}, "Resources would not be, or were not, refreshed"},
	narrowing{"unlocked", []string{"lock"}, "The state would not be locked, or cannot be"},
	argument{}, cliConfig{},
}

const cannotTrust = "the plan is not one of everything that is there; fix what keeps it from being so"

// Rules with findings while the plan is made.
var (
	format          = gate.Info{ID: "format", Summary: "The plan has an unknown format", NeverWaive: cannotTrust}
	stale           = gate.Info{ID: "stale", Summary: "The state changed while the plan was made", NeverWaive: "plan again"}
	boundaryRule    = gate.Info{ID: "boundary", Summary: "The root module refers to something outside of the sandbox", NeverWaive: "list it in the boundary manifest if it is sandbox"}
	productionState = gate.Info{ID: "production_state", Summary: "The state is production's", NeverWaive: "set backend_override"}
	unknownState    = gate.Info{ID: "unknown_state", Summary: "The boundary manifest does not list the state as sandbox", NeverWaive: "list it, or set backend_override"}
)

// Rules describes all rules of the gate.
func Rules() []gate.Info {
	return slices.Concat(gate.Infos(invocationRules), gate.Infos(planRules, format, stale, boundaryRule, productionState, unknownState))
}

// known returns the changes with known actions; see unknownAction.
func (p planJSON) known() iter.Seq2[resource, string] {
	return func(yield func(resource, string) bool) {
		for _, r := range p.Changes {
			if kind := r.Change.kind(); !r.strange() && !yield(r, kind) {
				return
			}
		}
	}
}

// strange returns whether the kind of a change is unknown.
func (r resource) strange() bool {
	kind := r.Change.kind()
	switch r.Mode {
	case "managed":
		return r.Address == "" || kind == ""
	case "data":
		return r.Address == "" || kind != "read" && kind != noop && kind != remove
	}
	return true
}

// movedFrom returns the former address of a resource that moves; empty for others.
func (r resource) movedFrom() string {
	if r.PreviousAddress == r.Address {
		return ""
	}
	return r.PreviousAddress
}

// changes returns whether anything would change, including moves and imports.
func (p planJSON) changes() bool {
	for _, r := range p.Changes {
		if r.strange() || r.Change.kind() != noop || r.movedFrom() != "" || r.Change.importing() {
			return true
		}
	}
	for _, change := range p.Outputs {
		if change.kind() != noop {
			return true
		}
	}
	return false
}

// outputs returns the outputs that change, sorted by name.
func (p planJSON) outputs() iter.Seq2[string, resourceChange] {
	return func(yield func(string, resourceChange) bool) {
		for _, name := range slices.Sorted(maps.Keys(p.Outputs)) {
			if change := p.Outputs[name]; change.kind() != noop && !yield(name, change) {
				return
			}
		}
	}
}

func quoted(actions []string) string {
	out := ""
	for i, a := range actions {
		if i > 0 {
			out += ", "
		}
		out += strconv.Quote(a)
	}
	return "[" + out + "]"
}
