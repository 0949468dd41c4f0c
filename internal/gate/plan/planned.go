// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// checkPlan checks a plan against the rules. If its format is unknown, nothing
// else is checked, since keys may have another meaning.
func checkPlan(ctx context.Context, p planJSON, o Options, report *gate.Report) {
	major, _, _ := strings.Cut(p.Format, ".")
	if n, err := strconv.Atoi(major); err != nil || n != 1 {
		report.Add(gate.Finding{Rule: "format", Expected: "a plan of format 1", Found: "format " + strconv.Quote(p.Format)})
		return
	}
	gate.Check(ctx, planRules, subject{planJSON: p, noChanges: o.NoChanges, boundary: o.Boundary}, report)
}

func list(names []string) string {
	if text := strings.Join(names, ", "); text != "" {
		return text
	}
	return "no attribute that is shown"
}

// planned lists the changes of a plan, without values.
func (p planJSON) planned() []plannedChange {
	out := []plannedChange{}
	for _, r := range p.Changes {
		kind := r.Change.kind()
		if kind == "" {
			kind = strings.Join(r.Change.Actions, " and ")
		}
		if moved := r.PreviousAddress != "" && r.PreviousAddress != r.Address; kind != noop || moved || r.Change.importing() {
			out = append(out, plannedChange{Address: r.Address, Action: kind, From: r.PreviousAddress, Importing: r.Change.importing(), Attributes: r.Change.attributes()})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Outputs)) {
		if change := p.Outputs[name]; change.kind() != noop {
			out = append(out, plannedChange{Address: "output." + name, Action: strings.Join(change.Actions, " and "), Attributes: []string{}})
		}
	}
	return out
}
