// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/lazyregexp"
)

// checkModeSkip is reported for a task that was skipped because of check mode.
// Unless a real run is compared, it is also reported for a task or play with a
// keyword that depends on check mode without an effect in a result (whether a
// play ends, the items of a loop, an include, failed_when, changed_when).
type checkModeSkip struct{}

func (checkModeSkip) Info() gate.Info {
	return gate.Info{ID: "check_mode_skip", Summary: "Check mode left out a task, or decides what a task does; the task may be a play"}
}

const checkModeSkipExpected = "a task that check mode runs, or a waiver"

func (checkModeSkip) Check(_ context.Context, r *recording, report *gate.Report) {
	for _, e := range r.events {
		if len(e.Dependencies) > 0 && r.run == check && !r.expected.Converged {
			f, whose := r.at(e, "check_mode_skip"), "its "
			if e.Task == "" {
				f.Task, whose = e.Play, "the play's "
			}
			for _, k := range e.Dependencies {
				f.Expected = checkModeSkipExpected
				f.Found = "it depends on check mode, so a real run may do something else: " + whose + k.Name + " is " + oneLine(k.Value)
				report.Add(f)
			}
		}
		if reason, item, ok := r.skipped(e); ok {
			f := r.at(e, "check_mode_skip")
			f.Item, f.Expected, f.Found = item, checkModeSkipExpected, "it was skipped because of check mode: "+reason
			report.Add(f)
		}
	}
}

// skipped returns whether a result, or an item of its loop, was skipped because of check mode.
func (r *recording) skipped(e event) (reason, item string, ok bool) {
	if !e.tellsChange() || r.run != check && (e.CheckMode == nil || !*e.CheckMode) {
		return "", "", false // a real run skips nothing because of check mode
	}
	dependent := e.DependentWhen
	if r.expected.Converged {
		dependent = nil
	}
	outcomes := e.Items
	if len(outcomes) == 0 {
		outcomes = []outcome{e.outcome}
	}
	for _, o := range outcomes {
		if reason, ok := o.skipReason(e.When, dependent); ok {
			return reason, o.Item, true
		}
	}
	return "", "", false
}

var (
	mentionsCheckMode = lazyregexp.New(`(?i)check[ _-]?mode`)
	emptyLoop         = lazyregexp.New(`(?i)no items in the list`)
)

// skipReason returns whether a task was skipped because of check mode: by a
// condition that depends on it directly or through variables; or by the module,
// with a message that mentions it or, like the raw module, without a message.
func (o outcome) skipReason(when, dependent []string) (string, bool) {
	if !o.Skipped {
		return "", false
	}
	if o.FalseCondition != "" {
		if mentionsCheckMode.MatchString(o.FalseCondition) {
			return "its condition is: " + oneLine(o.FalseCondition), true
		}
		if slices.Contains(dependent, o.FalseCondition) {
			return "a variable in its condition depends on it: " + oneLine(o.FalseCondition), true
		}
		return "", false
	}
	message := strings.TrimSpace(o.Msg + " " + o.SkipReason + " " + o.SkippedReason)
	switch {
	case emptyLoop.MatchString(message):
		return "", false
	case mentionsCheckMode.MatchString(message):
		return oneLine(message), true
	case o.SkipReason != "":
		// Ansible skipped it by a condition that the result does not contain.
		if joined := strings.Join(when, " and "); mentionsCheckMode.MatchString(joined) {
			return "its condition is: " + oneLine(joined), true
		}
		if len(dependent) > 0 {
			return "a variable in its condition depends on it: " + oneLine(strings.Join(dependent, " and ")), true
		}
		return "", false
	case message == "":
		return "the module skipped itself without a reason", true
	}
	return "", false
}
