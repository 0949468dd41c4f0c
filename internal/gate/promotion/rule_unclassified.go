// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// unclassified finds the classes of the touched files, and is reported for each file without one.
type unclassified struct{}

func (unclassified) Info() gate.Info {
	return gate.Info{ID: "unclassified", Summary: "A file of the range has no class of change", NeverWaive: noWaiver}
}

func (unclassified) Check(_ context.Context, ev *evaluation, _ *gate.Report) {
	all := map[string]bool{}
	for _, f := range ev.touched {
		listed := touchedFile{Path: show(f.Path), Classes: []string{}, Commits: f.Commits, Net: f.Net}
		for _, p := range ev.policies {
			none := true
			for _, m := range p.Repositories[ev.request.Repository].Classes {
				if !m.holds(f.Path) {
					continue
				}
				none = false
				p.touched[m.Class], all[m.Class] = true, true
				if !slices.Contains(listed.Classes, m.Class) {
					listed.Classes = append(listed.Classes, m.Class)
				}
			}
			if none {
				ev.report.Add(gate.Finding{Rule: "unclassified", Path: listed.Path, Policy: p.of, Message: fmt.Sprintf(
					"the file %s has no class%s; add it to a class of the policy", listed.Path, ev.byPolicy(p))})
			}
		}
		slices.Sort(listed.Classes)
		ev.report.Files = append(ev.report.Files, listed)
	}
	ev.report.Classes = slices.Sorted(maps.Keys(all))
}
