// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/arcodange-org/sandbox/internal/lazyregexp"
	"github.com/arcodange-org/sandbox/internal/oneline"
	"github.com/arcodange-org/sandbox/internal/run"
)

// The rules that a finding can name.
const (
	NothingRan     = "nothing_ran"     // there is nothing to judge
	Incomplete     = "incomplete"      // the run ended early, or not all of it was seen
	NotCheck       = "not_check"       // the run, or a task in it, was not the kind of run it should be
	Narrowed       = "narrowed"        // tags or a starting task left tasks out that nobody asked to leave out
	NoHosts        = "no_hosts"        // a play matched no host
	MissingHost    = "missing_host"    // a host that should have taken part did not
	Changed        = "changed"         // a task changed, or would change, something
	Failed         = "failed"          // a task failed, rescued or not
	Unreachable    = "unreachable"     // a host could not be reached
	IgnoredFailure = "ignored_failure" // a task failed and ignore_errors hid it
	CheckModeSkip  = "check_mode_skip" // a task was skipped because this was check mode
	HiddenChange   = "hidden_change"   // a task said ok, and showed a difference
	Liar           = "liar"            // a task said ok, and something on the machine changed meanwhile
	Unexplained    = "unexplained"     // something on the machine changed, and no task ran then
	NoSnapshot     = "no_snapshot"     // a machine could not be looked at before and after
)

// Finding is one thing that is not as it must be.
type Finding struct {
	Rule     string   `json:"rule"`
	Run      string   `json:"run,omitempty"` // check or converge
	Task     string   `json:"task,omitempty"`
	Where    string   `json:"where,omitempty"` // file:line
	Host     string   `json:"host,omitempty"`
	Item     string   `json:"item,omitempty"` // of a loop
	Expected string   `json:"expected"`
	Found    string   `json:"found"`
	Diff     []Change `json:"diff,omitempty"`
	Message  string   `json:"message"`
}

// Skip is a task that may be skipped in check mode, and why.
type Skip struct {
	Task   string `json:"task" arg:"task"` // as Ansible names it; a role's is "role : task"
	Reason string `json:"reason" arg:"reason"`
}

// judgement collects findings about one run.
type judgement struct {
	run      string
	want     Want
	findings []Finding
	used     map[string]bool // skips that were needed
	part     map[string]bool // hosts that did something
	matched  map[string]bool // hosts that some play matched
	events   []Event
}

// Want is what a run is judged by.
type Want struct {
	Hosts    []string // who must take part; empty: whoever a play matches
	Skips    []Skip
	Tags     []string
	SkipTags []string
	// Compared says that a real run is held against this one, which tells what
	// check mode left out. Without it, what might have been left out is red.
	Compared bool
}

func (j *judgement) add(f Finding) {
	f.Run = j.run
	if f.Message == "" {
		f.Message = f.sentence()
	}
	j.findings = append(j.findings, f)
}

// sentence is the finding on one line.
func (f Finding) sentence() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", f.Rule)
	if f.Task != "" {
		fmt.Fprintf(&b, "task %q", f.Task)
		if f.Item != "" {
			fmt.Fprintf(&b, " (item %s)", oneLine(f.Item))
		}
		if f.Where != "" {
			fmt.Fprintf(&b, " at %s", f.Where)
		}
	} else if f.Where != "" {
		fmt.Fprintf(&b, "at %s", f.Where)
	}
	if f.Host != "" {
		if !strings.HasSuffix(b.String(), " ") {
			b.WriteString(" ")
		}
		fmt.Fprintf(&b, "on %s", f.Host)
	}
	return strings.TrimSuffix(b.String(), ": ") + ": " + f.Found
}

func oneLine(text string) string { return oneline.Cut(oneline.Join(text), 300) }

// how says on one line how a program ended: the first error that it told of.
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

// judge reads the events of one run. ended is how the process ended: nil, or one line.
func judge(name string, events []Event, broken error, ended error, want Want) *judgement {
	j := &judgement{run: name, want: want, used: map[string]bool{}, part: map[string]bool{}, matched: map[string]bool{}, events: events}
	if len(events) == 0 || events[0].Kind != "begin" {
		found := "Ansible wrote no events"
		switch {
		case broken != nil:
			found = broken.Error()
		case ended != nil:
			found = how(ended)
		}
		j.add(Finding{Rule: NothingRan, Expected: "a run", Found: found})
		return j
	}
	begin := events[0]
	if wanted := name == check; begin.Check != wanted {
		j.add(Finding{Rule: NotCheck, Expected: fmt.Sprintf("check mode %t", wanted), Found: fmt.Sprintf("the run had check mode %t", begin.Check)})
	}
	j.narrowed(begin)
	plays, results := 0, 0
	seen := map[string]counts{}
	for _, e := range events[1:] {
		switch e.Kind {
		case "play":
			plays++
			j.play(e)
		case "hinge":
			j.hinge(e)
		case "no_hosts":
			j.add(Finding{Rule: NoHosts, Where: e.Where, Expected: "at least one host", Found: fmt.Sprintf("the play %q matched no host", e.Play)})
		case "result":
			results++
			c := seen[e.Host]
			j.result(e, &c)
			seen[e.Host] = c
		}
	}
	j.complete(broken, ended, seen)
	switch {
	case j.has(Incomplete): // who would have taken part is not known
	case plays == 0:
		j.add(Finding{Rule: NothingRan, Expected: "at least one play", Found: "no play began"})
	case len(j.part) == 0 && !j.has(NoHosts, Failed, Unreachable, CheckModeSkip, IgnoredFailure):
		j.add(Finding{Rule: NothingRan, Expected: "at least one task", Found: fmt.Sprintf("%d plays began and no task did anything", plays)})
	default:
		j.hosts()
	}
	return j
}

func (j *judgement) has(rules ...string) bool {
	return slices.ContainsFunc(j.findings, func(f Finding) bool { return slices.Contains(rules, f.Rule) })
}

// narrowed tells of tags that came from elsewhere: the environment or ansible.cfg.
func (j *judgement) narrowed(begin Event) {
	wanted := j.want.Tags
	if len(wanted) == 0 {
		wanted = []string{"all"}
	}
	if !sameSet(begin.Tags, wanted) {
		j.add(Finding{Rule: Narrowed, Expected: "tags " + strings.Join(wanted, ","), Found: "the run had the tags " + strings.Join(begin.Tags, ",")})
	}
	if !sameSet(begin.SkipTags, j.want.SkipTags) {
		j.add(Finding{
			Rule: Narrowed, Expected: "skipped tags: " + strings.Join(j.want.SkipTags, ","),
			Found: "the run skipped the tags " + strings.Join(begin.SkipTags, ","),
		})
	}
	if begin.StartAt != "" {
		j.add(Finding{Rule: Narrowed, Expected: "every task", Found: fmt.Sprintf("the run started at the task %q", begin.StartAt)})
	}
}

func sameSet(a, b []string) bool {
	set := func(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
	return slices.Equal(set(a), set(b))
}

func (j *judgement) play(e Event) {
	var hosts []string
	_ = json.Unmarshal(e.Hosts, &hosts) // a play that tells no host matched none
	for _, host := range hosts {
		j.matched[host] = true
	}
	if j.run != check && e.CheckMode != nil && *e.CheckMode {
		j.add(Finding{Rule: NotCheck, Where: e.Where, Expected: "a play that converges", Found: fmt.Sprintf("the play %q only ever runs in check mode", e.Play)})
	}
}

func (j *judgement) result(e Event, c *counts) {
	finding := Finding{Task: e.Task, Where: e.Where, Host: e.Host}
	if e.On != "" && e.On != e.Host {
		finding.Host = e.Host + " → " + e.On
	}
	switch e.Result {
	case "failed":
		if e.Ignored {
			c.Ignored++
			finding.Rule, finding.Expected = IgnoredFailure, "no failure"
			finding.Found = "it failed, and ignore_errors hid it: " + reasonOf(e)
		} else {
			c.Failures++
			finding.Rule, finding.Expected, finding.Found = Failed, "no failure", "it failed: "+reasonOf(e)
			if e.Rescued {
				finding.Found = "it failed, in a block with a rescue: " + reasonOf(e)
			}
		}
		j.add(finding)
		if !e.Changed {
			return
		}
	case "unreachable":
		finding.Rule, finding.Expected, finding.Found = Unreachable, "a host that answers", "unreachable: "+oneLine(e.Msg)
		if e.Ignored {
			c.Ignored++
			finding.Found = "unreachable, and ignore_unreachable hid it: " + oneLine(e.Msg)
		} else {
			c.Unreachable++
		}
		j.add(finding)
		return
	case "skipped":
		c.Skipped++
	}
	j.skipped(e, finding)
	if e.Result != "skipped" && !e.Implicit {
		j.part[e.Host] = true
	}
	if e.Changed {
		c.Changed++
	}
	j.changed(e, finding)
}

// changed tells of what a task, and each item of its loop, changed.
func (j *judgement) changed(e Event, finding Finding) {
	verb := "it would change something"
	if j.run != check || e.CheckMode != nil && !*e.CheckMode {
		verb = "it changed something"
	}
	tell := func(o Outcome) {
		f := finding
		f.Expected, f.Item, f.Diff = "no change", o.Item, o.Diff
		switch {
		case o.Changed:
			f.Rule, f.Found = Changed, verb
			if o.Msg != "" {
				f.Found += ": " + oneLine(o.Msg)
			}
		case o.Differs:
			f.Rule, f.Found = HiddenChange, "it said ok and showed a difference"
			if len(e.ChangedWhen) > 0 {
				f.Found += "; changed_when is " + strings.Join(e.ChangedWhen, " and ")
			}
		default:
			return
		}
		j.add(f)
	}
	told := len(j.findings)
	for _, item := range e.Items {
		tell(item)
	}
	if told == len(j.findings) {
		tell(e.Outcome)
	}
}

var (
	ofCheckMode = lazyregexp.New(`(?i)check[ _-]?mode`)
	noItems     = lazyregexp.New(`(?i)no items in the list`)
)

// becauseOfCheckMode tells whether check mode is why something was skipped. A
// condition that names it is one; so is a skip by the module itself that names
// it, or, as the raw module's, gives no reason at all.
func becauseOfCheckMode(o Outcome, when, hinging []string) (string, bool) {
	if !o.Skipped {
		return "", false
	}
	if o.FalseCondition != "" {
		if ofCheckMode.MatchString(o.FalseCondition) {
			return "its condition is: " + oneLine(o.FalseCondition), true
		}
		if slices.Contains(hinging, o.FalseCondition) {
			return "a variable in its condition hinges on it: " + oneLine(o.FalseCondition), true
		}
		return "", false
	}
	said := strings.TrimSpace(o.Msg + " " + o.SkipReason + " " + o.SkippedReason)
	switch {
	case noItems.MatchString(said):
		return "", false
	case ofCheckMode.MatchString(said):
		return oneLine(said), true
	case o.SkipReason != "":
		// Ansible skipped it by a condition that it did not name.
		if joined := strings.Join(when, " and "); ofCheckMode.MatchString(joined) {
			return "its condition is: " + oneLine(joined), true
		}
		if len(hinging) > 0 {
			return "a variable in its condition hinges on it: " + oneLine(strings.Join(hinging, " and ")), true
		}
		return "", false
	case said == "":
		return "the module skipped itself and gave no reason", true
	}
	return "", false
}

func (j *judgement) skipped(e Event, finding Finding) {
	if j.run != check && (e.CheckMode == nil || !*e.CheckMode) {
		return // a condition that names check mode held nothing back
	}
	var reason, item string
	var because bool
	hinging := e.HingingWhen
	if j.want.Compared {
		hinging = nil
	}
	if len(e.Items) > 0 {
		for _, outcome := range e.Items {
			if reason, because = becauseOfCheckMode(outcome, e.When, hinging); because {
				item = outcome.Item
				break
			}
		}
	} else {
		reason, because = becauseOfCheckMode(e.Outcome, e.When, hinging)
	}
	if because {
		j.skip(finding, item, "it was skipped because of check mode: "+reason)
	}
}

// hinge tells of a task or a play on which check mode decides unseen: whether a
// play ends, what a loop or an include holds, what a failure or a change is.
// Only a real run beside this one could tell that nothing was left out.
func (j *judgement) hinge(e Event) {
	if j.run != check || j.want.Compared {
		return
	}
	f, what := Finding{Task: e.Task, Where: e.Where}, "its "
	if e.Task == "" {
		f.Task = e.Play
		what = "the play's "
	}
	for _, h := range e.Hinges {
		j.skip(f, "", "it hinges on check mode, so that a real run may do what this one did not: "+what+h.Keyword+" is "+oneLine(h.Says))
	}
}

// skip adds a finding unless the task is listed with a reason.
func (j *judgement) skip(f Finding, item, found string) {
	for _, s := range j.want.Skips {
		if s.Task == f.Task {
			j.used[s.Task] = true
			return
		}
	}
	f.Rule, f.Item, f.Found = CheckModeSkip, item, found
	f.Expected = "a task that check mode can judge, or one that is listed with a reason"
	j.add(f)
}

func reasonOf(e Event) string {
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

// complete compares what was seen with what Ansible counted, and with how it ended.
func (j *judgement) complete(broken, ended error, seen map[string]counts) {
	said := Finding{Rule: Incomplete, Expected: "the events of the whole run"}
	if broken != nil {
		said.Found = broken.Error()
		j.add(said)
		return
	}
	last := j.events[len(j.events)-1]
	if last.Kind != "end" {
		said.Found = "the run stopped before its recap"
		if ended != nil {
			said.Found += ": " + how(ended)
		}
		j.add(said)
		return
	}
	counted := map[string]counts{}
	if err := json.Unmarshal(last.Hosts, &counted); err != nil {
		said.Found = "Ansible's recap cannot be read: " + err.Error()
		j.add(said)
		return
	}
	for _, host := range slices.Sorted(maps.Keys(counted)) {
		a, b := counted[host], seen[host]
		failed, told := a.Failures+a.Rescued, b.Failures
		for _, row := range []struct {
			what       string
			ansible, I int
		}{
			{"changed", a.Changed, b.Changed}, {"failed or rescued", failed, told}, {"unreachable", a.Unreachable, b.Unreachable},
			{"skipped", a.Skipped, b.Skipped}, {"ignored", a.Ignored, b.Ignored},
		} {
			if row.ansible > row.I {
				f := said
				f.Host, f.Found = host, fmt.Sprintf("Ansible counted %d %s and the events tell of %d", row.ansible, row.what, row.I)
				j.add(f)
			}
		}
	}
	if ended != nil && !j.has(Failed, Unreachable) {
		said.Found = how(ended)
		j.add(said)
	}
}

// hosts tells of those who should have taken part. Gathering facts is not taking part.
func (j *judgement) hosts() {
	expected := j.want.Hosts
	if len(expected) == 0 {
		expected = slices.Sorted(maps.Keys(j.matched))
	}
	for _, host := range expected {
		if j.part[host] || j.tells(host) {
			continue
		}
		found := "no play matched it"
		if j.matched[host] {
			found = "a play matched it, and every task was skipped"
		}
		j.add(Finding{Rule: MissingHost, Host: host, Expected: "at least one task that ran", Found: found})
	}
}

// tells is whether something else is already said of the host.
func (j *judgement) tells(host string) bool {
	return slices.ContainsFunc(j.findings, func(f Finding) bool {
		return f.Host == host || strings.HasPrefix(f.Host, host+" → ")
	})
}
