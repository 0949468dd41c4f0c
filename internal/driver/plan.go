// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// undoTimeout is the timeout of cleaning up after a failure. It does not depend
// on the caller's context, which may have expired.
const undoTimeout = 60 * time.Second

// Step is one step of a plan. Check mode shows the steps that a real run
// executes, so they cannot disagree.
type Step struct {
	// Name completes "could not ...".
	Name string
	// Differences are shown to the user. A step without any only prepares others.
	Differences []Difference
	// Do executes the step. It MUST succeed if it was executed before.
	Do func(context.Context) error
	// Undo removes what Do created; nil if nothing. It is called for every step
	// that was started, so it MUST accept an incomplete one.
	Undo func(context.Context) error
}

// Plan is the list of steps from the current to the desired state.
type Plan struct {
	Steps []Step
	Notes []string // for the user, whether or not there are steps
}

// Add appends a step.
func (p *Plan) Add(step Step) { p.Steps = append(p.Steps, step) }

// differences are those of all steps.
func (p Plan) differences() []Difference {
	var all []Difference
	for _, step := range p.Steps {
		all = append(all, step.Differences...)
	}
	return all
}

// observer is called before (done is false) and after each step.
type observer func(step string, done bool)

// run executes the steps in order. If one fails, everything that they created is
// removed in reverse order, unless keep is set.
func (p Plan) run(ctx context.Context, keep bool, observe observer) error {
	if observe == nil {
		observe = func(string, bool) {}
	}
	for i, step := range p.Steps {
		observe(step.Name, false)
		err := ctx.Err()
		if err == nil {
			err = step.Do(ctx)
		}
		if err == nil {
			observe(step.Name, true)
			continue
		}
		err = fmt.Errorf("could not %s: %w", step.Name, err)
		if keep {
			return err
		}
		return errors.Join(err, undo(ctx, p.Steps[:i+1]))
	}
	return nil
}

func undo(ctx context.Context, steps []Step) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	var failed error
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].Undo == nil {
			continue
		}
		if err := steps[i].Undo(ctx); err != nil {
			failed = errors.Join(failed, fmt.Errorf("could not take back %q, the next run does: %w", steps[i].Name, err))
		}
	}
	return failed
}
