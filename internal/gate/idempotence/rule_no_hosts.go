// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"
	"fmt"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// noHosts is reported for a play that matched no host. The task of the finding is the play.
type noHosts struct{}

func (noHosts) Info() gate.Info {
	return gate.Info{ID: "no_hosts", Summary: "A play matched no host; the task is the play"}
}

func (noHosts) Check(_ context.Context, r *recording, report *gate.Report) {
	for _, e := range r.events {
		if e.Kind == "no_hosts" {
			f := r.at(e, "no_hosts")
			f.Task, f.Expected, f.Found = e.Play, "at least one host", fmt.Sprintf("the play %q matched no host", e.Play)
			report.Add(f)
		}
	}
}
