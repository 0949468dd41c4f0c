// SPDX-License-Identifier: GPL-3.0-or-later

package promotion

import (
	"context"
	"errors"
	"fmt"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// rangeRule reads the commits from base to head, and is reported if they are not a range, or if it is empty.
type rangeRule struct{}

func (rangeRule) Info() gate.Info {
	return gate.Info{ID: "range", Summary: "Base and head are not a range of commits that can be promoted", NeverWaive: noWaiver}
}

func (rangeRule) Check(ctx context.Context, ev *evaluation, report *gate.Report) {
	if report.Has("repository", "range") {
		return
	}
	if rule, err := ev.readRange(ctx); err != nil {
		ev.add(rule, "%s: %v", ev.request.Repository, err)
	}
}

// readRange reads base, the files of both ends and those that were touched. The
// rule is the one that an error violates.
func (ev *evaluation) readRange(ctx context.Context) (rule string, err error) {
	head, base := ev.report.Head, ""
	if !nothing(ev.request.Base) {
		if base, err = ev.git.commit(ctx, ev.request.Base); err != nil {
			return "range", err
		}
		ev.report.Base = base
		before, err := ev.git.ancestor(ctx, base, head)
		switch {
		case err != nil:
			return "repository", err
		case base == head:
			return "range", fmt.Errorf("the range is empty: base and head are both %s", short(head))
		case !before:
			return "range", fmt.Errorf("base %s is not an ancestor of head %s; history was rewritten, or they are swapped", short(base), short(head))
		}
	}
	if ev.touched, ev.report.Commits, err = ev.git.touched(ctx, base, head); err != nil {
		return "repository", err
	}
	ev.trees = map[string]map[string]file{}
	for name, commit := range map[string]string{"base": base, "head": head} {
		if commit == "" {
			continue
		}
		if ev.trees[name], err = ev.git.files(ctx, commit); err != nil {
			return "repository", err
		}
	}
	if len(ev.touched) == 0 {
		return "range", errors.New("no commit of the range touches a file, so there is nothing to promote")
	}
	return "", nil
}
