// SPDX-License-Identifier: GPL-3.0-or-later

package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWriteReplacesAFileAndMakesItsFolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "folder", "file")
	for _, mode := range []fs.FileMode{0o600, 0o644} {
		require.NoError(t, Write(path, []byte(mode.String()), mode))
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, mode.String(), string(data))
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode())
	}
	assert.Equal(t, []string{"file"}, names(t, filepath.Dir(path)))
}

func TestWriteReplacesALinkAndNotWhatItPointsTo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "target"), []byte("old"), 0o600))
	require.NoError(t, os.Symlink("target", filepath.Join(dir, "link")))
	require.NoError(t, Write(filepath.Join(dir, "link"), []byte("new"), 0o600))
	data, err := os.ReadFile(filepath.Join(dir, "target"))
	require.NoError(t, err)
	assert.Equal(t, "old", string(data))
}

func TestAFailedWriteLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "taken"), 0o700))
	require.Error(t, Write(filepath.Join(dir, "taken"), []byte("x"), 0o600))
	assert.Equal(t, []string{"taken"}, names(t, dir))
}

func TestReadersAndWritersAtTheSameTimeSeeWholeFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	var group sync.WaitGroup
	for _, letter := range []string{"a", "b"} {
		group.Go(func() {
			for range 20 {
				assert.NoError(t, Write(path, []byte(strings.Repeat(letter, 1<<16)), 0o600))
				data, err := os.ReadFile(path)
				assert.NoError(t, err)
				assert.Len(t, data, 1<<16)
				assert.Equal(t, 1<<16, strings.Count(string(data), string(data[:1])))
			}
		})
	}
	group.Wait()
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var all []string
	for _, entry := range entries {
		all = append(all, entry.Name())
	}
	return all
}
