// SPDX-License-Identifier: GPL-3.0-or-later

package gate

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/evidence"
)

var testRules = []Info{{ID: "drift", Summary: "Something differs"}, {ID: "boundary", Summary: "It leads out", NeverWaive: "list it"}}

func in(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly) }

func started(t *testing.T, waivers ...Waiver) *Report {
	t.Helper()
	report, err := NewReport("parity", "manifest.yml", testRules, waivers)
	require.NoError(t, err)
	return report
}

func TestAWaiverCoversWhatItNamesAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		waiver Waiver
		found  Finding
		covers bool
	}{
		"its path":                        {Waiver{Path: "nodes/pi1"}, Finding{Path: "nodes/pi1"}, true},
		"a longer path":                   {Waiver{Path: "nodes/pi1"}, Finding{Path: "nodes/pi1/roles"}, false},
		"a segment":                       {Waiver{Path: "nodes/*/roles"}, Finding{Path: "nodes/pi1/roles"}, true},
		"two segments for one star":       {Waiver{Path: "nodes/*/roles"}, Finding{Path: "nodes/a/b/roles"}, false},
		"all below":                       {Waiver{Path: "file /var/**"}, Finding{Path: "file /var/a/b"}, true},
		"a pattern is no expression":      {Waiver{Path: "a.b/*"}, Finding{Path: "axb/c"}, false},
		"its task":                        {Waiver{Task: "app : Ask"}, Finding{Task: "app : Ask"}, true},
		"tasks by a pattern":              {Waiver{Task: "app : *"}, Finding{Task: "app : Ask / again"}, true},
		"another task":                    {Waiver{Task: "app : Ask"}, Finding{Task: "Ask"}, false},
		"an instance":                     {Waiver{Resource: `a.b["x"]`}, Finding{Resource: `a.b["x"]`}, true},
		"another instance":                {Waiver{Resource: `a.b["x"]`}, Finding{Resource: `a.b["y"]`}, false},
		"every instance":                  {Waiver{Resource: "a.b"}, Finding{Resource: `a.b["x"]`}, true},
		"every instance of every module":  {Waiver{Resource: "module.m.a.b"}, Finding{Resource: `module.m["x.y"].a.b[0]`}, true},
		"a key that looks like an index":  {Waiver{Resource: "a.b"}, Finding{Resource: `a.b["[0]"]`}, true},
		"a resource of a longer name":     {Waiver{Resource: "a.b"}, Finding{Resource: "a.bc"}, false},
		"a task on its host":              {Waiver{Task: "Ask", Host: "pi1"}, Finding{Task: "Ask", Host: "pi1"}, true},
		"a task on another host":          {Waiver{Task: "Ask", Host: "pi1"}, Finding{Task: "Ask", Host: "pi10"}, false},
		"a field that the finding lacks":  {Waiver{Task: "Ask", Path: "a"}, Finding{Task: "Ask"}, false},
		"a new line within what is meant": {Waiver{Task: "a*c"}, Finding{Task: "a\nc"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.waiver.Rule, c.waiver.Reason, c.waiver.Expires, c.found.Rule = "drift", "a test", in(0), "drift"
			report := started(t, c.waiver)
			assert.Equal(t, !c.covers, report.Add(c.found))
			report.Finish(true)
			assert.Equal(t, c.covers, report.Verdict == evidence.Green)
			assert.Equal(t, c.covers, len(report.Waived) == 1)
		})
	}
}

func TestAWaiverThatIsOverOrNotNeededIsAFinding(t *testing.T) {
	t.Parallel()
	drift := Finding{Rule: "drift", Path: "nodes/pi1"}
	rules := func(r *Report) (out []string) {
		r.Finish(true)
		for _, f := range r.Findings {
			out = append(out, f.Rule)
		}
		return out
	}
	last := Waiver{Rule: "drift", Path: "nodes/pi1", Reason: "a test", Expires: in(0)}
	over := last
	over.Expires = in(-1)
	report := started(t, over)
	assert.True(t, report.Add(drift))
	assert.Equal(t, []string{"drift", "expired_waiver"}, rules(report))
	assert.Empty(t, report.usedWaivers(), "evidence names those that waived something")
	assert.Equal(t, []string{"unused_waiver"}, rules(started(t, last)))
	report = started(t, last)
	report.Finish(false)
	assert.Equal(t, evidence.Green, report.Verdict, "of a gate that did not look at everything it is not known")
	report = started(t, last)
	assert.False(t, report.Add(drift))
	assert.Equal(t, []string{"drift nodes/pi1 until " + in(0) + ": a test"}, report.usedWaivers())
	noon := time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)
	assert.False(t, Waiver{Expires: "2026-12-31"}.expired(noon))
	assert.True(t, Waiver{Expires: "2026-12-31"}.expired(noon.Add(time.Second)))
}

func TestAWaiverThatSaysTooLittleOrTooMuchIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		waiver Waiver
		says   string
	}{
		"no reason":              {Waiver{Rule: "drift", Path: "a", Reason: " ", Expires: in(1)}, "reason is empty"},
		"no end":                 {Waiver{Rule: "drift", Path: "a", Reason: "r"}, `expires is not a day (got "")`},
		"an end in words":        {Waiver{Rule: "drift", Path: "a", Reason: "r", Expires: "never"}, "expires is not a day"},
		"an end that is far off": {Waiver{Rule: "drift", Path: "a", Reason: "r", Expires: in(400)}, "more than a year ahead"},
		"nothing it is about":    {Waiver{Rule: "drift", Reason: "r", Expires: in(1)}, "covers every finding"},
		"everything":             {Waiver{Rule: "drift", Path: "**", Host: "*", Reason: "r", Expires: in(1)}, "covers every finding"},
		"every section":          {Waiver{Rule: "drift", Path: "*/b", Reason: "r", Expires: in(1)}, "begins with a wildcard"},
		"another gate's rule":    {Waiver{Rule: "changed", Path: "a", Reason: "r", Expires: in(1)}, "no rule of this gate"},
		"what must not be":       {Waiver{Rule: "boundary", Path: "a", Reason: "r", Expires: in(1)}, "cannot be waived; list it"},
		"another waiver":         {Waiver{Rule: "expired_waiver", Path: "waivers/a", Reason: "r", Expires: in(1)}, "cannot be waived"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := NewReport("parity", "manifest.yml", testRules, []Waiver{c.waiver})
			require.ErrorContains(t, err, c.says)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestAFileOfWaiversIsReadForOneGate(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "w.yml")
	require.NoError(t, os.WriteFile(file, []byte(`# for all gates
- {rule: parity/drift, path: a, reason: r, expires: 2026-12-31}
- rule: plan/delete
  resource: b
  reason: r
  expires: 2026-12-31
- {rule: drift, path: c, reason: r, expires: "2026-12-31"}
`), 0o600))
	waivers, err := ReadWaivers(file, "parity")
	require.NoError(t, err)
	assert.Equal(t, []Waiver{
		{Rule: "drift", Path: "a", Reason: "r", Expires: "2026-12-31", Where: file + ":2"},
		{Rule: "drift", Path: "c", Reason: "r", Expires: "2026-12-31", Where: file + ":7"},
	}, waivers)
	for name, c := range map[string]struct{ text, says string }{
		"a key that is not known": {"- {rule: a/b, path: c, reason: r, expires: 2026-12-31, forever: true}", "w.yml:1:56: unknown key \"forever\""},
		"the same twice":          {"- {rule: b, path: c, reason: r, expires: 2026-12-31}\n- {rule: b, path: c, reason: s, expires: 2026-12-30}", "w.yml:2:3: repeats the waiver at w.yml:1"},
		"nothing":                 {"", "w.yml:1:1: it is empty"},
		"no reason":               {"- {rule: b, path: c, expires: 2026-12-31}", `the key "reason" is missing`},
		"a number":                {"- {rule: b, path: 7, reason: r, expires: 2026-12-31}", "w.yml:1:19: not text"},
		"no list":                 {"path: a/b", "w.yml:1:1: not a list"},
		"a broken file":           {"- {", "w.yml:1:1: did not find"},
		"two documents":           {"- {rule: b, path: c, reason: r, expires: 2026-12-31}\n---\n[]", "a second YAML document"},
	} {
		_, err := parseWaivers("w.yml", []byte(c.text), "parity")
		require.ErrorContains(t, err, c.says, name)
		assert.NotContains(t, err.Error(), "\n", name)
	}
	_, err = ReadWaivers("/nowhere/w.yml", "parity")
	require.ErrorContains(t, err, "waivers: open /nowhere/w.yml")
}

func FuzzParseWaivers(f *testing.F) {
	f.Add([]byte("- {rule: parity/drift, path: a/*, reason: r, expires: 2026-12-31}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		waivers, err := parseWaivers("w.yml", data, "parity")
		if err != nil {
			return
		}
		for _, w := range waivers {
			if (w.validFor(map[string]Info{"drift": {}}, time.Now()) == nil) && (w.Reason == "" || w.covers(Finding{Rule: "drift"})) {
				t.Fatalf("%+v is valid", w)
			}
		}
	})
}
