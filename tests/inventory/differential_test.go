// SPDX-License-Identifier: GPL-3.0-or-later

//go:build ansible

package inventory

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/arcodange-org/sandbox/internal/inventory"
	"github.com/arcodange-org/sandbox/tests/ansibletest"
)

// ask is what Ansible itself finds: every host with its address, if it has one.
func ask(t *testing.T, root string) map[string]string {
	t.Helper()
	cmd := exec.Command(ansibletest.Program(t, "ansible-inventory"), "-i", root, "--list")
	cmd.Dir = t.TempDir()
	password := filepath.Join(t.TempDir(), "password") // of what the corpus holds encrypted
	require.NoError(t, os.WriteFile(password, []byte("secret"), 0o600))
	cmd.Env = append(os.Environ(), "ANSIBLE_CONFIG="+os.DevNull+".cfg", "ANSIBLE_LOCAL_TEMP="+t.TempDir(), "ANSIBLE_VAULT_PASSWORD_FILE="+password)
	out, err := cmd.Output()
	if err != nil {
		return map[string]string{} // Ansible reads nothing there, so nothing may be found
	}
	var listed map[string]struct {
		Hosts    []string                  `json:"hosts"`
		Hostvars map[string]map[string]any `json:"hostvars"`
	}
	require.NoError(t, json.Unmarshal(out, &listed))
	found := map[string]string{}
	for _, group := range listed {
		for _, host := range group.Hosts {
			found[host] = ""
		}
	}
	for host, variables := range listed["_meta"].Hostvars {
		if address, ok := variables["ansible_host"].(string); ok {
			found[host] = address
		}
	}
	return found
}

func TestTheStaticReaderFindsNothingThatAnsibleDoesNot(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../../internal/inventory/testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			require.NoError(t, err)
			root := t.TempDir()
			for _, f := range archive.Files {
				path := filepath.Join(root, f.Name)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				mode := os.FileMode(0o600)
				if strings.HasPrefix(string(f.Data), "#!") {
					mode = 0o700
				}
				require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(f.Data), "LONG", strings.Repeat("x", 70000))), mode))
			}
			ours, err := inventory.Read(root)
			require.NoError(t, err)
			theirs := ask(t, root)
			var known []string
			for host := range theirs {
				known = append(known, host)
			}
			for _, host := range ours.Hosts {
				assert.True(t, slices.Contains(known, host.Name), "Ansible has no host %s: %v", host.Name, theirs)
				if host.Address != "" {
					assert.Equal(t, theirs[host.Name], host.Address, host.Name)
				}
			}
		})
	}
}
