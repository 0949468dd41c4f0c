// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/run"
)

// recording is one run of the playbook, for the rules.
type recording struct {
	run      string // check or converge
	events   []event
	broken   error // why events may be missing
	ended    error // the program's error
	expected expected
	first    int // order of the first event's findings

	plays   int
	active  map[string]bool   // hosts on which a task ran; gathering facts does not count
	matched map[string]bool   // hosts that a play matched
	counted map[string]counts // results by host, counted from the events
}

// expected is what a run is checked against.
type expected struct {
	Hosts    []string // that must run tasks; empty: those that a play matches
	Tags     []string
	SkipTags []string
	// Converged is true if a real run is compared with this one, which reveals tasks
	// that check mode skipped. Without it, every possible skip is a finding.
	Converged bool
}

// record reads the events of one run.
func record(name string, events []event, broken, ended error, expected expected) *recording {
	r := &recording{
		run: name, events: events, broken: broken, ended: ended, expected: expected,
		active: map[string]bool{}, matched: map[string]bool{}, counted: map[string]counts{},
	}
	if name == converge {
		r.first = 1 << 30 // after the findings of the check
	}
	for _, e := range events {
		switch e.Kind {
		case "play":
			r.plays++
			var hosts []string
			_ = json.Unmarshal(e.Hosts, &hosts) // a play without hosts matched none
			for _, host := range hosts {
				r.matched[host] = true
			}
		case "result":
			r.count(e)
		}
	}
	return r
}

func (r *recording) count(e event) {
	c := r.counted[e.Host]
	switch e.Result {
	case "failed":
		if e.Ignored {
			c.Ignored++
		} else {
			c.Failures++
		}
	case "unreachable":
		if e.Ignored {
			c.Ignored++
		} else {
			c.Unreachable++
		}
	case "skipped":
		c.Skipped++
	}
	if e.tellsChange() {
		if e.Changed {
			c.Changed++
		}
		if e.Result != "skipped" && !e.Implicit {
			r.active[e.Host] = true
		}
	}
	r.counted[e.Host] = c
}

// tellsChange returns whether a result says that something changed or did not.
func (e event) tellsChange() bool {
	return e.Kind == "result" && e.Result != "unreachable" && (e.Result != "failed" || e.Changed)
}

// checkRules are the rules about one run, in the order of evaluation.
var checkRules = []gate.Rule[*recording]{
	notCheck{}, narrowed{}, noHosts{}, failed{}, rescuedFailure{}, ignoredFailure{}, unreachable{}, checkModeSkip{},
	changed{}, hiddenChange{}, incomplete{}, nothingRan{}, missingHost{},
}

// Rules describes all rules of the gate.
func Rules() []gate.Info {
	return gate.Infos(checkRules, undeclaredChange, unexplainedChange, noSnapshot)
}

// check reports the violations of one run. For a run without events it reports only that.
func (r *recording) check(ctx context.Context, report *gate.Report, rules []gate.Rule[*recording]) {
	if !r.began() {
		rules = []gate.Rule[*recording]{nothingRan{}}
	}
	gate.Check(ctx, rules, r, report)
}

func (r *recording) began() bool { return len(r.events) > 0 && r.events[0].Kind == "begin" }

// at returns a finding about the run at an event.
func (r *recording) at(e event, rule string) gate.Finding {
	f := gate.Finding{Rule: rule, Run: r.run, Task: e.Task, Where: e.Where, Host: e.Host, Order: r.first + e.Number}
	if e.On != "" && e.On != e.Host {
		f.Host = e.Host + " → " + e.On
	}
	return f
}

// whole returns a finding about the whole run.
func (r *recording) whole(rule, expected, found string) gate.Finding {
	return gate.Finding{Rule: rule, Run: r.run, Expected: expected, Found: found, Order: r.first + len(r.events)}
}

// has returns whether this run has an unwaived finding of one of the rules.
func (r *recording) has(report *gate.Report, rules ...string) bool {
	return slices.ContainsFunc(report.Findings, func(f gate.Finding) bool { return f.Run == r.run && slices.Contains(rules, f.Rule) })
}

func oneLine(text string) string { return gate.OneLine(text, 300) }

// how returns the first error that a program printed, on one line.
func how(ended error) string {
	var failed *run.Error
	if !errors.As(ended, &failed) || failed.Result.Code < 0 {
		return oneLine(ended.Error())
	}
	status := fmt.Sprintf("ansible-playbook ended with status %d", failed.Result.Code)
	for line := range strings.Lines(string(failed.Result.Stderr)) {
		if strings.Contains(line, "ERROR") {
			return status + ": " + oneLine(line)
		}
	}
	if last := run.LastLine(failed.Result.Stderr); last != "" {
		return status + ": " + oneLine(last)
	}
	return status
}

// reason returns why a task failed.
func (e event) reason() string {
	for _, item := range e.Items {
		if item.Failed && item.Msg != "" {
			return oneLine(item.Msg)
		}
	}
	if e.Msg != "" {
		return oneLine(e.Msg)
	}
	return "no message"
}
