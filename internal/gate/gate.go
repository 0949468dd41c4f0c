// SPDX-License-Identifier: GPL-3.0-or-later

// Package gate is the common part of all gates: rules, findings, waivers, the
// report, and the run of a gate's module. Each gate is a package
// below it, with one file per rule. This package does not depend on any gate.
package gate

import (
	"context"
	"fmt"
	"strings"

	"github.com/arcodange-org/sandbox/internal/oneline"
)

// Info describes a rule.
type Info struct {
	ID      string // lower case with underscores, unique within its gate
	Summary string // what it reports, one clause: "A task would change something"

	// NeverWaive is the reason why findings of the rule cannot be waived; empty if they can.
	NeverWaive string
}

// Rule is one requirement of a gate on its subject, a value of type S.
type Rule[S any] interface {
	Info() Info

	// Check MUST add a finding to report for each violation, and nothing else.
	// The report has the findings of earlier rules.
	Check(ctx context.Context, subject S, report *Report)
}

// Check runs rules in their order.
func Check[S any](ctx context.Context, rules []Rule[S], subject S, report *Report) {
	for _, rule := range rules {
		rule.Check(ctx, subject, report)
	}
}

// Infos returns the descriptions of rules, and of further findings of a gate.
func Infos[S any](rules []Rule[S], more ...Info) []Info {
	out := make([]Info, 0, len(rules)+len(more))
	for _, rule := range rules {
		out = append(out, rule.Info())
	}
	return append(out, more...)
}

// Change is one difference, as `ansible-playbook --diff` shows it.
type Change struct {
	Header   string `json:"header,omitempty"`
	Before   string `json:"before,omitempty"`
	After    string `json:"after,omitempty"`
	Prepared string `json:"prepared,omitempty"`
}

// Finding is one violation of a rule. Fields that do not apply are empty.
type Finding struct {
	Rule     string   `json:"rule"`
	Path     string   `json:"path,omitempty"`     // of a file, or in a manifest: nodes/pi1/roles
	Task     string   `json:"task,omitempty"`     // or play, as Ansible names it
	Item     string   `json:"item,omitempty"`     // of the task's loop
	Resource string   `json:"resource,omitempty"` // address of OpenTofu
	Host     string   `json:"host,omitempty"`     // name in the inventory
	Run      string   `json:"run,omitempty"`      // of a playbook: check or converge
	Policy   string   `json:"policy,omitempty"`   // version of the promotion policy: base, head or file
	Where    string   `json:"where,omitempty"`    // file:line, or what Found was read from
	Expected string   `json:"expected,omitempty"`
	Found    string   `json:"found,omitempty"`
	Diff     []Change `json:"diff,omitempty"`
	Message  string   `json:"message"` // one line; composed from the rest if empty

	// Order sorts findings by time; findings without a time have 0 and come first.
	Order int `json:"-"`
}

// sentence returns the finding on one line.
func (f Finding) sentence() string {
	var subject []string
	switch {
	case f.Task != "":
		subject = append(subject, fmt.Sprintf("task %q", f.Task))
		if f.Item != "" {
			subject = append(subject, fmt.Sprintf("(item %s)", OneLine(f.Item, 300)))
		}
	case f.Resource != "":
		subject = append(subject, f.Resource)
	case f.Path != "" && f.Host == "":
		subject = append(subject, f.Path)
	}
	if f.Where != "" && f.Resource == "" {
		subject = append(subject, "at "+f.Where)
	}
	if f.Host != "" {
		subject = append(subject, "on "+f.Host)
	}
	parts := []string{f.Rule}
	if len(subject) > 0 {
		parts = append(parts, strings.Join(subject, " "))
	}
	return strings.Join(append(parts, f.Found), ": ")
}

// OneLine returns text on one line of at most limit bytes.
func OneLine(text string, limit int) string { return oneline.Cut(oneline.Join(text), limit) }
