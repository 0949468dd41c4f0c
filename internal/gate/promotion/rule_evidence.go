// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/tree"
)

// evidenceRule is reported for each requirement that no record meets.
type evidenceRule struct{}

func (evidenceRule) Info() gate.Info {
	return gate.Info{ID: "evidence", Summary: "A gate or a drill that the policy requires is not in the ledger, not green, too old, or not faithful enough", NeverWaive: noWaiver}
}

func (evidenceRule) Check(_ context.Context, ev *evaluation, report *gate.Report) {
	trusted := !report.Has("clock", "ledger")
	for _, p := range ev.policies {
		for _, class := range slices.Sorted(maps.Keys(p.touched)) {
			ev.checkClass(p, class, trusted)
		}
	}
}

// checkClass looks up the requirements of a class in the ledger.
func (ev *evaluation) checkClass(p version, name string, trusted bool) {
	class := p.Classes[name]
	if class.Exempt != "" {
		if ev.report.Exempt == nil {
			ev.report.Exempt = map[string]string{}
		}
		ev.report.Exempt[name] = class.Exempt
	}
	for _, need := range slices.Concat(class.Gates, class.Drills) {
		required := requirement{Policy: p.of, Class: name, Need: need, MaxAge: class.MaxAge.String(), Fidelity: class.Fidelity}
		ev.report.Required = append(ev.report.Required, required)
		entry, reason := ev.find(class, name, need, p.related)
		if reason == "" && !trusted {
			reason = fmt.Sprintf("record %d would count if the ledger and the clock could be trusted", entry.Sequence)
		}
		if reason == "" {
			ev.report.Matched = append(ev.report.Matched, foundRecord{Policy: p.of, Class: name, What: need.Name, Sequence: entry.Sequence, Time: entry.Time, Hash: entry.Hash,
				Age: ev.now.Sub(entry.Time).Truncate(time.Second).String()})
			continue
		}
		ev.report.Missing = append(ev.report.Missing, missingRecord{Policy: p.of, Class: name, What: need.Name, Reason: reason, Nearest: entry.Sequence})
		ev.addFor("evidence", p.of, "%s is missing for %s%s: %s", need.Name, name, ev.byPolicy(p), reason)
	}
}

// find returns the newest record that counts. If there is none, it returns the
// reason, and the record that passes most tests.
func (ev *evaluation) find(class class, name string, need gateRequirement, related []tree.State) (entry evidence.Entry, reason string) {
	reason = "the ledger holds no record of it"
	nearest := -1
	red := 0
	for n, e := range slices.Backward(ev.entries) {
		if e.What != need.Name {
			continue
		}
		passed, why := ev.counts(n, class, name, need, related)
		if why == "" && red > 0 {
			passed, why = 100, fmt.Sprintf("record %d after it, of the same tree, is red", red)
		}
		if why == "" {
			return e, ""
		}
		if passed > nearest {
			nearest, entry, reason = passed, e, fmt.Sprintf("record %d does not count: %s", e.Sequence, why)
		}
		if red == 0 && e.Verdict != evidence.Green && ev.sameTree(e) {
			red = e.Sequence
		}
	}
	return entry, reason
}

// sameTree returns whether an entry is about the tree to promote.
func (ev *evaluation) sameTree(e evidence.Entry) bool {
	return slices.ContainsFunc(e.Trees, func(t tree.State) bool { return t.Repository == ev.request.Repository && t.Tree == ev.report.Tree })
}

// counts returns the number of tests that an entry passes, and why it does not
// count; empty if it does.
func (ev *evaluation) counts(n int, class class, name string, need gateRequirement, related []tree.State) (passed int, why string) {
	e := ev.entries[n]
	tests := []func() string{
		func() string { return ev.ofTree(e, ev.request.Repository, ev.report.Tree) },
		func() string {
			if e.Verdict != evidence.Green {
				return "it is " + string(e.Verdict) + ": " + e.Summary
			}
			return ""
		},
		func() string {
			if len(e.Classes) > 0 && !slices.Contains(e.Classes, name) {
				return "it was run for " + strings.Join(e.Classes, ", ")
			}
			return ""
		},
		func() string {
			for _, tree := range related {
				if why := ev.ofTree(e, tree.Repository, tree.Tree); why != "" {
					return why
				}
			}
			return ""
		},
		func() string {
			for _, one := range []struct{ name, found string }{{"boundary manifest", e.Boundary}, {"parity manifest", e.Manifest}, {"inventory", e.Inventory}} {
				switch wanted, asked := ev.digests[one.name]; {
				case !asked || one.found == wanted:
				case one.found == "":
					return "it does not name the " + one.name
				default:
					return "it was run with another " + one.name
				}
			}
			return ""
		},
		func() string { return class.Fidelity.lacks(e.Record) },
		func() string {
			switch age := ev.now.Sub(e.Time); {
			case age > class.MaxAge:
				return fmt.Sprintf("it is %s old, and may be %s", age.Truncate(time.Second), class.MaxAge)
			case age < -clockSkew:
				return "it is from the future"
			case !ev.least[n].IsZero() && ev.least[n].Before(e.Time.Add(-clockSkew)):
				return fmt.Sprintf("it is of %s, and a later record of %s: the clock was set back in between, so its age is unknown",
					e.Time.UTC().Format(time.RFC3339), ev.least[n].UTC().Format(time.RFC3339))
			}
			return ""
		},
		func() string {
			in := need.In
			if in == "" {
				in = ev.request.Repository
			}
			// Trees of other repositories are compared only if the policy requires them.
			if in != ev.request.Repository && !slices.ContainsFunc(related, func(t tree.State) bool { return t.Repository == in }) {
				return "what was run has to be in " + in + ", which the policy does not list under related_repositories of " + ev.request.Repository
			}
			return reported(e.Report, need, in)
		},
	}
	for passed, test := range tests {
		if why := test(); why != "" {
			return passed, why
		}
	}
	return len(tests), ""
}

// ofTree returns why an entry is not about one tree of a repository; empty if it is.
func (ev *evaluation) ofTree(e evidence.Entry, repository, wanted string) string {
	var found []tree.State
	for _, tree := range e.Trees {
		if tree.Repository == repository {
			found = append(found, tree)
		}
	}
	switch {
	case len(found) == 0:
		return "it does not name the repository " + repository
	case len(found) > 1:
		return "it names the repository " + repository + " twice"
	case found[0].Tree != wanted:
		return fmt.Sprintf("it is about the tree %s of %s, not %s", short(found[0].Tree), repository, short(wanted))
	case found[0].Dirty:
		why := "it is of a working tree of " + repository + " that was not committed"
		if reason := found[0].Reason; reason != "" {
			why += " (" + reason + ")"
		}
		return why
	}
	return ""
}

// lacks returns the first requirement of fidelity that a run does not meet; empty if it meets all.
func (f fidelity) lacks(r evidence.Record) string {
	for _, one := range []struct {
		name, found string
		good        words
	}{{"mode", r.Mode, f.Modes}, {"driver", r.Driver, f.Drivers}, {"distribution", r.Distribution, f.Distributions}} {
		switch {
		case one.good.Any || slices.Contains(one.good.List, one.found):
		case one.found == "":
			return "it does not name the " + one.name
		default:
			return fmt.Sprintf("the %s %s is not accepted; the policy accepts %s", one.name, one.found, strings.Join(one.good.List, ", "))
		}
	}
	for _, one := range []struct {
		name  string
		found []string
		good  words
	}{{"deviation", r.Deviations, f.Deviations}, {"waiver", r.Waivers, f.Waivers}} {
		for _, text := range one.found {
			if !one.good.Any && !slices.ContainsFunc(one.good.List, func(pattern string) bool { return matchName(pattern, text) }) {
				return fmt.Sprintf("the %s %q was in force", one.name, text)
			}
		}
	}
	return ""
}
