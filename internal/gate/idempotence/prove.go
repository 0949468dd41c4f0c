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
)

// snapshotScript looks at one machine. It is Python since Ansible needs that there anyway.
//
//go:embed snapshot.py
var snapshotScript string

// thing is one file, package, unit, container or object: what it is, and when that last changed by its machine's clock.
type thing struct {
	State string  `json:"state"`
	Time  float64 `json:"time"`
}

// machine is what one machine looked like.
type machine struct {
	Now      float64          `json:"now"`
	Things   map[string]thing `json:"things"`
	Problems []string         `json:"problems"`
	offset   time.Duration    // its clock minus ours, where that is more than the way here may have taken
}

// difference is one thing that was another after the runs.
type difference struct {
	what, before, after string
	at                  time.Time // by our clock; zero if nobody knows
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

// snapshot looks at the machines. Who could not be looked at is missing from the answer.
func (g Gate) snapshot(ctx context.Context, o Options, dir, name string, hosts []string) (map[string]machine, error) {
	argv := append([]string{"python3", "-", strings.Join(o.Snapshot, ","), o.Sandbox}, o.Watch...)
	// On the controller the user's own rights are enough, and often there are no others.
	become := fmt.Sprintf("{{ %t and ansible_connection | default('ssh') is not search('local$') }}", o.Become)
	playbook, err := yaml.Marshal([]play{{
		Name: "Look at the machines", Hosts: hosts, Strategy: "ansible.builtin.linear",
		Tasks: []map[string]any{{
			"name":                    "Look",
			"ansible.builtin.command": map[string]any{"argv": argv, "stdin": snapshotScript, "expand_argument_vars": false},
			"changed_when":            false, "check_mode": false, "diff": false, "become": become,
		}},
	}})
	if err != nil {
		return nil, fmt.Errorf("writing the playbook that looks at the machines: %w", err)
	}
	// The script must not be read as a template.
	text := strings.Replace(string(playbook), "stdin: ", "stdin: !unsafe ", 1)
	file := filepath.Join(dir, name+".yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("writing the playbook that looks at the machines: %w", err)
	}
	looking := o
	looking.Playbook, looking.Tags, looking.SkipTags = file, nil, nil
	if o.Limit != "" {
		looking.Limit = o.Limit + ",localhost" // which a play may delegate to, and which a limit leaves out
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
			return nil, fmt.Errorf("reading what %s looks like: %w", e.Host, err)
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

// prove converges for real between two looks at the machines and tells who lied.
func (g Gate) prove(ctx context.Context, o Options, dir string, before map[string]machine, cluster map[string]thing, first *judgement) (*judgement, error) {
	events, broken, ended := g.play(ctx, o, dir, converge)
	second := judge(converge, events, broken, ended, Want{Hosts: o.Hosts, Tags: o.Tags, SkipTags: o.SkipTags})
	onlyConverged(first, second)
	hosts := slices.Sorted(maps.Keys(before))
	after, err := g.snapshot(ctx, o, dir, "after", hosts)
	if err != nil {
		second.add(Finding{Rule: NoSnapshot, Expected: "a look at the machines afterwards", Found: oneLine(err.Error())})
		return second, nil
	}
	ran := append(slices.Clone(first.events), events...)
	for _, host := range participants(first, second) {
		was, knew := before[host]
		is, knows := after[host]
		if !knew || !knows {
			second.add(Finding{Rule: NoSnapshot, Host: host, Expected: "a look at the machine before and after", Found: "it could not be looked at"})
			continue
		}
		for _, problem := range slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(was.Problems), is.Problems...)))) {
			second.add(Finding{Rule: NoSnapshot, Host: host, Expected: "a whole look at the machine", Found: oneLine(problem)})
		}
		second.blame(host, compare(was.Things, is.Things, is.offset, o.Ignore), ran)
	}
	if g.Objects != nil {
		now, err := g.Objects(ctx)
		if err != nil {
			second.add(Finding{Rule: NoSnapshot, Expected: "a look at the cluster afterwards", Found: oneLine(err.Error())})
			return second, nil
		}
		differences := compare(cluster, now, 0, o.Ignore)
		for i := range differences {
			differences[i].precision = time.Second // the API server keeps whole seconds
		}
		second.blame("", differences, ran)
	}
	for i, f := range second.findings {
		if more := len(f.Diff) - 1; more > 0 && (f.Rule == Liar || f.Rule == Unexplained) {
			second.findings[i].Message = fmt.Sprintf("%s (and %d more things)", f.Message, more)
		}
	}
	return second, nil
}

// participants are those who did something, and those on whom it was done.
func participants(runs ...*judgement) []string {
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

func machineOf(e Event) string {
	if e.On != "" {
		return e.On
	}
	return e.Host
}

// onlyConverged tells of tasks, and items of loops, that ran for real and not in
// the check, whatever kept them out of it: a condition that did not say so, a
// play that ended early, a loop or an include that was another.
func onlyConverged(first, second *judgement) {
	type place struct{ where, host string }
	type count struct{ runs, items int }
	key := func(e Event) place { return place{e.Where, e.Host} }
	ran := func(events []Event, each func(Event, int)) {
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
	ran(first.events, func(e Event, items int) {
		c := checked[key(e)]
		checked[key(e)] = count{c.runs + 1, c.items + items}
	})
	skipped := map[place]bool{}
	for _, e := range first.events {
		if e.Kind == "result" && e.Result == "skipped" {
			skipped[key(e)] = true
		}
	}
	told := map[place]bool{}
	for _, f := range first.findings {
		if f.Rule == CheckModeSkip {
			told[place{f.Where, f.Host}] = true
		}
	}
	ran(second.events, func(e Event, items int) {
		c := converged[key(e)]
		c = count{c.runs + 1, c.items + items}
		converged[key(e)] = c
		was, at := checked[key(e)], key(e)
		if told[at] || c.runs <= was.runs && c.items <= was.items {
			return
		}
		told[at] = true
		found := "it ran in the converge, and the check never came to it"
		switch {
		case was.runs == 0 && skipped[at]:
			found = "it was skipped in check mode and ran in the converge"
		case was.runs > 0 && c.runs > was.runs:
			found = fmt.Sprintf("it ran %d times in the check and more often in the converge", was.runs)
		case was.runs > 0:
			found = fmt.Sprintf("it ran for %d items in the check and for more in the converge", was.items)
		}
		first.skip(Finding{Task: e.Task, Where: e.Where, Host: e.Host}, "", found)
	})
}

// compare tells what is another, in the order in which it became so.
func compare(before, after map[string]thing, offset time.Duration, ignore []Ignore) []difference {
	var out []difference
	for what := range after {
		was, there := before[what]
		if there && was.State == after[what].State || ignored(what, ignore) || strings.HasPrefix(what, "clock ") {
			continue
		}
		d := difference{what: what, before: was.State, after: after[what].State}
		d.at = moment(after[what].Time, offset)
		if there && strings.HasPrefix(what, "unit ") && sameRun(was.State, d.after) {
			// Enabling a unit does not touch its own time.
			d.at = moment(after["clock units"].Time, offset)
		}
		out = append(out, d)
	}
	for what, was := range before {
		if _, there := after[what]; there || ignored(what, ignore) || strings.HasPrefix(what, "clock ") {
			continue
		}
		d := difference{what: what, before: was.State}
		// What is gone has no time of its own; where it was listed has.
		kind, name, _ := strings.Cut(what, " ")
		witness := "clock " + kind + "s"
		if kind == "file" {
			witness = "file " + path.Dir(name)
		}
		d.at = moment(after[witness].Time, offset)
		if own := moment(after["clock "+what].Time, offset); !own.IsZero() {
			d.at = own
			if kind == "package" {
				d.precision = time.Second // as dpkg's log keeps it
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

// moment is a machine's time by our clock; zero if it told of none.
func moment(seconds float64, offset time.Duration) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(seconds * 1e6)).Add(-offset)
}

// sameRun tells whether only the first field of a unit's state differs: whether it is enabled.
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

// blame finds the task during which each thing changed. A task that said
// `changed` told the truth and is judged for that; one that did not is a liar.
func (j *judgement) blame(host string, differences []difference, ran []Event) {
	lies := map[string]int{} // of a task on a host, or of nobody: its finding
	for _, d := range differences {
		found := describe(d)
		change := Change{Header: d.what, Before: d.before, After: d.after}
		suspects := suspectsOf(host, d, ran)
		if slices.ContainsFunc(suspects, func(e Event) bool { return e.Changed || e.Result == "failed" || e.Result == "unreachable" }) {
			continue
		}
		if len(suspects) == 0 {
			when := ", while no task ran there"
			if d.at.IsZero() {
				when = ", and no task ran there"
			}
			if at, ok := lies[when]; ok {
				j.findings[at].Diff = append(j.findings[at].Diff, change)
				continue
			}
			lies[when] = len(j.findings)
			j.add(Finding{Rule: Unexplained, Host: host, Expected: "what was there before", Diff: []Change{change}, Found: found + when})
			continue
		}
		e := suspects[0]
		key := e.Where + "\x00" + e.Host
		if at, ok := lies[key]; ok {
			j.findings[at].Diff = append(j.findings[at].Diff, change)
			continue
		}
		lie := "it said ok, and " + found
		if len(e.ChangedWhen) > 0 {
			lie += "; changed_when is " + strings.Join(e.ChangedWhen, " and ")
		}
		switch {
		case d.at.IsZero() && len(suspects) > 1:
			lie += fmt.Sprintf("; nothing tells when, so it was this or another of %d tasks", len(suspects))
		case len(suspects) > 1:
			lie += fmt.Sprintf("; or it was another of %d tasks that ran then", len(suspects))
		}
		lies[key] = len(j.findings)
		j.add(Finding{
			Rule: Liar, Task: e.Task, Where: e.Where, Host: e.Host, Expected: "no change, or a task that says changed",
			Found: lie, Diff: []Change{change},
		})
	}
}

func describe(d difference) string {
	switch {
	case d.before == "":
		return d.what + " is new"
	case d.after == "":
		return d.what + " is gone"
	}
	return d.what + " is another: " + d.before + " → " + d.after
}

// suspectsOf are the tasks that ran when it happened, those likeliest first; all
// of them, if nobody knows when. An empty host is the cluster: whoever ran may
// have talked to it.
func suspectsOf(host string, d difference, ran []Event) []Event {
	var during []Event
	for _, e := range ran {
		if e.Kind != "result" || e.Result == "skipped" || host != "" && machineOf(e) != host && e.Host != host {
			continue
		}
		// File systems keep the time of the last tick of the kernel's clock, at most 10 ms ago.
		if from := e.began().Add(-10*time.Millisecond - d.precision); !d.at.IsZero() && (d.at.Before(from) || d.at.After(e.at())) {
			continue
		}
		during = append(during, e)
	}
	// A task that only asks cannot have done it while another was there that could.
	asks := []string{
		"assert", "async_status", "debug", "fail", "find", "gather_facts", "getent", "include_role", "include_tasks", "include_vars", "meta", "package_facts",
		"pause", "ping", "service_facts", "set_fact", "setup", "slurp", "stat", "wait_for", "wait_for_connection",
	}
	rank := func(e Event) int {
		action := e.Action[strings.LastIndex(e.Action, ".")+1:]
		switch {
		case slices.Contains(asks, action) || strings.HasSuffix(action, "_info"):
			return 2
		case len(e.ChangedWhen) > 0:
			return 0
		}
		return 1
	}
	slices.SortStableFunc(during, func(a, b Event) int { return rank(a) - rank(b) })
	if d.at.IsZero() || len(during) > 1 && rank(during[0]) < 2 {
		during = slices.DeleteFunc(during, func(e Event) bool { return rank(e) == 2 })
	}
	return during
}
