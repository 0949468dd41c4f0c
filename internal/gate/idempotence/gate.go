// SPDX-License-Identifier: GPL-3.0-or-later

// Package idempotence knows whether a playbook leaves a machine that has been
// converged alone. It runs ansible-playbook in check mode, reads the events of
// the callback gate_events and judges them; asked to prove it, it converges for
// real and compares the machines before and after. It does not know what a
// playbook is for, never reads what Ansible prints for people, and takes
// nothing for green that it did not see.
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
	"time"

	"github.com/arcodange-org/sandbox/internal/gate/reports"
	"github.com/arcodange-org/sandbox/internal/run"
)

const (
	check    = "check"
	converge = "converge"
)

// Ignore is something on a machine that may change by itself, and why.
type Ignore struct {
	What   string `json:"what" arg:"what"` // "file /etc/x", "unit y.service"; * within a name, ** at the end for all below
	Reason string `json:"reason" arg:"reason"`
}

// Options say what to run and what to expect.
type Options struct {
	Playbook  string
	Inventory []string
	Limit     string
	Vars      map[string]any
	Tags      []string
	SkipTags  []string
	Dir       string // where to run; empty: here
	Hosts     []string
	Skips     []Skip
	Prove     bool
	Watch     []string
	Snapshot  []string // kinds: packages, units, files, containers
	Become    bool     // to look at the machines
	Sandbox   string   // whose machines on an engine count; those of others do not
	Ignore    []Ignore
}

// Gate runs Ansible and judges.
type Gate struct {
	Runner    run.Runner
	Program   string   // ansible-playbook
	Callbacks string   // folder of gate_events.py; empty: where Ansible finds the collection
	Env       []string // what to run it with; the gate takes out what would blind it

	// Objects looks at a cluster; nil if there is none to look at.
	Objects func(ctx context.Context) (map[string]thing, error)
}

// Report is the verdict and what it rests on.
type Report struct {
	Gate     string      `json:"gate"`
	Verdict  string      `json:"verdict"` // green or red
	Playbook string      `json:"playbook"`
	In       *reports.In `json:"playbook_in,omitempty"` // where the playbook lies in the repositories of the evidence
	Limit    string      `json:"limit,omitempty"`
	// Narrowed is what made this less than, or another than, the whole playbook on all of its inventory.
	Narrowed  []string       `json:"narrowed,omitempty"`
	Inventory []string       `json:"inventory,omitempty"`
	Expected  []string       `json:"expected_hosts,omitempty"`
	Core      string         `json:"ansible_core,omitempty"` // version of ansible-core
	Began     time.Time      `json:"began"`
	Seconds   float64        `json:"seconds"`
	Proved    bool           `json:"proved"` // it converged for real, and the machines were compared
	Hosts     []string       `json:"hosts"`  // who took part
	Tasks     int            `json:"tasks"`  // results that were judged
	Skips     []Skip         `json:"skips,omitempty"`
	Ignored   []Ignore       `json:"ignored,omitempty"`
	Findings  []Finding      `json:"findings"`
	Unused    []string       `json:"unused_skips,omitempty"` // listed, and not needed
	Rules     map[string]int `json:"rules"`
}

// Summary is the report on one line.
func (r Report) Summary() string {
	if len(r.Findings) == 0 {
		proved := ""
		if r.Proved {
			proved = ", proved by a second converge"
		}
		return fmt.Sprintf("%d results on %s, nothing changed%s", r.Tasks, strings.Join(r.Hosts, ", "), proved)
	}
	more := ""
	if n := len(r.Findings) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return r.Findings[0].Message + more
}

// Judge runs the playbook and tells what it saw. An error means that not even
// the run could be started; a run that broke is a red report.
func (g Gate) Judge(ctx context.Context, o Options) (Report, error) {
	began := time.Now()
	for _, s := range o.Skips {
		if strings.TrimSpace(s.Reason) == "" {
			return Report{}, fmt.Errorf("the skip of the task %q has no reason: write why check mode cannot judge it", s.Task)
		}
	}
	for _, i := range o.Ignore {
		if strings.TrimSpace(i.Reason) == "" {
			return Report{}, fmt.Errorf("what is ignored as %q has no reason: write why it changes by itself", i.What)
		}
		if _, err := filepath.Match(i.What, ""); err != nil {
			return Report{}, fmt.Errorf("what is ignored as %q is no pattern: %w", i.What, err)
		}
	}
	dir, err := os.MkdirTemp("", "idempotence-gate-")
	if err != nil {
		return Report{}, fmt.Errorf("making a folder for the run: %w", err)
	}
	defer os.RemoveAll(dir)

	var before map[string]machine
	var cluster map[string]thing
	report := Report{Gate: "idempotence_gate", Playbook: o.Playbook, Limit: o.Limit, Began: began.UTC(), Skips: o.Skips, Ignored: o.Ignore}
	var blind []Finding
	if o.Prove {
		// Who takes part is known after the check, and by then a task that runs for real in check mode has run.
		if before, err = g.snapshot(ctx, o, dir, "before", []string{"all", "localhost"}); err != nil {
			blind = append(blind, Finding{Rule: NoSnapshot, Expected: "a look at the machines before", Found: oneLine(err.Error())})
		}
		if g.Objects != nil {
			if cluster, err = g.Objects(ctx); err != nil {
				blind = append(blind, Finding{Rule: NoSnapshot, Expected: "a look at the cluster before", Found: oneLine(err.Error())})
			}
		}
	}
	events, broken, ended := g.play(ctx, o, dir, check, "--check")
	first := judge(check, events, broken, ended, Want{Hosts: o.Hosts, Skips: o.Skips, Tags: o.Tags, SkipTags: o.SkipTags, Compared: o.Prove})
	var second *judgement
	if o.Prove && len(blind) == 0 && !first.has(NothingRan, NotCheck, Incomplete) {
		if second, err = g.prove(ctx, o, dir, before, cluster, first); err != nil {
			return Report{}, err
		}
		report.Proved = true
	}
	for _, f := range blind {
		f.Message = f.sentence()
		report.Findings = append(report.Findings, f)
	}
	report.Findings = append(report.Findings, first.findings...)
	if second != nil {
		report.Findings = append(report.Findings, second.findings...)
	}
	if ctx.Err() != nil {
		f := Finding{Rule: Incomplete, Expected: "a run that ends in time", Found: ctx.Err().Error()}
		f.Message = f.sentence()
		report.Findings = append(report.Findings, f)
	}
	report.sum(first)
	report.Inventory, report.Expected = o.Inventory, o.Hosts
	report.Narrowed = o.narrowed(first)
	if len(events) > 0 {
		report.Core = events[0].Core
	}
	for _, s := range o.Skips {
		if !first.used[s.Task] {
			report.Unused = append(report.Unused, s.Task)
		}
	}
	report.Seconds = time.Since(began).Seconds()
	return report, nil
}

// narrowed tells what of the options made the run less than a whole one. Hosts
// that are expected narrow it where a play matched others, which then may idle.
func (o Options) narrowed(first *judgement) []string {
	var out []string
	add := func(what string, list []string) {
		if len(list) > 0 {
			out = append(out, what+": "+strings.Join(list, ", "))
		}
	}
	if o.Limit != "" {
		add("limit", []string{o.Limit})
	}
	add("tags", o.Tags)
	add("skip_tags", o.SkipTags)
	add("variables", slices.Sorted(maps.Keys(o.Vars)))
	if len(o.Hosts) > 0 {
		var idle []string
		for _, host := range slices.Sorted(maps.Keys(first.matched)) {
			if !first.part[host] && !slices.Contains(o.Hosts, host) {
				idle = append(idle, host)
			}
		}
		add("not expected", idle)
	}
	return out
}

// Waivers are what was not held against the playbook, as a ledger keeps it.
func (r Report) Waivers() []string {
	var out []string
	for _, n := range r.Narrowed {
		out = append(out, "narrowed: "+strings.Replace(n, ": ", " ", 1))
	}
	for _, s := range r.Skips {
		if !slices.Contains(r.Unused, s.Task) {
			out = append(out, "skip "+s.Task+": "+s.Reason)
		}
	}
	if r.Proved {
		for _, i := range r.Ignored {
			out = append(out, "ignore "+i.What+": "+i.Reason)
		}
	}
	return out
}

func (r *Report) sum(first *judgement) {
	r.Verdict, r.Rules, r.Hosts = "green", map[string]int{}, []string{}
	for _, f := range r.Findings {
		r.Verdict = "red"
		r.Rules[f.Rule]++
	}
	for host := range first.part {
		r.Hosts = append(r.Hosts, host)
	}
	slices.Sort(r.Hosts)
	for _, e := range first.events {
		if e.Kind == "result" {
			r.Tasks++
		}
	}
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
}

// play runs ansible-playbook and reads its events. broken tells that the events
// cannot be trusted, ended that the program did not end well.
func (g Gate) play(ctx context.Context, o Options, dir, name string, more ...string) (events []Event, broken, ended error) {
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
	// By its full name where that will do: the guard refuses a variable that names a folder of plugins.
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
			broken = errors.New("the run ended well and the callback arcodange.sandbox.gate_events wrote nothing: it was not loaded; " +
				"see that the ansible.cfg there finds the collection")
		}
		return nil, broken, ended
	}
	if err != nil {
		return nil, fmt.Errorf("opening the events: %w", err), ended
	}
	defer lines.Close()
	events, broken = ReadEvents(lines)
	return events, broken, ended
}

// clean takes out of an environment what decides on events, on text, or on which tasks run.
func clean(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return strings.HasPrefix(name, "ANSIBLE_CALLBACK") || strings.HasPrefix(name, "ARCODANGE_SANDBOX_EVENTS") ||
			slices.Contains([]string{"ANSIBLE_STDOUT_CALLBACK", "ANSIBLE_FORCE_COLOR", "ANSIBLE_NOCOLOR", "ANSIBLE_RUN_TAGS", "ANSIBLE_SKIP_TAGS"}, name)
	})
}
