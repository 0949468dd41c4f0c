// SPDX-License-Identifier: GPL-3.0-or-later

package record

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/evidence"
	"github.com/arcodange-org/sandbox/internal/run"
	"github.com/arcodange-org/sandbox/internal/tree"
)

// lay writes files, and makes the folder repository in it one of Git.
func lay(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"factory/site.yml": "[]\n", "factory/.gitignore": "kept/\n", "factory/kept/site.yml": "[]\n", "factory/iac/main.tf": "\n",
		"elsewhere/site.yml": "[]\n", "inventory/hosts": "a\n", "inventory/more": "b\n", "boundary.yml": "x\n", "other.yml": "y\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "first"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = filepath.Join(dir, "factory")
		cmd.Env = append(tree.GitEnv(os.Environ()), "GIT_CONFIG_GLOBAL="+os.DevNull)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	require.NoError(t, os.Symlink(filepath.Join(dir, "factory"), filepath.Join(dir, "linked")))
	require.NoError(t, os.Symlink(filepath.Join(dir, "elsewhere", "site.yml"), filepath.Join(dir, "factory", "away.yml")))
	require.NoError(t, os.Symlink(filepath.Join(dir, "boundary.yml"), filepath.Join(dir, "same.yml")))
	return dir
}

func TestEvidenceMustMatchTheInputsOfTheGate(t *testing.T) {
	t.Parallel()
	dir := lay(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	factory := map[string]any{"factory": at("factory")}
	for name, c := range map[string]struct {
		said Evidence
		used Subject
		in   *Location
		says string // the refusal
	}{
		"a boundary of another file":              {said: Evidence{Boundary: at("other.yml")}, used: Subject{Boundary: at("boundary.yml")}, says: "evidence.boundary: the run uses another one (got " + at("other.yml")},
		"the same boundary through a link":        {said: Evidence{Boundary: at("same.yml")}, used: Subject{Boundary: at("boundary.yml")}},
		"a parity manifest of another file":       {said: Evidence{Manifest: at("other.yml")}, used: Subject{Manifest: at("boundary.yml")}, says: "evidence.manifest: the run uses another one"},
		"another inventory":                       {said: Evidence{Inventory: at("inventory")}, used: Subject{ReadsInventory: true, Inventory: []string{at("other.yml")}}, says: "evidence.inventory: the run uses another one"},
		"one inventory of two":                    {said: Evidence{Inventory: at("inventory/hosts")}, used: Subject{ReadsInventory: true, Inventory: []string{at("inventory/hosts"), at("inventory/more")}}, says: "uses " + at("inventory/more")},
		"a list of hosts":                         {said: Evidence{Inventory: at("inventory")}, used: Subject{ReadsInventory: true, Inventory: []string{"localhost,"}}, says: "the run uses a list of hosts"},
		"the inventory of the configuration":      {said: Evidence{Inventory: at("inventory")}, used: Subject{ReadsInventory: true}, says: "takes its inventory from the configuration"},
		"the inventory's folder":                  {said: Evidence{Inventory: at("inventory")}, used: Subject{ReadsInventory: true, Inventory: []string{at("inventory/hosts")}}},
		"an inventory of a gate that reads none":  {said: Evidence{Inventory: at("inventory")}},
		"a playbook in the repository":            {said: Evidence{Repositories: factory}, used: Subject{What: "the playbook", Path: at("factory/site.yml")}, in: &Location{Repository: "factory", Path: "site.yml"}},
		"a playbook in it through a link":         {said: Evidence{Repositories: factory}, used: Subject{What: "the playbook", Path: at("linked/site.yml")}, in: &Location{Repository: "factory", Path: "site.yml"}},
		"a root module in it":                     {said: Evidence{Repositories: factory}, used: Subject{What: "the root module", Path: at("linked/iac")}, in: &Location{Repository: "factory", Path: "iac"}},
		"a playbook that is not there":            {said: Evidence{Repositories: factory}, used: Subject{What: "the playbook", Path: at("factory/gone.yml")}, in: &Location{Repository: "factory", Path: "gone.yml"}},
		"a playbook of a folder in it":            {said: Evidence{Repositories: map[string]any{"factory": at("factory/iac")}}, used: Subject{What: "the playbook", Path: at("factory/site.yml")}, in: &Location{Repository: "factory", Path: "site.yml"}},
		"a playbook elsewhere":                    {said: Evidence{Repositories: factory}, used: Subject{What: "the playbook", Path: at("elsewhere/site.yml")}, says: "not in any of evidence.repositories"},
		"a playbook that a link leads away from":  {said: Evidence{Repositories: factory}, used: Subject{What: "the playbook", Path: at("factory/away.yml")}, says: "not in any of evidence.repositories"},
		"a playbook that .gitignore leaves out":   {said: Evidence{Repositories: factory}, used: Subject{What: "the playbook", Path: at("factory/kept/site.yml")}, says: "the tree of the repository factory leaves it out"},
		"a playbook and no repositories":          {used: Subject{What: "the playbook", Path: at("elsewhere/site.yml")}},
		"a playbook beside a folder of like name": {said: Evidence{Repositories: factory}, used: Subject{What: "the playbook", Path: at("factory-not/site.yml")}, says: "not in any"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tied, in, err := c.said.Complete(t.Context(), run.Exec{}, c.used)
			if c.says != "" {
				require.ErrorContains(t, err, c.says)
				assert.NotContains(t, err.Error(), "\n")
				return
			}
			require.NoError(t, err)
			require.NotNil(t, tied)
			assert.Equal(t, c.in, in)
		})
	}
}

func TestMissingEvidenceOptionsAreFilledIn(t *testing.T) {
	t.Parallel()
	dir := lay(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	look := func(sources ...string) evidence.Record {
		asked := &Evidence{}
		tied, _, err := asked.Complete(t.Context(), run.Exec{}, Subject{ReadsInventory: true, Inventory: sources, Boundary: at("boundary.yml"), Manifest: at("other.yml")})
		require.NoError(t, err)
		record, err := tied.describe(t.Context(), run.Exec{})
		require.NoError(t, err)
		assert.Empty(t, asked.Boundary, "what the task gave is left as it was")
		return record
	}
	digest := func(name string) string {
		d, err := evidence.Digest(at(name))
		require.NoError(t, err)
		return d
	}
	one := look(at("inventory"))
	assert.Equal(t, digest("inventory"), one.Inventory)
	assert.Equal(t, digest("boundary.yml"), one.Boundary)
	assert.Equal(t, digest("other.yml"), one.Manifest)
	two := look(at("inventory/hosts"), at("inventory/more"))
	assert.Len(t, two.Inventory, 64)
	assert.NotEqual(t, two.Inventory, look(at("inventory/more"), at("inventory/hosts")).Inventory, "later sources stand over earlier ones")
	assert.NotEqual(t, look("a,").Inventory, look("b,").Inventory)
	assert.Empty(t, look().Inventory)
	none, in, err := (*Evidence)(nil).Complete(t.Context(), run.Exec{}, Subject{Path: "x"})
	require.NoError(t, err)
	assert.Nil(t, none)
	assert.Nil(t, in)
}
