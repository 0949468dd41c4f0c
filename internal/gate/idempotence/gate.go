// SPDX-License-Identifier: GPL-3.0-or-later

// Package idempotence checks that a playbook changes nothing on machines that
// have converged. It runs ansible-playbook in check mode and checks the events
// of the callback gate_events; with Converge it also runs it for real and
// compares the machines before and after. It does not parse Ansible's
// output, and missing events are a finding.
package idempotence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/run"
)

// Kinds of runs.
const (
	check    = "check"
	converge = "converge"
)

// Ignore is an entry of option ignore: something that may change without a task, and the reason.
type Ignore struct {
	What   string `json:"what" arg:"what"` // "file /etc/x", "unit y.service"; * within a name, ** at the end for all below
	Reason string `json:"reason" arg:"reason"`
}

// Options are what to run and what to expect.
type Options struct {
	Playbook  string
	Inventory []string
	Limit     string
	Vars      map[string]any
	Tags      []string
	SkipTags  []string
	Dir       string   // to run in; empty: the current one
	Hosts     []string // that must run tasks; empty: those that a play matches
	Converge  bool     // also run for real, and compare the machines
	Watch     []string // folders whose files are compared
	Snapshot  []string // kinds: packages, units, files, containers
	Become    bool     // for the snapshot
	Sandbox   string   // name; containers of other sandboxes are left out
	Ignore    []Ignore
	Waivers   []gate.Waiver
}

// Gate runs Ansible and checks the runs.
type Gate struct {
	Runner    run.Runner
	Program   string   // ansible-playbook
	Callbacks string   // folder of gate_events.py; empty: that of the installed collection
	Env       []string // for ansible-playbook; variables that would hide events are removed

	// Objects takes a snapshot of a cluster; nil if there is none.
	Objects func(ctx context.Context) (map[string]thing, error)
}

// Report is the report of the gate.
type Report struct {
	*gate.Report
	Limit     string   `json:"limit,omitempty"`
	Inventory []string `json:"inventory,omitempty"`
	Expected  []string `json:"expected_hosts,omitempty"`
	Core      string   `json:"ansible_core,omitempty"` // version of ansible-core
	Converged bool     `json:"converged"`              // it ran for real, and the machines were compared
	Hosts     []string `json:"hosts"`                  // that ran tasks
	Tasks     int      `json:"tasks"`                  // results that were checked
}

// Evaluate runs the playbook and checks it. It returns an error only if the
// playbook could not be run; a failed run is a finding.
func (g Gate) Evaluate(ctx context.Context, o Options) (Report, error) {
	for _, i := range o.Ignore {
		if strings.TrimSpace(i.Reason) == "" {
			return Report{}, fmt.Errorf("ignore %q: reason is empty; write why it changes by itself", i.What)
		}
		if _, err := filepath.Match(i.What, ""); err != nil {
			return Report{}, fmt.Errorf("ignore %q: not a pattern (%w)", i.What, err)
		}
	}
	common, err := gate.NewReport("idempotence", o.Playbook, Rules(), o.Waivers)
	if err != nil {
		return Report{}, err
	}
	dir, err := os.MkdirTemp("", "idempotence-gate-")
	if err != nil {
		return Report{}, fmt.Errorf("folder for the run: %w", err)
	}
	defer os.RemoveAll(dir)
	report := Report{Report: common, Limit: o.Limit, Inventory: o.Inventory, Expected: o.Hosts, Hosts: []string{}}
	var before map[string]machine
	var cluster map[string]thing
	if o.Converge {
		before, cluster = g.before(ctx, o, dir, common)
	}
	compared := !report.Has("no_snapshot")
	events, broken, ended := g.play(ctx, o, dir, check, "--check")
	first := record(check, events, broken, ended, expected{Hosts: o.Hosts, Tags: o.Tags, SkipTags: o.SkipTags, Converged: o.Converge})
	first.check(ctx, common, checkRules)
	if o.Converge && compared && !report.Has("nothing_ran", "not_check", "incomplete") {
		g.converge(ctx, o, dir, before, cluster, first, common)
		report.Converged = true
	}
	if ctx.Err() != nil {
		report.Add(gate.Finding{Rule: "incomplete", Expected: "a run that ends in time", Found: ctx.Err().Error()})
	}
	report.Narrowed = o.narrowed(first)
	report.Finish(!report.Has("nothing_ran", "incomplete"))
	report.describe(first)
	return report, nil
}

// before takes the snapshots before the runs, of all hosts: it is unknown which
// ones run tasks, and tasks with check_mode: false change hosts in the check, too.
func (g Gate) before(ctx context.Context, o Options, dir string, report *gate.Report) (machines map[string]machine, cluster map[string]thing) {
	machines, err := g.snapshot(ctx, o, dir, "before", []string{"all", "localhost"})
	if err != nil {
		report.Add(gate.Finding{Rule: "no_snapshot", Expected: "a snapshot of the machines before", Found: oneLine(err.Error())})
	}
	if g.Objects != nil {
		if cluster, err = g.Objects(ctx); err != nil {
			report.Add(gate.Finding{Rule: "no_snapshot", Expected: "a snapshot of the cluster before", Found: oneLine(err.Error())})
		}
	}
	return machines, cluster
}

// narrowed lists the options that limited the run. Expected hosts limit it if a
// play matched other hosts, on which nothing ran.
func (o Options) narrowed(first *recording) []string {
	var out []string
	add := func(what string, list ...string) {
		if len(list) > 0 {
			out = append(out, what+" "+strings.Join(list, ", "))
		}
	}
	if o.Limit != "" {
		add("limit", o.Limit)
	}
	add("tags", o.Tags...)
	add("skip_tags", o.SkipTags...)
	add("variables", slices.Sorted(maps.Keys(o.Vars))...)
	if len(o.Hosts) > 0 {
		var idle []string
		for _, host := range slices.Sorted(maps.Keys(first.matched)) {
			if !first.active[host] && !slices.Contains(o.Hosts, host) {
				idle = append(idle, host)
			}
		}
		add("not expected", idle...)
	}
	if o.Converge {
		for _, i := range o.Ignore {
			add("ignore", i.What+": "+i.Reason)
		}
	}
	return out
}

// describe fills in the facts and the summary of the report.
func (r *Report) describe(first *recording) {
	r.Hosts = append(r.Hosts, slices.Sorted(maps.Keys(first.active))...)
	for _, e := range first.events {
		switch e.Kind {
		case "begin":
			r.Core = e.Core
		case "result":
			r.Tasks++
		}
	}
	if len(r.Findings) == 0 {
		line := fmt.Sprintf("%d results on %s, nothing changed", r.Tasks, strings.Join(r.Hosts, ", "))
		if r.Converged {
			line += ", confirmed by a second converge"
		}
		r.Lines = append(r.Lines, line)
	}
}

// play runs ansible-playbook and reads its events. broken is the reason why events
// may be missing, ended the error of the program.
func (g Gate) play(ctx context.Context, o Options, dir, name string, more ...string) (events []event, broken, ended error) {
	file := filepath.Join(dir, name+".jsonl")
	args := append([]string{"--diff"}, more...)
	for _, source := range o.Inventory {
		args = append(args, "--inventory="+source)
	}
	if o.Limit != "" {
		args = append(args, "--limit="+o.Limit)
	}
	if len(o.Tags) > 0 {
		args = append(args, "--tags="+strings.Join(o.Tags, ","))
	}
	if len(o.SkipTags) > 0 {
		args = append(args, "--skip-tags="+strings.Join(o.SkipTags, ","))
	}
	if len(o.Vars) > 0 {
		data, err := json.Marshal(o.Vars)
		if err != nil {
			return nil, fmt.Errorf("writing the variables: %w", err), nil
		}
		vars := filepath.Join(dir, "vars.json")
		if err := os.WriteFile(vars, data, 0o600); err != nil {
			return nil, fmt.Errorf("writing the variables: %w", err), nil
		}
		args = append(args, "--extra-vars=@"+vars)
	}
	env := clean(g.Env)
	// Only tests set the folder: the guard refuses variables with plugin folders.
	if g.Callbacks == "" {
		env = append(env, "ANSIBLE_CALLBACKS_ENABLED=arcodange.sandbox.gate_events")
	} else {
		env = append(env, "ANSIBLE_CALLBACKS_ENABLED=gate_events", "ANSIBLE_CALLBACK_PLUGINS="+g.Callbacks)
	}
	env = append(env, "ANSIBLE_STDOUT_CALLBACK=ansible.builtin.default", "ANSIBLE_NOCOLOR=1", "ARCODANGE_SANDBOX_EVENTS="+file)
	if name != check && name != converge {
		env = append(env, "ARCODANGE_SANDBOX_EVENTS_OUTPUT=true")
	}
	_, ended = g.Runner.Run(ctx, run.Cmd{Name: g.Program, Args: append(args, o.Playbook), Dir: o.Dir, Env: env})
	lines, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		if ended == nil {
			broken = errors.New("the callback arcodange.sandbox.gate_events wrote nothing, so it was not loaded; " +
				"make the ansible.cfg there find the collection")
		}
		return nil, broken, ended
	}
	if err != nil {
		return nil, fmt.Errorf("opening the events: %w", err), ended
	}
	defer lines.Close()
	events, broken = readEvents(lines)
	return events, broken, ended
}

// clean removes variables that affect events, output, or the tasks that run.
func clean(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return strings.HasPrefix(name, "ANSIBLE_CALLBACK") || strings.HasPrefix(name, "ARCODANGE_SANDBOX_EVENTS") ||
			slices.Contains([]string{"ANSIBLE_STDOUT_CALLBACK", "ANSIBLE_FORCE_COLOR", "ANSIBLE_NOCOLOR", "ANSIBLE_RUN_TAGS", "ANSIBLE_SKIP_TAGS"}, name)
	})
}
