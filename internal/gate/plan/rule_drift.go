// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// drift is reported for each attribute that was changed outside of the program.
type drift struct{}

func (drift) Info() gate.Info {
	return gate.Info{ID: "drift", Summary: "A resource was changed outside of OpenTofu or Terraform; the path is the attribute"}
}

func (drift) Check(_ context.Context, s subject, report *gate.Report) {
	for _, r := range s.Drift {
		if r.Change.kind() == noop {
			continue
		}
		attributes := r.Change.attributes()
		if len(attributes) == 0 {
			attributes = []string{""}
		}
		for _, name := range attributes {
			report.Add(gate.Finding{
				Rule: "drift", Resource: r.Address, Path: strings.TrimSuffix(name, " (sensitive)"), Expected: "what the state holds",
				Found: "changed outside (" + strings.Join(r.Change.Actions, " and ") + ") in " + list([]string{name}),
			})
		}
	}
}
