// SPDX-License-Identifier: GPL-3.0-or-later

package limitedread

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOnlyRegularFilesOfLimitedSizeAreRead(t *testing.T) {
	t.Parallel()
	const limit = 1000
	directory := t.TempDir()
	at := func(name string) string { return filepath.Join(directory, name) }
	require.NoError(t, os.WriteFile(at("file"), []byte("text"), 0o600))
	require.NoError(t, os.WriteFile(at("most"), []byte(strings.Repeat("a", limit)), 0o600))
	require.NoError(t, os.WriteFile(at("more"), []byte(strings.Repeat("a", limit+1)), 0o600))
	require.NoError(t, syscall.Mkfifo(at("pipe"), 0o600))
	for link, to := range map[string]string{"link": "file", "link to a pipe": "pipe", "link to itself": "link to itself"} {
		require.NoError(t, os.Symlink(to, at(link)))
	}
	for name, c := range map[string]struct{ file, says string }{
		"a file":                        {at("file"), ""},
		"a link to one":                 {at("link"), ""},
		"as many bytes as there may":    {at("most"), ""},
		"one byte more":                 {at("more"), "more: larger than 1000 bytes"},
		"a pipe that no process writes": {at("pipe"), "pipe: not a regular file"},
		"a link to such a pipe":         {at("link to a pipe"), "pipe: not a regular file"},
		"a link to itself":              {at("link to itself"), "too many levels"},
		"a directory":                   {directory, ": not a regular file"},
		"a device without an end":       {"/dev/zero", "/dev/zero: not a regular file"},
		"a device without content":      {"/dev/null", "/dev/null: not a regular file"},
		"nothing":                       {at("none"), "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			done := make(chan error, 1)
			go func() {
				_, err := File(c.file, limit)
				done <- err
			}()
			select {
			case err := <-done:
				if c.says == "" {
					assert.NoError(t, err)
				} else {
					assert.ErrorContains(t, err, c.says)
				}
			case <-time.After(10 * time.Second):
				t.Error("it blocks")
			}
		})
	}
}
