// SPDX-License-Identifier: GPL-3.0-or-later

package reports_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/gate/reports"
)

func TestAReportWithoutAPathLiesInTheUsersStateFolder(t *testing.T) {
	t.Parallel()
	env := map[string]string{"HOME": "/home/me", "XDG_STATE_HOME": "not/absolute"}
	path, err := reports.Path("", "parity", func(name string) string { return env[name] })
	require.NoError(t, err)
	assert.Regexp(t, `^/home/me/\.local/state/arcodange-sandbox/gates/parity-\d{8}T\d{6}Z-\d+\.json$`, path)

	_, err = reports.Path("", "parity", func(string) string { return "" })
	assert.ErrorContains(t, err, "or set report")
}

func TestAReportIsForItsOwnerAloneAndTakesTheOldOnesPlace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "made", "report.json")
	require.NoError(t, reports.Write(path, map[string]int{"run": 1}))
	require.NoError(t, reports.Write(path, map[string]int{"run": 2}))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "{\n  \"run\": 2\n}\n", string(data))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestWritersOfOneReportLeaveOneOfThemWhole(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "report.json")
	var group sync.WaitGroup
	for n := range 20 {
		group.Go(func() { assert.NoError(t, reports.Write(path, map[string]int{"writer": 1000 + n})) })
	}
	group.Wait()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Regexp(t, `^\{\n  "writer": 10\d\d\n\}\n$`, string(data))
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, left, 1, "nothing half written is left")
}

func TestAReportThatCannotBeWrittenLeavesNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	taken := filepath.Join(folder, "report.json")
	require.NoError(t, os.MkdirAll(filepath.Join(taken, "full"), 0o700))
	assert.ErrorContains(t, reports.Write(taken, 1), "writing the report")
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Len(t, left, 1)
}
