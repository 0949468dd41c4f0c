// SPDX-License-Identifier: GPL-3.0-or-later

package evidence

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDigest(t *testing.T) {
	t.Parallel()
	make := func(change func(dir string)) string {
		dir := t.TempDir()
		at(t, dir, "hosts.yml", "all:\n")
		at(t, dir, "group_vars/all.yml", "x: 1\n")
		change(dir)
		sum, err := Digest(dir)
		require.NoError(t, err)
		return sum
	}
	same := make(func(string) {})
	assert.Equal(t, same, make(func(string) {}), "the folder's own name and times do not count")
	for name, change := range map[string]func(dir string){
		"a file changed":         func(dir string) { at(t, dir, "hosts.yml", "all: \n") },
		"a file renamed":         func(dir string) { require.NoError(t, os.Rename(dir+"/hosts.yml", dir+"/hosts.yaml")) },
		"a file added":           func(dir string) { at(t, dir, "host_vars/a.yml", "") },
		"a file that may be run": func(dir string) { require.NoError(t, os.Chmod(dir+"/hosts.yml", 0o755)) },
		"a folder added":         func(dir string) { require.NoError(t, os.Mkdir(dir+"/empty", 0o755)) },
	} {
		assert.NotEqual(t, same, make(change), name)
	}
	loop := t.TempDir()
	require.NoError(t, os.Symlink(".", loop+"/again"))
	_, err := Digest(loop)
	require.Error(t, err)
	_, err = Digest(loop + "/missing")
	require.ErrorContains(t, err, "taking the digest of")
}

func at(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}
