// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/internal/gate"
)

// snapshotScript takes the snapshot of one machine. It is in Python, which Ansible requires on every machine.
//
//go:embed snapshot.py
var snapshotScript string

// thing is the state of one file, package, unit, container or object, and the time of its last change by its machine's clock.
type thing struct {
	State string  `json:"state"`
	Time  float64 `json:"time"`
}

// machine is the snapshot of one machine.
type machine struct {
	Now      float64          `json:"now"`
	Things   map[string]thing `json:"things"`
	Problems []string         `json:"problems"`
	offset   time.Duration    // its clock minus the controller's, if that exceeds the transfer time
}

// difference is one thing that changed during the runs.
type difference struct {
	what, before, after string
	at                  time.Time // by the controller's clock; zero if unknown
	precision           time.Duration
}

// play is a play of the playbook that takes the snapshot.
type play struct {
	Name        string `yaml:"name"`
	Hosts       []string
	GatherFacts bool `yaml:"gather_facts"`
	Become      bool `yaml:"become"`
	Strategy    string
	Tasks       []map[string]any
}

// snapshot takes a snapshot of the machines. Machines that could not be read are missing from the result.
func (g Gate) snapshot(ctx context.Context, o Options, dir, name string, hosts []string) (map[string]machine, error) {
	argv := append([]string{"python3", "-", strings.Join(o.Snapshot, ","), o.Sandbox}, o.Watch...)
	// On the controller the user's privileges are enough, and become is often not available.
	become := fmt.Sprintf("{{ %t and ansible_connection | default('ssh') is not search('local$') }}", o.Become)
	playbook, err := yaml.Marshal([]play{{
		Name: "Take a snapshot of the machines", Hosts: hosts, Strategy: "ansible.builtin.linear",
		Tasks: []map[string]any{{
			"name":                    "Take a snapshot",
			"ansible.builtin.command": map[string]any{"argv": argv, "stdin": snapshotScript, "expand_argument_vars": false},
			"changed_when":            false, "check_mode": false, "diff": false, "become": become,
		}},
	}})
	if err != nil {
		return nil, fmt.Errorf("writing the playbook of the snapshot: %w", err)
	}
	// Ansible must not template the script.
	text := strings.Replace(string(playbook), "stdin: ", "stdin: !unsafe ", 1)
	file := filepath.Join(dir, name+".yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("writing the playbook of the snapshot: %w", err)
	}
	looking := o
	looking.Playbook, looking.Tags, looking.SkipTags = file, nil, nil
	if o.Limit != "" {
		looking.Limit = o.Limit + ",localhost" // plays may delegate to it in spite of the limit
	}
	events, broken, ended := g.play(ctx, looking, dir, name, "--forks=20")
	if broken != nil {
		return nil, broken
	}
	machines := map[string]machine{}
	for _, e := range events {
		if e.Kind != "result" || e.Result != "ok" {
			continue
		}
		var m machine
		if err := json.Unmarshal([]byte(e.Stdout), &m); err != nil {
			return nil, fmt.Errorf("reading the snapshot of %s: %w", e.Host, err)
		}
		if offset := time.UnixMicro(int64(m.Now * 1e6)).Sub(e.at()); offset.Abs() > 2*time.Second {
			m.offset = offset
		}
		machines[e.Host] = m
	}
	if len(machines) == 0 && ended != nil {
		return nil, ended
	}
	return machines, nil
}

// converge runs the playbook for real between two snapshots of the machines and
// reports changes that no task reported.
func (g Gate) converge(ctx context.Context, o Options, dir string, before map[string]machine, cluster map[string]thing, first *recording, report *gate.Report) {
	events, broken, ended := g.play(ctx, o, dir, converge)
	second := record(converge, events, broken, ended, expected{Hosts: o.Hosts, Tags: o.Tags, SkipTags: o.SkipTags})
	second.check(ctx, report, checkRules)
	onlyConverged(first, second, report)
	noSnapshot := func(host, expected, found string) {
		f := second.whole("no_snapshot", expected, oneLine(found))
		f.Host = host
		report.Add(f)
	}
	hosts := slices.Sorted(maps.Keys(before))
	after, err := g.snapshot(ctx, o, dir, "after", hosts)
	if err != nil {
		noSnapshot("", "a snapshot of the machines afterwards", err.Error())
		return
	}
	ran := append(slices.Clone(first.events), events...)
	for _, host := range participants(first, second) {
		was, okBefore := before[host]
		is, okAfter := after[host]
		if !okBefore || !okAfter {
			noSnapshot(host, "a snapshot before and after", "there is none of the machine")
			continue
		}
		for _, problem := range slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(was.Problems), is.Problems...)))) {
			noSnapshot(host, "a complete snapshot", problem)
		}
		second.attribute(host, compare(was.Things, is.Things, is.offset, o.Ignore), ran, report)
	}
	if g.Objects != nil {
		now, err := g.Objects(ctx)
		if err != nil {
			noSnapshot("", "a snapshot of the cluster afterwards", err.Error())
			return
		}
		differences := compare(cluster, now, 0, o.Ignore)
		for i := range differences {
			differences[i].precision = time.Second // times of the API server are in seconds
		}
		second.attribute("", differences, ran, report)
	}
}

// participants returns the machines on which a task ran.
func participants(runs ...*recording) []string {
	set := map[string]bool{}
	for _, j := range runs {
		for _, e := range j.events {
			if e.Kind == "result" && (e.Result == "ok" || e.Result == "failed") {
				set[machineOf(e)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

func machineOf(e event) string {
	if e.On != "" {
		return e.On
	}
	return e.Host
}

// onlyConverged reports tasks, and items of loops, that ran in the real run but
// not in the check, whatever the cause: a condition that does not mention check
// mode, a play that ended early, another loop or include.
func onlyConverged(first, second *recording, report *gate.Report) {
	type place struct{ where, host string }
	type count struct{ runs, items int }
	key := func(e event) place { return place{e.Where, e.Host} }
	ran := func(events []event, each func(event, int)) {
		for _, e := range events {
			if e.Kind != "result" || e.Result == "skipped" || e.Implicit || e.Where == "" {
				continue
			}
			items := 0
			for _, item := range e.Items {
				if !item.Skipped {
					items++
				}
			}
			each(e, items)
		}
	}
	checked, converged := map[place]count{}, map[place]count{}
	ran(first.events, func(e event, items int) {
		c := checked[key(e)]
		checked[key(e)] = count{c.runs + 1, c.items + items}
	})
	skipped := map[place]bool{}
	for _, e := range first.events {
		if e.Kind == "result" && e.Result == "skipped" {
			skipped[key(e)] = true
		}
	}
	reported := map[place]bool{}
	for _, f := range append(report.Findings, waived(report)...) {
		if f.Rule == "check_mode_skip" && f.Run == check {
			reported[place{f.Where, f.Host}] = true
		}
	}
	ran(second.events, func(e event, items int) {
		c := converged[key(e)]
		c = count{c.runs + 1, c.items + items}
		converged[key(e)] = c
		was, at := checked[key(e)], key(e)
		if reported[at] || c.runs <= was.runs && c.items <= was.items {
			return
		}
		reported[at] = true
		found := "it ran in the converge, and the check did not get to it"
		switch {
		case was.runs == 0 && skipped[at]:
			found = "it was skipped in check mode and ran in the converge"
		case was.runs > 0 && c.runs > was.runs:
			found = fmt.Sprintf("it ran %d times in the check and more often in the converge", was.runs)
		case was.runs > 0:
			found = fmt.Sprintf("it ran for %d items in the check and for more in the converge", was.items)
		}
		report.Add(gate.Finding{
			Rule: "check_mode_skip", Run: check, Task: e.Task, Where: e.Where, Host: e.Host, Expected: checkModeSkipExpected, Found: found, Order: first.first + len(first.events),
		})
	})
}

// waived returns the findings that waivers cover.
func waived(report *gate.Report) []gate.Finding {
	var out []gate.Finding
	for _, w := range report.Waived {
		out = append(out, w.Finding)
	}
	return out
}

// compare returns the differences between snapshots, in the order of their times.
func compare(before, after map[string]thing, offset time.Duration, ignore []Ignore) []difference {
	var out []difference
	for what := range after {
		was, ok := before[what]
		if ok && was.State == after[what].State || ignored(what, ignore) || strings.HasPrefix(what, "clock ") {
			continue
		}
		d := difference{what: what, before: was.State, after: after[what].State}
		d.at = moment(after[what].Time, offset)
		if ok && strings.HasPrefix(what, "unit ") && sameRun(was.State, d.after) {
			// Enabling a unit does not change its time.
			d.at = moment(after["clock units"].Time, offset)
		}
		out = append(out, d)
	}
	for what, was := range before {
		if _, ok := after[what]; ok || ignored(what, ignore) || strings.HasPrefix(what, "clock ") {
			continue
		}
		d := difference{what: what, before: was.State}
		// A removed file has no time; use its folder's.
		kind, name, _ := strings.Cut(what, " ")
		parent := "clock " + kind + "s"
		if kind == "file" {
			parent = "file " + path.Dir(name)
		}
		d.at = moment(after[parent].Time, offset)
		if own := moment(after["clock "+what].Time, offset); !own.IsZero() {
			d.at = own
			if kind == "package" {
				d.precision = time.Second // times in dpkg's log are in seconds
			}
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b difference) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return strings.Compare(a.what, b.what)
	})
	return out
}

// moment converts a machine's time to the controller's clock; zero if unknown.
func moment(seconds float64, offset time.Duration) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(seconds * 1e6)).Add(-offset)
}

// sameRun returns whether only the first field of a unit's state differs: enabled or not.
func sameRun(before, after string) bool {
	_, was, _ := strings.Cut(before, " ")
	_, is, _ := strings.Cut(after, " ")
	return was == is
}

func ignored(what string, ignore []Ignore) bool {
	return slices.ContainsFunc(ignore, func(i Ignore) bool {
		if prefix, ok := strings.CutSuffix(i.What, "**"); ok {
			return strings.HasPrefix(what, prefix)
		}
		ok, err := path.Match(i.What, what)
		return ok && err == nil
	})
}

var (
	undeclaredChange  = gate.Info{ID: "undeclared_change", Summary: "A task returned ok, and something on the machine changed meanwhile; the path is the first thing that did"}
	unexplainedChange = gate.Info{ID: "unexplained_change", Summary: "Something on the machine changed while no task ran there; the path is the first thing that did"}
	noSnapshot        = gate.Info{ID: "no_snapshot", Summary: "A machine or the cluster could not be compared", NeverWaive: "leave out by snapshot what the machine does not have"}
)

// attribute adds one finding per task for the differences that appeared while the
// task ran. A task that returned changed has a finding already.
func (r *recording) attribute(host string, differences []difference, ran []event, report *gate.Report) {
	byTask := map[string]*gate.Finding{}
	var order []string
	for _, d := range differences {
		suspects := suspectsOf(host, d, ran)
		if slices.ContainsFunc(suspects, func(e event) bool { return e.Changed || e.Result == "failed" || e.Result == "unreachable" }) {
			continue
		}
		f := r.whole("unexplained_change", "what was there before", "")
		f.Host, f.Path = host, d.what
		f.Diff = []gate.Change{{Header: d.what, Before: d.before, After: d.after}}
		var key string
		if len(suspects) > 0 {
			e := suspects[0]
			key = e.Where + "\x00" + e.Host
			f.Rule, f.Task, f.Where, f.Host, f.Expected = "undeclared_change", e.Task, e.Where, e.Host, "no change, or a task that returns changed"
			f.Found = "it returned ok, and " + describe(d) + doubt(d, suspects)
		} else {
			f.Found = describe(d) + ", while no task ran there"
			if d.at.IsZero() {
				f.Found = describe(d) + ", and no task ran there"
			}
			key = f.Found[len(describe(d)):]
		}
		if report.Covered(f) {
			continue
		}
		if first, ok := byTask[key]; ok {
			first.Diff = append(first.Diff, f.Diff...)
			continue
		}
		byTask[key] = &f
		order = append(order, key)
	}
	for _, key := range order {
		f := byTask[key]
		if more := len(f.Diff) - 1; more > 0 {
			f.Found += fmt.Sprintf(" (and %d more things)", more)
		}
		report.Add(*f)
	}
}

// doubt returns why it is uncertain that the first of the suspects made a difference.
func doubt(d difference, suspects []event) string {
	text := ""
	if when := suspects[0].ChangedWhen; len(when) > 0 {
		text = "; changed_when is " + strings.Join(when, " and ")
	}
	switch {
	case d.at.IsZero() && len(suspects) > 1:
		return text + fmt.Sprintf("; the time is not known, so it was this or another of %d tasks", len(suspects))
	case len(suspects) > 1:
		return text + fmt.Sprintf("; or it was another of %d tasks that ran then", len(suspects))
	}
	return text
}

func describe(d difference) string {
	switch {
	case d.before == "":
		return d.what + " is new"
	case d.after == "":
		return d.what + " is gone"
	}
	return d.what + " differs: " + d.before + " → " + d.after
}

// suspectsOf returns the tasks that ran when a difference appeared, the most
// likely first; all tasks if the time is unknown. An empty host is the cluster:
// any task may have changed it.
func suspectsOf(host string, d difference, ran []event) []event {
	var during []event
	for _, e := range ran {
		if e.Kind != "result" || e.Result == "skipped" || host != "" && machineOf(e) != host && e.Host != host {
			continue
		}
		// File times are those of the kernel's last clock tick, at most 10 ms ago.
		if from := e.began().Add(-10*time.Millisecond - d.precision); !d.at.IsZero() && (d.at.Before(from) || d.at.After(e.at())) {
			continue
		}
		during = append(during, e)
	}
	// Tasks that only read are named only if there are no others.
	readers := []string{
		"assert", "async_status", "debug", "fail", "find", "gather_facts", "getent", "include_role", "include_tasks", "include_vars", "meta", "package_facts",
		"pause", "ping", "service_facts", "set_fact", "setup", "slurp", "stat", "wait_for", "wait_for_connection",
	}
	rank := func(e event) int {
		action := e.Action[strings.LastIndex(e.Action, ".")+1:]
		switch {
		case slices.Contains(readers, action) || strings.HasSuffix(action, "_info"):
			return 2
		case len(e.ChangedWhen) > 0:
			return 0
		}
		return 1
	}
	slices.SortStableFunc(during, func(a, b event) int { return rank(a) - rank(b) })
	if d.at.IsZero() || len(during) > 1 && rank(during[0]) < 2 {
		during = slices.DeleteFunc(during, func(e event) bool { return rank(e) == 2 })
	}
	return during
}
