// SPDX-License-Identifier: GPL-3.0-or-later

package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/run"
)

// Options of an evaluation. Paths are absolute.
type Options struct {
	Root           string
	Base           string // folder to copy; empty for the common folder of root and the modules that it calls
	Override       string // file with the sandbox's backend; empty if the root's own is the sandbox's
	BackendConfigs []string
	VarFiles       []string
	Variables      map[string]any
	Environment    map[string]string
	CLIConfig      string
	PluginDir      string
	Arguments      []string // further arguments of plan
	LockTimeout    int      // seconds
	NoChanges      bool     // no change is expected; else at least one is
	Waivers        []gate.Waiver
	Boundary       boundary.Checker
}

// Gate plans root modules and checks the plans.
type Gate struct {
	Runner run.Runner
	Binary string   // empty: tofu, else terraform
	Env    []string // of this process; little of it is passed on
	Work   string   // folder for private copies
}

// plannedChange is the planned change of one resource.
type plannedChange struct {
	Address    string   `json:"address"`
	Action     string   `json:"action"`
	From       string   `json:"from,omitempty"` // former address, if it moves
	Importing  bool     `json:"importing"`
	Attributes []string `json:"attributes"` // names of those that differ
}

// Report is the report of the gate. It contains no value of the plan but names of zones.
type Report struct {
	*gate.Report
	Product  string          `json:"product"`
	Version  string          `json:"version"`
	State    string          `json:"state"`
	Changes  []plannedChange `json:"changes"`
	Warnings []string        `json:"warnings"`
	Secrets  []string        `json:"-"` // MUST NOT leave the process; set with an error too
}

// Evaluate makes a plan and checks it. It returns an error if it cannot start;
// everything else is a finding.
func (g Gate) Evaluate(ctx context.Context, o Options) (Report, error) {
	common, err := gate.NewReport("plan", o.Root, Rules(), o.Waivers)
	if err != nil {
		return Report{}, err
	}
	report := Report{Report: common, Changes: []plannedChange{}, Warnings: []string{}}
	for _, value := range o.Environment {
		report.Secrets = append(report.Secrets, value)
	}
	for _, value := range o.Variables {
		report.Secrets = leaves(value, report.Secrets)
	}
	report.MaskWith(func(text string) string { return mask(text, report.Secrets) })
	planned, err := g.evaluate(ctx, o, &report)
	if err != nil {
		return Report{Secrets: report.Secrets}, errors.New(mask(err.Error(), report.Secrets))
	}
	report.Finish(planned)
	report.describe(o.NoChanges)
	return report, nil
}

// evaluate makes and checks the plan. ok is false if no plan was made.
func (g Gate) evaluate(ctx context.Context, o Options, report *Report) (planned bool, err error) {
	gate.Check(ctx, invocationRules, invocation{o, g.Env}, report.Report)
	if len(report.Findings) > 0 {
		return false, nil
	}
	s := session{Gate: g, o: o, report: report}
	done, err := s.prepare(ctx)
	if err != nil {
		return false, err
	}
	defer done()
	if err := s.detect(ctx); err != nil {
		return false, err
	}
	if !s.insideBoundary(ctx) {
		return false, nil
	}
	return s.plan(ctx)
}

// describe writes the summary.
func (r *Report) describe(noChanges bool) {
	for _, c := range r.Changes {
		line := c.Action + " " + c.Address
		if c.From != "" && c.From != c.Address {
			line += ", moved from " + c.From
		}
		if c.Importing {
			line += ", imported"
		}
		if len(c.Attributes) > 0 {
			line += ": " + strings.Join(c.Attributes, ", ")
		}
		r.Lines = append(r.Lines, line)
	}
	if len(r.Changes) == 0 && len(r.Findings) == 0 && noChanges {
		r.Lines = append(r.Lines, "nothing would change")
	}
	head := fmt.Sprintf("%s of %s follows all rules; %d changes", r.Product, r.Subject, len(r.Changes))
	if len(r.Findings) == 0 {
		r.Lines = slices.Insert(r.Lines, 0, head)
	}
}
