// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// repositoryRule opens the repository, and is reported if it cannot be read or lacks history.
type repositoryRule struct{}

func (repositoryRule) Info() gate.Info {
	return gate.Info{ID: "repository", Summary: "The repository cannot be read, or does not hold its whole history", NeverWaive: noWaiver}
}

func (repositoryRule) Check(ctx context.Context, ev *evaluation, _ *gate.Report) {
	failed := func(err error) { ev.add("repository", "%s: %v", ev.request.Repository, err) }
	if err := ev.git.whole(ctx); err != nil {
		failed(err)
		return
	}
	if top, err := ev.git.line(ctx, "rev-parse", "--path-format=absolute", "--show-toplevel"); err == nil {
		ev.top = top
	} // a bare repository has none
	head, err := ev.git.commit(ctx, ev.request.Head)
	if err != nil {
		ev.add("range", "%s: %v", ev.request.Repository, err)
		return
	}
	ev.report.Head = head
	if ev.report.Tree, err = ev.git.line(ctx, "rev-parse", "--verify", head+"^{tree}"); err != nil {
		failed(err)
	}
}
