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

// deployment is reported if production's playbook failed.
var deployment = gate.Info{ID: "deployment", Summary: "The playbook of production ended with an error", NeverWaive: "read the log, and repair production"}

// Deploy runs production's playbook from the tree of a green report. override
// requests the guard's override. After it the request is evaluated again, so that
// the checked tree is the one that runs. A failed playbook is a finding of
// the report.
func (g Gate) Deploy(ctx context.Context, q Request, report Report, launch Launch, override func(context.Context) error) (Launched, error) {
	launched, err := g.launch(ctx, q.Path, report.Tree, launch, func(ctx context.Context) error {
		if err := override(ctx); err != nil {
			return err
		}
		return g.confirm(ctx, q, report)
	})
	if err == nil && launched.Code != 0 {
		report.Add(gate.Finding{Rule: deployment.ID, Path: launch.Playbook, Message: fmt.Sprintf(
			"production was promoted to the tree %s, and %s ended with status %d; read %s", report.Tree, launch.Playbook, launched.Code, launch.Log)})
		report.Finish(true)
	}
	return launched, err
}

// confirm evaluates again: the result must be the same.
func (g Gate) confirm(ctx context.Context, q Request, report Report) error {
	g.Heads = append(slices.Clone(g.Heads), report.LedgerHead)
	q.Head = report.Head
	again, err := g.Evaluate(ctx, q)
	switch {
	case err != nil:
		return err
	case again.Verdict != evidence.Green:
		return fmt.Errorf("it was green, and is not any more: %s", again.Summary())
	case again.Tree != report.Tree || again.Base != report.Base || again.Boundary != report.Boundary || !slices.Equal(again.Policies, report.Policies):
		return errors.New("what was checked changed in the meantime; run it again")
	}
	return nil
}
