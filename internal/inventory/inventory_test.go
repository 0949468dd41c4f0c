// SPDX-License-Identifier: GPL-3.0-or-later

package inventory

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// Lay writes the files of an archive to a directory; a file that begins with #! can be started.
func lay(t testing.TB, archive *txtar.Archive) string {
	t.Helper()
	root := t.TempDir()
	for _, f := range archive.Files {
		path := filepath.Join(root, f.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		mode := os.FileMode(0o600)
		if strings.HasPrefix(string(f.Data), "#!") {
			mode = 0o700
		}
		data := strings.ReplaceAll(string(f.Data), "LONG", strings.Repeat("x", 70000))
		require.NoError(t, os.WriteFile(path, []byte(data), mode))
	}
	return root
}

func TestTheCorpusIsReadAsItSays(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(names), 30)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			require.NoError(t, err)
			found, err := Read(lay(t, archive))
			require.NoError(t, err)
			var got []string
			for _, host := range found.Hosts {
				got = append(got, strings.TrimSpace(host.Name+" "+host.Address))
			}
			if len(found.Unknown) > 0 {
				got = append(got, "unknown")
			}
			// The comment lists what is found: a host and its address on each line.
			assert.Equal(t, strings.TrimSpace(string(archive.Comment)), strings.Join(got, "\n"))
		})
	}
}

func TestWhatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	_, err := Read(filepath.Join(t.TempDir(), "missing"))
	assert.ErrorContains(t, err, "looking at the inventory")
}

func FuzzRead(f *testing.F) {
	f.Add("a ansible_host=192.0.2.1\n[g]\nb[1:3]\n", "all: {hosts: {c: {ansible_host: 192.0.2.1}}}")
	f.Fuzz(func(t *testing.T, ini, yaml string) {
		root := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(root, "hosts"), []byte(ini), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(root, "more.yml"), []byte(yaml), 0o600))
		found, err := Read(root)
		require.NoError(t, err)
		for _, host := range found.Hosts {
			require.True(t, plain(host.Name))
			require.True(t, host.Address == "" || literal(host.Address))
		}
	})
}

// A pipe in place of a file would be waited for without end.
func TestPipesAndDevicesAreNotRead(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "h.yml"), []byte("all: {hosts: {a: }}"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(root, "host_vars"), 0o700))
	for _, name := range []string{"pipe", "host_vars/a"} {
		require.NoError(t, syscall.Mkfifo(filepath.Join(root, name), 0o600))
	}
	found, err := Read(root)
	require.NoError(t, err)
	assert.Len(t, found.Unknown, 2)
}

// A range that stands for more hosts than there is memory for is not made. Ansible would make it, so the corpus cannot hold it.
func TestAHugeRangeIsNotExpanded(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"a[0:999999]b[0:999999]c[0:999999]", "a[0:999999999999]", strings.Repeat("a[1:9]", 20), strings.Repeat("b[1:9999]\n", 20)} {
		root := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(root, "hosts"), []byte(line+"\n"), 0o600))
		found, err := Read(root)
		require.NoError(t, err)
		assert.Empty(t, found.Hosts, line)
		assert.Len(t, found.Unknown, 1, line)
	}
}
