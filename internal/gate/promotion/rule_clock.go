// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"os"
	"time"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// clockRule is reported if now is before a commit, a record or the last evaluation, since ages would be wrong.
type clockRule struct{}

func (clockRule) Info() gate.Info {
	return gate.Info{ID: "clock", Summary: "The clock is behind something that is known to have happened", NeverWaive: noWaiver}
}

func (clockRule) Check(ctx context.Context, ev *evaluation, _ *gate.Report) {
	late := func(what string, when time.Time) {
		if when.After(ev.now.Add(clockSkew)) {
			ev.add("clock", "the clock is at %s, and %s is of %s; the clock was set back, or was ahead then",
				ev.now.UTC().Format(time.RFC3339), what, when.UTC().Format(time.RFC3339))
		}
	}
	when, err := ev.git.when(ctx, ev.report.Head)
	if err != nil {
		ev.add("clock", "%v", err)
	}
	late("the commit "+short(ev.report.Head), when)
	for _, path := range []string{ev.request.Ledger, ev.request.Ledger + ".head"} {
		if info, err := os.Stat(path); err == nil {
			late("the file "+path, info.ModTime())
		}
	}
	seen, err := ev.readWitness()
	if err != nil {
		ev.add("clock", "%v", err)
	}
	late("the last evaluation (in "+ev.Witness+")", seen.Evaluated)
	ev.witness = seen
}
