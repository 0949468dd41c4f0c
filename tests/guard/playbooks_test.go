// SPDX-License-Identifier: GPL-3.0-or-later

package guard

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// Every playbook of the collection begins with the guard's play, by itself or through the first that it imports.
func TestEveryPlaybookBeginsWithTheGuard(t *testing.T) {
	names, err := filepath.Glob("../../playbooks/*.yml")
	require.NoError(t, err)
	require.Greater(t, len(names), 5)
	for _, name := range append(names, "../../site.yml", "../../destroy.yml") {
		first, passed := name, 0
		for {
			text, err := os.ReadFile(first)
			require.NoError(t, err, name)
			var plays []map[string]any
			require.NoError(t, yaml.Unmarshal(text, &plays), first)
			require.NotEmpty(t, plays, first)
			imported, ok := plays[0]["ansible.builtin.import_playbook"].(string)
			if !ok {
				break
			}
			// A condition, or a tag by which it may be chosen or not, would be a way around it.
			for key := range plays[0] {
				assert.Contains(t, []string{"name", "ansible.builtin.import_playbook"}, key, "%s: what %s begins with always runs", name, first)
			}
			first = filepath.Join(filepath.Dir(first), imported)
			passed++
			require.Less(t, passed, 10, name)
		}
		assert.Equal(t, "../../playbooks/guard.yml", first, "%s begins with something else than the guard", name)
	}
}

// The guard's own play is about every host, comes whatever tags are asked for, and ends the run for all.
func TestTheGuardsPlayIsAboutEveryHost(t *testing.T) {
	text, err := os.ReadFile("../../playbooks/guard.yml")
	require.NoError(t, err)
	var plays []struct {
		Hosts          string
		Tags           string
		AnyErrorsFatal bool `yaml:"any_errors_fatal"`
		Tasks          []map[string]any
	}
	require.NoError(t, yaml.Unmarshal(text, &plays))
	require.Len(t, plays, 1)
	assert.Equal(t, "all", plays[0].Hosts)
	assert.Equal(t, "always", plays[0].Tags)
	assert.True(t, plays[0].AnyErrorsFatal)
	require.NotEmpty(t, plays[0].Tasks)
	for _, task := range plays[0].Tasks {
		assert.Contains(t, task, "arcodange.sandbox.prod_ip_guard")
		assert.NotContains(t, task, "when")
		assert.NotContains(t, task, "ignore_errors")
		assert.NotContains(t, task, "failed_when")
	}
}
