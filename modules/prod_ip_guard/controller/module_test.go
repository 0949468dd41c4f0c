// SPDX-License-Identifier: GPL-3.0-or-later

package controller

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arcodange-org/sandbox/internal/ansible"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// child makes the test binary the module's own.
const child = "PROD_IP_GUARD_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(child) != "" {
		os.Exit(ansible.Main(os.Args, Module()))
	}
	os.Exit(m.Run())
}

func TestReferencesOfEveryKindAreChecked(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, content := range map[string]string{
		"boundary.yml": "production: {addresses: [192.0.2.1]}\nsandbox: {addresses: [127.0.0.0/8], tofu_state: [{backend: local, locations: ['sandbox/*']}]}\n",
		"kubeconfig":   "kind: Config\nclusters: [{name: a, cluster: {server: 'https://127.0.0.1:6443'}}]\n",
		"tofu/main.tf": "terraform {\n  backend \"local\" {}\n}\nvariable \"host\" {}\nprovider \"postgresql\" {\n  host = var.host\n}\n",
		"state":        "path = \"../sandbox/state\"\n", "values": "host = \"127.0.0.1\"\n",
		"app.yaml":    "apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec: {destination: {name: in-cluster}, source: {repoURL: 'https://127.0.0.1/a/b'}}\n",
		"known_hosts": "127.0.0.1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBv0bMZxkLWgJ3JjNSyDjKcDUdHnQqHZYyhCJ5GmJ1sD\n",
	} {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	out, err := exec.CommandContext(t.Context(), "git", "init", "-q", filepath.Join(root, "git")).CombinedOutput()
	require.NoError(t, err, string(out))

	call := func(environment ...string) (r struct {
		Failed   bool
		Changed  bool
		Msg      string
		Verdicts []struct{ Host, Kind, Target string }
	}) {
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), self, "-")
		cmd.Args[0] = "AnsiballZ_prod_ip_guard"
		cmd.Env = append([]string{child + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + root}, environment...)
		cmd.Stdin = strings.NewReader(fmt.Sprintf(`{"boundary": "%[1]s/boundary.yml", "external_references": {"kubeconfigs": ["%[1]s/kubeconfig"], "environment": true,
			"tofu": [{"directory": "%[1]s/tofu", "backend_configs": ["%[1]s/state"], "var_files": ["%[1]s/values"]}],
			"argocd": ["%[1]s/app.yaml"], "git": ["%[1]s/git"], "keys": ["%[1]s/known_hosts"]}}`, root))
		result, _ := cmd.Output()
		require.NoError(t, json.Unmarshal(result, &r), string(result))
		assert.False(t, r.Changed)
		return r
	}
	r := call()
	assert.False(t, r.Failed, r.Msg)
	var kinds []string
	for _, v := range r.Verdicts {
		kinds = append(kinds, v.Kind)
		assert.True(t, strings.HasPrefix(v.Host, root), "an external reference is named by its file: %s", v.Host)
	}
	assert.Equal(t, []string{"kube", "tofu_state", "database", "git", "ssh_host_key", "host"}, kinds)

	r = call("VAULT_ADDR=https://192.0.2.1:8200", "VAULT_TOKEN=hidden-word")
	assert.True(t, r.Failed)
	assert.Contains(t, r.Msg, "refused, 2 of 8 targets")
	assert.Contains(t, r.Msg, "environment variable VAULT_ADDR (https://192.0.2.1:8200): it resolves to 192.0.2.1, which is production by ")
	assert.NotContains(t, r.Msg, "hidden-word")
}

func TestTheModuleIsWellFormed(t *testing.T) {
	t.Parallel()
	require.NoError(t, Module().Check())
}
