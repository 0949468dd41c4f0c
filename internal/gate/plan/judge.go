// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
)

// Finding is one thing that is not as it must be.
type Finding struct {
	Rule     string `json:"rule"`
	Address  string `json:"address,omitempty"`
	Where    string `json:"where,omitempty"`
	Expected string `json:"expected"`
	Found    string `json:"found"`
	Message  string `json:"message"`
}

func found(rule, address, expected, what string) Finding {
	f := Finding{Rule: rule, Address: address, Expected: expected, Found: what}
	f.Message = rule + ": "
	if address != "" {
		f.Message += address + ": "
	}
	f.Message += what
	return f
}

// Allowed is a loss that may be.
type Allowed struct {
	Address string `arg:"address"`
	Action  string `arg:"action"`
	Reason  string `arg:"reason"`
}

// Rules are what a plan is held against.
type Rules struct {
	NoChanges bool // nothing at all may change; else something must
	Allowed   []Allowed
	Engine    boundary.Checker
}

// Planned is what would become of one resource.
type Planned struct {
	Address    string   `json:"address"`
	Action     string   `json:"action"`
	From       string   `json:"from,omitempty"` // the address before, of one that moves
	Importing  bool     `json:"importing"`
	Attributes []string `json:"attributes"` // names of those that differ
}

// Judge holds a plan against the rules. unused are what was allowed and did not occur.
func Judge(ctx context.Context, p Plan, rules Rules) (findings []Finding, unused []Allowed) {
	say := func(rule, address, expected, what string) {
		findings = append(findings, found(rule, address, expected, what))
	}
	major, _, _ := strings.Cut(p.Format, ".")
	if n, err := strconv.Atoi(major); err != nil || n != 1 {
		say("format", "", "a plan of format 1", fmt.Sprintf("format %q", p.Format))
		return findings, nil // its keys may mean anything
	}
	if p.Errored {
		say("errored", "", "a plan that was made to its end", "planning ended with an error, so something may be missing from it")
	}
	if p.Complete != nil && !*p.Complete {
		say("incomplete", "", "a plan of everything", "it is not complete: after it, more would change")
	}
	if p.Deferred > 0 {
		say("deferred", "", "nothing put off", fmt.Sprintf("%d changes are put off to a later plan", p.Deferred))
	}
	for _, name := range p.Unknown {
		say("unknown_action", "", "actions that are known", "the plan has a part "+strconv.Quote(name)+", which is not known")
	}
	for _, check := range p.Checks {
		switch check.Status {
		case "pass", "unknown":
		default:
			say("check", check.Address.Display, "every check passes", "its status is "+strconv.Quote(check.Status))
		}
	}
	for _, r := range p.Drift {
		if kind := r.Change.kind(); kind != noop {
			say("drift", r.Address, "what the state says", fmt.Sprintf("it was changed outside (%s) in %s", strings.Join(r.Change.Actions, " and "), list(r.Change.attributes())))
		}
	}
	used := make([]bool, len(rules.Allowed))
	permitted := func(address, action string) bool {
		for n, a := range rules.Allowed {
			if a.Address == address && a.Action == action {
				used[n] = true
				return true
			}
		}
		return false
	}
	changes := 0
	for _, r := range p.Changes {
		kind := r.Change.kind()
		switch {
		case r.Address == "" || kind == "":
			say("unknown_action", r.Address, "an action that is known", fmt.Sprintf("the actions %q", r.Change.Actions))
			changes++
			continue
		case r.Mode == "data" && kind != "read" && kind != noop && kind != remove, r.Mode != "data" && r.Mode != "managed":
			say("unknown_action", r.Address, "a managed resource, or data that is read", fmt.Sprintf("the action %s of mode %q", kind, r.Mode))
			changes++
			continue
		}
		moved, imported := r.PreviousAddress != "" && r.PreviousAddress != r.Address, r.Change.importing()
		if kind != noop || moved || imported {
			changes++
		}
		if rules.NoChanges {
			if kind != noop {
				say("changed", r.Address, "no change", fmt.Sprintf("%s of %s", kind, list(r.Change.attributes())))
			}
			if moved {
				say("moved", r.Address, "no change", "it moves here from "+r.PreviousAddress)
			}
			if imported {
				say("imported", r.Address, "no change", "it would be imported")
			}
		}
		if r.Mode == "managed" {
			for _, loss := range losses(kind) {
				if !permitted(r.Address, loss) && !rules.NoChanges {
					say(loss, r.Address, "no "+loss+" that is not listed with a reason", kind+deposed(r))
				}
			}
			if kind != noop || moved || imported {
				findings = append(findings, judgeDNS(ctx, rules.Engine, r)...)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Outputs)) {
		change := p.Outputs[name]
		kind := change.kind()
		switch {
		case kind == "":
			say("unknown_action", "output."+name, "an action that is known", fmt.Sprintf("the actions %q", change.Actions))
			changes++
		case kind != noop:
			changes++
			if rules.NoChanges {
				say("output", "output."+name, "no change", kind)
			}
		}
	}
	if p.Applyable != nil && !*p.Applyable && changes > 0 && !rules.NoChanges && !p.Errored {
		say("incomplete", "", "a plan that can be applied", "there are changes, and the program says that it cannot be applied")
	}
	switch {
	case len(p.Changes) == 0 && len(p.Outputs) == 0:
		say("nothing_planned", "", "at least one resource or output", "the plan holds none")
	case !rules.NoChanges && changes == 0:
		say("no_change", "", "something changes", "nothing would change")
	}
	for n, a := range rules.Allowed {
		if !used[n] {
			unused = append(unused, a)
		}
	}
	return findings, unused
}

// losses are what of a change needs a reason.
func losses(kind string) []string {
	switch kind {
	case remove, replace, forget:
		return []string{kind}
	case "forget and create":
		return []string{forget}
	}
	return nil
}

func deposed(r Resource) string {
	if r.Deposed == "" {
		return ""
	}
	return " of the deposed object " + r.Deposed
}

func list(names []string) string {
	if len(names) == 0 {
		return "no attribute that shows"
	}
	return strings.Join(names, ", ")
}

// Changes lists what a plan would do, without values.
func (p Plan) changes() []Planned {
	out := []Planned{}
	for _, r := range p.Changes {
		kind := r.Change.kind()
		if kind == "" {
			kind = strings.Join(r.Change.Actions, " and ")
		}
		if moved := r.PreviousAddress != "" && r.PreviousAddress != r.Address; kind != noop || moved || r.Change.importing() {
			out = append(out, Planned{Address: r.Address, Action: kind, From: r.PreviousAddress, Importing: r.Change.importing(), Attributes: r.Change.attributes()})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Outputs)) {
		if change := p.Outputs[name]; change.kind() != noop {
			out = append(out, Planned{Address: "output." + name, Action: strings.Join(change.Actions, " and "), Attributes: []string{}})
		}
	}
	return out
}
