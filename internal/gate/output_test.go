// SPDX-License-Identifier: GPL-3.0-or-later

package gate

import (
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// reported is a report with a finding at a line, one without, and a waived one,
// of a playbook in a repository.
func reported(t *testing.T) *Report {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, ".git"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "playbooks"), 0o755))
	playbook := filepath.Join(root, "playbooks", "a,b.yml")
	require.NoError(t, os.WriteFile(playbook, nil, 0o600))
	report, err := NewReport("idempotence", playbook, []Info{{ID: "changed", Summary: "A task changed something"}, {ID: "failed", Summary: "A task failed"}},
		[]Waiver{{Rule: "changed", Task: "Ask", Reason: "it asks", Expires: in(1)}})
	require.NoError(t, err)
	report.Add(Finding{Rule: "changed", Task: "Write\n::error::it", Where: playbook + ":7", Host: "pi1", Expected: "no change", Found: "100% \x1b[31m<changed>"})
	report.Add(Finding{Rule: "failed", Task: "Stop", Found: "it failed"})
	report.Add(Finding{Rule: "changed", Task: "Ask", Where: playbook + ":9", Found: "it changed"})
	report.Finish(true)
	return report
}

func TestReportsOfEveryFormatAreReadableByTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "report.json")
	paths, err := write(path, reported(t), []string{"annotations", "junit", "sarif", "text"})
	require.NoError(t, err)
	require.Len(t, paths, 5)
	for format, file := range paths {
		info, err := os.Stat(file)
		require.NoError(t, err, format)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), format)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, left, 5, "no temporary file is left")
}

var update = flag.Bool("update", false, "write testdata")

// The files are read by parsers of others too, in tests/plugins/test_reports.py.
func TestReportsAreAsTheOthersReadThem(t *testing.T) {
	t.Parallel()
	report := reported(t)
	report.Began, report.Seconds = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC), 1.5
	root := filepath.Dir(filepath.Dir(report.Subject))
	report.Subject = "playbooks/site.yml"
	for i := range report.Waived {
		report.Waived[i].Waiver.Expires = "2026-12-31"
	}
	for name, render := range map[string]func(*Report) ([]byte, error){"report.xml": junit, "report.sarif": sarif} {
		data, err := render(report)
		require.NoError(t, err)
		data = []byte(strings.ReplaceAll(string(data), root, "/src"))
		path := filepath.Join("testdata", name)
		if *update {
			require.NoError(t, os.WriteFile(path, data, 0o644))
		}
		wanted, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, string(wanted), string(data), "run go test ./internal/gate -update")
	}
}

func TestAnnotationsHoldOneCommandPerFindingWhateverItSays(t *testing.T) {
	t.Parallel()
	out, err := annotations(reported(t))
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Len(t, lines, 3)
	assert.Contains(t, string(out), "::error file=playbooks/a%2Cb.yml,line=7,title=idempotence%3A changed::")
	assert.Contains(t, string(out), "100%25")
	assert.Contains(t, string(out), "::notice file=playbooks/a%2Cb.yml,line=9")
	for _, line := range lines {
		assert.True(t, strings.HasPrefix(line, "::error file=") || strings.HasPrefix(line, "::notice file="), line)
	}
}

func TestJUnitCountsFindingsWaivedOnesAndRulesThatHold(t *testing.T) {
	t.Parallel()
	out, err := junit(reported(t))
	require.NoError(t, err)
	var suites junitSuites
	require.NoError(t, xml.Unmarshal(out, &suites))
	assert.Equal(t, []int{5, 2, 1}, []int{suites.Suite.Tests, suites.Suite.Failures, suites.Suite.Skipped}, "two rules about waivers hold")
	assert.NotContains(t, string(out), "\x1b")
}

func TestSARIFNamesRulesAndSuppressesWhatIsWaived(t *testing.T) {
	t.Parallel()
	out, err := sarif(reported(t))
	require.NoError(t, err)
	var log struct {
		Runs []struct {
			Results []struct {
				RuleID       string
				Suppressions []any
				Locations    []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           *struct{ StartLine int }
					}
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal(out, &log))
	require.Len(t, log.Runs[0].Results, 3)
	suppressed := 0
	for _, r := range log.Runs[0].Results {
		suppressed += len(r.Suppressions)
		assert.Equal(t, "playbooks/a,b.yml", r.Locations[0].PhysicalLocation.ArtifactLocation.URI)
	}
	assert.Equal(t, 1, suppressed)
}
