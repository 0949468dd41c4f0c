// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/tree"
)

// relatedRepository is reported for a required repository that is not given, cannot be read, or has uncommitted changes.
type relatedRepository struct{}

func (relatedRepository) Info() gate.Info {
	return gate.Info{ID: "related_repository", Summary: "A related repository is not as it has to be", NeverWaive: noWaiver}
}

func (relatedRepository) Check(ctx context.Context, ev *evaluation, _ *gate.Report) {
	for i, p := range ev.policies {
		ev.policies[i].related = ev.relatedTrees(ctx, p)
	}
}

// relatedTrees returns the trees of the related repositories that evidence must have.
func (ev *evaluation) relatedTrees(ctx context.Context, p version) []tree.State {
	var out []tree.State
	for _, name := range p.Repositories[ev.request.Repository].Related {
		state := tree.State{Repository: name, Tree: "unknown"} // equals that of no record
		path := ev.request.Related[name]
		var err error
		if path == "" {
			err = errors.New("the policy requires it; set its path in related_repositories")
		} else if state, err = tree.Of(ctx, ev.Runner, path); err == nil {
			state.Repository = name
			if state.Dirty {
				err = fmt.Errorf("its working tree differs from its commit (%s); commit or stash the difference", state.Reason)
			}
		}
		if err != nil {
			ev.addFor("related_repository", p.of, "the repository %s: %v", name, err)
		}
		out = append(out, state)
		if !slices.Contains(ev.report.Related, state) {
			ev.report.Related = append(ev.report.Related, state)
		}
	}
	return out
}
