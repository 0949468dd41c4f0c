// SPDX-License-Identifier: GPL-3.0-or-later

package idempotence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/gate"
	"github.com/arcodange-org/sandbox/internal/run"
)

const (
	begin  = `{"event":"begin","number":0,"check":true,"tags":["all"]}`
	onPlay = `{"event":"play","number":1,"play":"web","hosts":["web1"]}`
	result = `{"event":"result","number":2,"host":"web1","kind":"ok","task":"Say","where":"site.yml:3"}`
	end    = `{"event":"end","number":3,"hosts":{"web1":{"ok":1}}}`
)

func checked(t *testing.T, ended error, lines ...string) []string {
	t.Helper()
	events, broken := readEvents(strings.NewReader(strings.Join(lines, "\n") + "\n"))
	report := empty(t)
	record(check, events, broken, ended, expected{}).check(t.Context(), report, checkRules)
	var found []string
	for _, f := range report.Findings {
		found = append(found, f.Rule+": "+f.Found)
	}
	return found
}

func TestARunWithMissingEventsIsRed(t *testing.T) {
	t.Parallel()
	assert.Empty(t, checked(t, nil, begin, onPlay, result, end))
	for name, c := range map[string]struct {
		lines []string
		ended error
		says  string
	}{
		"no line at all":                          {nil, nil, "nothing_ran"},
		"no line, and the program says why":       {nil, errors.New("no such playbook"), "nothing_ran: "},
		"no recap":                                {[]string{begin, onPlay, result}, nil, "incomplete: the run stopped before its recap"},
		"a line taken out":                        {[]string{begin, onPlay, end}, nil, "has number 3"},
		"a line that is no event":                 {[]string{begin, onPlay, "ok: [web1]"}, nil, "cannot be read"},
		"a line of another run":                   {[]string{begin, onPlay, result, begin}, nil, "has number 0"},
		"a change that only Ansible counted":      {[]string{begin, onPlay, result, strings.Replace(end, `"ok":1`, `"ok":1,"changed":1`, 1)}, nil, "counted 1 changed and the events have 0"},
		"a rescue that only Ansible counted":      {[]string{begin, onPlay, result, strings.Replace(end, `"ok":1`, `"ok":1,"rescued":1`, 1)}, nil, "counted 1 failed or rescued"},
		"a failure that only the status tells of": {[]string{begin, onPlay, result, end}, errors.New("exit status 4"), "incomplete: exit status 4"},
		"a run that was no check":                 {[]string{strings.Replace(begin, "true", "false", 1), onPlay, result, end}, nil, "not_check"},
		"a run that started at a task":            {[]string{strings.Replace(begin, `"check"`, `"start_at":"Say","check"`, 1), onPlay, result, end}, nil, "narrowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := checked(t, c.ended, c.lines...)
			require.Len(t, found, 1)
			assert.Contains(t, found[0], c.says)
		})
	}
}

func TestATruncatedLineIsNotAnEvent(t *testing.T) {
	t.Parallel()
	_, err := readEvents(strings.NewReader(begin + "\n" + onPlay[:20]))
	require.ErrorContains(t, err, "cut short")
}

func empty(t *testing.T) *gate.Report {
	t.Helper()
	report, err := gate.NewReport("idempotence", "site.yml", Rules(), nil)
	require.NoError(t, err)
	return report
}

// attributed are the findings about differences of a host between two snapshots.
func attributed(t *testing.T, host string, differences []difference, ran []event) []gate.Finding {
	t.Helper()
	report := empty(t)
	record(converge, nil, nil, nil, expected{}).attribute(host, differences, ran, report)
	return report.Findings
}

// at is an event of a task on a host that took one second, from second n on.
func at(n float64, host, task, said string, changed bool) event {
	return event{
		Kind: "result", Task: task, Where: task + ".yml:1", Host: host, Action: "ansible.builtin.shell", Result: said,
		Began: 1e9 + n, Time: 1e9 + n + 1, outcome: outcome{Changed: changed},
	}
}

func TestAChangeIsAttributedToTheTaskThatRanAtThatTime(t *testing.T) {
	t.Parallel()
	ran := []event{
		at(0, "web1", "first", "ok", false), at(2, "web1", "second", "ok", false), at(4, "web1", "honest", "ok", true),
		at(2, "web2", "other", "ok", false), at(6, "web1", "skipped", "skipped", false),
	}
	was := map[string]thing{"file /a": {State: "1"}, "package p": {State: "1"}, "file /d/gone": {State: "1"}, "file /d": {State: "d"}}
	for name, c := range map[string]struct {
		what   string
		now    thing
		offset time.Duration
		says   string // empty: nothing is said
	}{
		"a file during the second task":              {"file /a", thing{"2", 1e9 + 2.5}, 0, `undeclared_change: task "second" at second.yml:1 on web1: it returned ok, and file /a differs: 1 → 2`},
		"a file as the task began, a tick too early": {"file /a", thing{"2", 1e9 + 1.995}, 0, `task "second"`},
		"a package during the first task":            {"package p", thing{"2", 1e9 + 0.5}, 0, `task "first"`},
		"a new unit":                                 {"unit u.service", thing{"run", 1e9 + 0.5}, 0, "unit u.service is new"},
		"a file on a machine whose clock is ahead":   {"file /a", thing{"2", 1e9 + 62.5}, time.Minute, `task "second"`},
		"a file during a task that said changed":     {"file /a", thing{"2", 1e9 + 4.5}, 0, ""},
		"a file between two tasks":                   {"file /a", thing{"2", 1e9 + 3.5}, 0, "unexplained_change: on web1: file /a differs"},
		"a file while its task was skipped":          {"file /a", thing{"2", 1e9 + 6.5}, 0, "unexplained_change"},
		"a file that was only touched":               {"file /a", thing{"1", 1e9 + 2.5}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := map[string]thing{}
			for what, is := range was {
				now[what] = is
			}
			now[c.what] = c.now
			found := attributed(t, "web1", compare(was, now, c.offset, nil), ran)
			if c.says == "" {
				assert.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			assert.Contains(t, found[0].Message, c.says)
		})
	}
	t.Run("a file that is gone has the time of its folder", func(t *testing.T) {
		t.Parallel()
		now := map[string]thing{"file /a": {State: "1"}, "package p": {State: "1"}, "file /d": {State: "d", Time: 1e9 + 2.5}}
		found := attributed(t, "web1", compare(was, now, 0, nil), ran)
		require.Len(t, found, 1)
		assert.Contains(t, found[0].Message, `task "second"`)
		assert.Contains(t, found[0].Message, "file /d/gone is gone")
	})
	t.Run("a unit that is enabled, and one that is gone, have the time of their folders", func(t *testing.T) {
		t.Parallel()
		was := map[string]thing{"unit u.service": {State: "enabled=disabled active=active run=1", Time: 1}, "container docker c": {State: "1"}}
		now := map[string]thing{
			"unit u.service": {State: "enabled=enabled active=active run=1", Time: 1},
			"clock units":    {Time: 1e9 + 2.5}, "clock container docker c": {Time: 1e9 + 0.5},
		}
		found := attributed(t, "web1", compare(was, now, 0, nil), ran)
		require.Len(t, found, 2)
		assert.Contains(t, found[0].Message, `task "first" at first.yml:1 on web1: it returned ok, and container docker c is gone`)
		assert.Contains(t, found[1].Message, `task "second" at second.yml:1 on web1: it returned ok, and unit u.service differs`)
	})
	t.Run("a removal at an unknown time names a possible task, and the number of others", func(t *testing.T) {
		t.Parallel()
		honest := slices.DeleteFunc(slices.Clone(ran), func(e event) bool { return e.Changed })
		found := attributed(t, "", compare(map[string]thing{"object v1 ConfigMap c": {State: "1"}}, nil, 0, nil), honest)
		require.Len(t, found, 1)
		assert.Equal(t, "undeclared_change", found[0].Rule)
		assert.Contains(t, found[0].Message, "the time is not known, so it was this or another of")
		found = attributed(t, "", compare(map[string]thing{"object v1 ConfigMap c": {State: "1"}, "object v1 ConfigMap d": {State: "1"}}, nil, 0, nil), nil)
		require.Len(t, found, 1, "one finding for all changes without a task")
		assert.Contains(t, found[0].Message, "and no task ran there")
		assert.Len(t, found[0].Diff, 2)
	})
	t.Run("one finding for all that one task changed", func(t *testing.T) {
		t.Parallel()
		found := attributed(t, "web1", compare(nil, map[string]thing{"file /x": {"1", 1e9 + 0.2}, "file /y": {"1", 1e9 + 0.3}}, 0, nil), ran)
		require.Len(t, found, 1)
		assert.Len(t, found[0].Diff, 2)
	})
	t.Run("ignored changes are not reported", func(t *testing.T) {
		t.Parallel()
		ignore := []Ignore{{What: "file /x/**"}, {What: "unit *.timer"}}
		assert.Empty(t, compare(nil, map[string]thing{"file /x/y/z": {"1", 0}, "unit a.timer": {"1", 0}}, 0, ignore))
		assert.Len(t, compare(nil, map[string]thing{"file /z/x/y": {"1", 0}, "unit a.service": {"1", 0}}, 0, ignore), 2)
	})
}

type kubectl struct {
	objects string
	old     bool
}

func (k kubectl) Run(_ context.Context, c run.Cmd) (run.Result, error) {
	switch c.Args[2] {
	case "api-resources":
		return run.Result{Stdout: []byte("configmaps\nevents\ndeployments.apps\n")}, nil
	case "get":
		if c.Args[3] != "configmaps,deployments.apps" {
			return run.Result{}, fmt.Errorf("asked for %s", c.Args[3])
		}
		if k.old && slices.Contains(c.Args, "--show-managed-fields") {
			return run.Result{}, errors.New("Error: unknown flag: --show-managed-fields")
		}
		return run.Result{Stdout: []byte(k.objects)}, nil
	}
	return run.Result{}, fmt.Errorf("unknown command %s", c)
}

func TestAnObjectChangesOnlyWithItsSpec(t *testing.T) {
	t.Parallel()
	deployment := func(generation, version int) string {
		return fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a","namespace":"n","uid":"u","generation":%d,"resourceVersion":"%d",
			"managedFields":[{"time":"2001-09-09T01:46:42Z"},{"time":"2026-01-01T00:00:00Z","subresource":"status"}]}}`, generation, version)
	}
	config := func(version int, data string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"n","uid":"v","resourceVersion":"%d",
			"annotations":{"control-plane.alpha.kubernetes.io/leader":"%[1]d"}},"data":{"a":%q}}`, version, data)
	}
	taints := map[int]string{
		7: `,"taints":[{"key":"node.kubernetes.io/not-ready","effect":"NoSchedule"},{"key":"node.kubernetes.io/unreachable","effect":"NoExecute","timeAdded":"2026-01-01T00:00:00Z"}]`,
		8: `,"taints":[{"key":"node.kubernetes.io/not-ready","effect":"NoSchedule"},{"key":"mine","effect":"NoSchedule"}]`,
		9: `,"unschedulable":true,"taints":[{"key":"node.kubernetes.io/unschedulable","effect":"NoSchedule"}]`,
	}
	node := func(kind string, version int, label string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"Node","metadata":{"name":"n%s","uid":"x","resourceVersion":"%[2]d","labels":{"a":%[3]q},
			"annotations":{"lease":"%[2]d"}},"status":{"conditions":[%[2]d]},"spec":{"podCIDR":"10.42.0.0/24"%[4]s}}`, kind, version, label, taints[version])
	}
	application := func(generation int, path string) string {
		return fmt.Sprintf(`{"apiVersion":"argoproj.io/v1alpha1","kind":"Application","metadata":{"name":"a","uid":"y","generation":%d},
			"spec":{"path":%q},"status":{"at":%[1]d}}`, generation, path)
	}
	const owned = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","uid":"w","resourceVersion":"1","ownerReferences":[{"uid":"o"},{"uid":"u","controller":true}]}}`
	taken := func(data string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"n","uid":"q","ownerReferences":[{"uid":"u"}]},"data":{"a":%q}}`, data)
	}
	look := func(items ...string) map[string]thing {
		found, err := Cluster{Runner: kubectl{`{"items":[` + strings.Join(items, ",") + `]}`, len(items)%2 == 0}, Kubectl: "kubectl"}.Objects(t.Context())
		require.NoError(t, err)
		return found
	}
	all := func(n int) []string {
		return []string{deployment(1, n), config(n, "b"), node("", n, "b"), application(n, "b"), owned, taken("b")}
	}
	before := look(all(1)...)
	assert.Len(t, before, 5, "what a controller keeps is its matter")
	assert.Empty(t, compare(before, look(all(7)...), 0, nil), "what a cluster writes by itself is no change")
	for name, c := range map[string]struct{ what, object string }{
		"a generation":                  {"object apps/v1 Deployment n/a", deployment(2, 1)},
		"a kind that has none":          {"object v1 ConfigMap n/c", config(1, "c")},
		"a label of a node":             {"object v1 Node n", node("", 1, "c")},
		"a taint of a node":             {"object v1 Node n", node("", 8, "b")},
		"a node that is cordoned":       {"object v1 Node n", node("", 9, "b")},
		"a kind defined in the cluster": {"object argoproj.io/v1alpha1 Application a", application(1, "c")},
		"one that goes with another":    {"object v1 Secret n/s", taken("c")},
		"one that is new":               {"object v1 Node nnew", node("new", 1, "b")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := compare(before, look(append(all(1), c.object)...), 0, nil)
			require.Len(t, changed, 1)
			assert.Equal(t, c.what, changed[0].what)
		})
	}
	assert.Equal(t, int64(1000000002), compare(before, look(append(all(1), deployment(2, 1))...), 0, nil)[0].at.Unix(), "when its wish was last written")
	_, err := Cluster{Runner: kubectl{"", false}, Kubectl: "kubectl"}.Objects(t.Context())
	require.ErrorContains(t, err, "not one object")
}

func TestOptionsThatLimitedARunAreRecorded(t *testing.T) {
	t.Parallel()
	first := &recording{active: map[string]bool{"a": true}, matched: map[string]bool{"a": true, "b": true}}
	o := Options{
		Limit: "localhost", Tags: []string{"a", "b"}, SkipTags: []string{"c"}, Vars: map[string]any{"y": 1, "x": "secret"}, Hosts: []string{"a"},
		Ignore: []Ignore{{"file /x", "it moves"}},
	}
	narrowed := []string{"limit localhost", "tags a, b", "skip_tags c", "variables x, y", "not expected b"}
	assert.Equal(t, narrowed, o.narrowed(first))
	o.Converge = true
	assert.Equal(t, append(narrowed, "ignore file /x: it moves"), o.narrowed(first))
	assert.Empty(t, Options{Hosts: []string{"a", "b"}}.narrowed(first), "who is expected and idle is a finding")
}
