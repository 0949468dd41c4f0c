// SPDX-License-Identifier: GPL-3.0-or-later

package pathlink

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestResolve(t *testing.T) {
	t.Parallel()
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(root, "a", "b"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(root, "file"), nil, 0o600))
	for link, target := range map[string]string{
		"folder": "a/b", "absolute": root + "/a", "dangling": "gone/x", "twice": "folder", "circle": "circle", "0": "a",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(root, link)))
	}
	for i := range 41 {
		require.NoError(t, os.Symlink(fmt.Sprint("chain", i-1), filepath.Join(root, fmt.Sprint("chain", i))))
	}

	for path, want := range map[string]string{
		"file": "file", "a/./b//": "a/b", "folder": "a/b", "absolute/b": "a/b", "twice/x/y": "a/b/x/y",
		"folder/..": "a", "folder/../..": "", "dangling": "gone/x", "dangling/..": "gone", "missing/../file": "file", "chain30": "chain-1",
	} {
		got, err := Resolve(root + "/" + path)
		require.NoError(t, err, path)
		assert.Equal(t, filepath.Join(root, want), got, path)
	}
	for path, want := range map[string]string{"circle": "too many links", "chain40": "too many links", "file/x": "not a directory"} {
		_, err := Resolve(root + "/" + path)
		require.ErrorContains(t, err, want, path)
		assert.Equal(t, root+"/"+path, Canonical(root+"/"+path))
	}
	assert.Equal(t, root+"/a/b", Canonical(root+"/twice"))
}

func TestCanonicalOfARelativePathIsAbsolute(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Symlink("x", "link"))
	here, err := os.Getwd()
	require.NoError(t, err)
	here, err = filepath.EvalSymlinks(here)
	require.NoError(t, err)
	assert.Equal(t, here+"/x/y", Canonical("link/y"))
}
