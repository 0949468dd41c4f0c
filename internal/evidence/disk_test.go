// SPDX-License-Identifier: GPL-3.0-or-later

//go:build engine

package evidence

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// disk mounts a file system of that many bytes, for which the tests must be root.
func disk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+strconv.Itoa(size)), "these tests mount file systems: run them as root")
	t.Cleanup(func() { assert.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

func TestADiskThatIsReallyFullLosesNoEarlierRecord(t *testing.T) {
	t.Parallel()
	dir := disk(t, 64<<10)
	path := filepath.Join(dir, "ledger.jsonl")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), child+"="+path)
	out, err := cmd.Output()
	require.Error(t, err)
	written, said := 0, ""
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		if number, err := strconv.Atoi(lines.Text()); err == nil {
			written = number
		} else {
			said = lines.Text()
		}
	}
	assert.Contains(t, said, "no space left on device")
	require.Greater(t, written, 10)
	l := &Ledger{Path: path, Now: time.Now}
	for range 3 { // it goes on failing, and goes on losing nothing
		_, err = l.Append(t.Context(), sample(1), nil)
		require.ErrorIs(t, err, syscall.ENOSPC)
	}
	result, err := l.Verify(t.Context(), Check{})
	require.NoError(t, err)
	assert.Empty(t, result.Problems)
	assert.GreaterOrEqual(t, result.Records, written)
	require.NoError(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=1m"))
	entry, err := l.Append(t.Context(), sample(1), nil)
	require.NoError(t, err, "with room again it goes on")
	assert.Equal(t, result.Records+1, entry.Sequence)
	assert.Zero(t, entry.Torn)
}

func TestALedgerThatMayOnlyBeReadIsVerifiedAndNotWritten(t *testing.T) {
	t.Parallel()
	dir := disk(t, 1<<20)
	l := &Ledger{Path: filepath.Join(dir, "ledger.jsonl"), Now: time.Now}
	_, err := l.Append(t.Context(), sample(1), nil)
	require.NoError(t, err)
	require.NoError(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	_, err = l.Append(t.Context(), sample(2), nil)
	require.ErrorIs(t, err, syscall.EROFS)
	assert.NotContains(t, err.Error(), "\n")
	result, err := l.Verify(t.Context(), Check{})
	require.NoError(t, err)
	assert.Empty(t, result.Problems)
	assert.Equal(t, 1, result.Records)
}
