// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"strconv"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// failedCheck is reported for a check block, or a condition, that does not pass.
type failedCheck struct{}

func (failedCheck) Info() gate.Info {
	return gate.Info{ID: "check", Summary: "A check block or a condition does not pass"}
}

func (failedCheck) Check(_ context.Context, s subject, report *gate.Report) {
	for _, check := range s.Checks {
		if check.Status != "pass" && check.Status != "unknown" {
			report.Add(gate.Finding{Rule: "check", Resource: check.Address.Display, Expected: "pass", Found: "its status is " + strconv.Quote(check.Status)})
		}
	}
}
