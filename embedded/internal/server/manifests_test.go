// SPDX-License-Identifier: GPL-3.0-or-later

package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/embedded/internal/config"
)

func TestManifestFilesAreK3s(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{
		"a.yaml", "b.yml", "c.json", "d.txt", ".e.yaml", "f.yaml", "f.yaml.skip", "below/g.yaml", "below/deeper/h.yaml", "below/i.yaml", "i.yaml.skip",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	var found []string
	for _, file := range manifestFiles(dir) {
		name, err := filepath.Rel(dir, file)
		require.NoError(t, err)
		found = append(found, name)
	}
	assert.Equal(t, []string{"a.yaml", "b.yml", "below/deeper/h.yaml", "below/g.yaml", "c.json"}, found)
}

func TestWhatIsDisabledInK3sIsNotWarnedOf(t *testing.T) {
	t.Parallel()
	out := func(cfg config.Config) []string {
		var names []string
		for _, pack := range packs {
			if pack.out(&cfg) {
				names = append(names, pack.name)
			}
		}
		return names
	}
	assert.Empty(t, out(config.Config{}))
	assert.Equal(t, []string{"coredns", "limit-network-policy", "limit-servicelb"}, out(config.Config{Disable: []string{"coredns", "servicelb"}, DisablePolicies: true}))
	for _, pack := range packs {
		_, err := packaged.ReadFile("manifests/" + pack.name + ".yaml")
		require.NoError(t, err)
	}
}
