// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/gate"
)

// relatedRepository is reported for a repository that the policy asks for and that is not given, cannot be read, or is not committed.
type relatedRepository struct{}

func (relatedRepository) Info() gate.Info {
	return gate.Info{ID: "related_repository", Summary: "A related repository is not as it has to be", NeverWaive: noWaiver}
}

func (relatedRepository) Check(ctx context.Context, ev *evaluation, _ *gate.Report) {
	for i, p := range ev.policies {
		ev.policies[i].related = ev.relatedTrees(ctx, p)
	}
}

// relatedTrees are the trees of the related repositories that evidence has to name.
func (ev *evaluation) relatedTrees(ctx context.Context, p version) []evidence.Tree {
	var out []evidence.Tree
	for _, name := range p.Repositories[ev.request.Repository].Related {
		tree := evidence.Tree{Repository: name, Tree: "unknown"} // which no record has
		path := ev.request.Related[name]
		var err error
		if path == "" {
			err = errors.New("the policy asks for it; set its path in related_repositories")
		} else if tree, err = evidence.TreeOf(ctx, ev.Runner, path); err == nil {
			tree.Repository = name
			if tree.Dirty {
				err = fmt.Errorf("its working tree differs from its commit (%s); commit or stash the difference", tree.Reason)
			}
		}
		if err != nil {
			ev.addFor("related_repository", p.of, "the repository %s: %v", name, err)
		}
		out = append(out, tree)
		if !slices.Contains(ev.report.Related, tree) {
			ev.report.Related = append(ev.report.Related, tree)
		}
	}
	return out
}
