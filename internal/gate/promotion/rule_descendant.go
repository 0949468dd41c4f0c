// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"slices"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/tree"
)

// descendantRule compares base with the ledger: the caller chooses base, and
// commits before base are not checked. So the last promoted commit must
// be base, or descend from it.
type descendantRule struct{}

func (descendantRule) Info() gate.Info {
	return gate.Info{ID: "descendant", Summary: "Commits between the last promotion and base were never checked", NeverWaive: noWaiver}
}

func (descendantRule) Check(ctx context.Context, ev *evaluation, _ *gate.Report) {
	if !ev.request.RequireDescendant || ev.report.Base == "" {
		return
	}
	for _, e := range slices.Backward(ev.entries) {
		at := slices.IndexFunc(e.Trees, func(t tree.State) bool { return t.Repository == ev.request.Repository })
		if e.What != "promotion" || e.Verdict != evidence.Green || at < 0 {
			continue
		}
		last, err := ev.git.commit(ctx, e.Trees[at].Commit)
		if err != nil {
			ev.add("descendant", "record %d promoted the commit %s, which is not in the repository; fetch it: %v", e.Sequence, short(e.Trees[at].Commit), err)
			return
		}
		before, err := ev.git.ancestor(ctx, ev.report.Base, last)
		switch {
		case err != nil:
			ev.add("repository", "%s: %v", ev.request.Repository, err)
		case !before:
			ev.add("descendant", "base %s is neither what was promoted last (%s, by record %d) nor an ancestor of it; use %[2]s as base",
				short(ev.report.Base), short(last), e.Sequence)
		}
		return
	}
}
