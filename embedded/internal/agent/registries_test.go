// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func registriesFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "registries.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestRegistriesBecomeHosts(t *testing.T) {
	t.Parallel()
	ca := registriesFile(t, "any file")
	for _, c := range []struct{ name, text, registry, hosts string }{
		{"a mirror comes before the registry", `{mirrors: {docker.io: {endpoint: ["https://mirror.lab:5000"]}}}`, "docker.io", `
server = "https://registry-1.docker.io"

[host."https://mirror.lab:5000/v2"]
  capabilities = ["pull", "resolve"]
[host."https://registry-1.docker.io/v2"]
  capabilities = ["pull", "resolve"]
`},
		{"loopback with a port is plain HTTP, as in k3s", `{mirrors: {lab: {endpoint: ["localhost:5000"]}}}`, "lab", `
server = "https://lab"

[host."http://localhost:5000/v2"]
  capabilities = ["pull", "resolve"]
[host."https://lab/v2"]
  capabilities = ["pull", "resolve"]
`},
		{"a path of the mirror's own stays", `{mirrors: {lab: {endpoint: ["https://m/v2/proxy"]}}}`, "lab", `
server = "https://lab"

[host."https://m/v2/proxy"]
  capabilities = ["pull", "resolve"]
  override_path = true
[host."https://lab/v2"]
  capabilities = ["pull", "resolve"]
`},
		{"a mirror of all registries", `{mirrors: {"*": {endpoint: ["https://m"]}}}`, "_default", `

[host."https://m/v2"]
  capabilities = ["pull", "resolve"]
`},
		{"TLS is the endpoint's", `{mirrors: {lab: {endpoint: ["https://m"]}}, configs: {m: {tls: {ca_file: "` + ca + `", insecure_skip_verify: true}}}}`, "lab", `
server = "https://lab"

[host."https://m/v2"]
  capabilities = ["pull", "resolve"]
  ca = ["` + ca + `"]
  skip_verify = true
[host."https://lab/v2"]
  capabilities = ["pull", "resolve"]
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := readRegistries(registriesFile(t, c.text))
			require.NoError(t, err)
			dir := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "gone"), 0o700))
			require.NoError(t, r.writeHosts(dir))
			hosts, err := os.ReadFile(filepath.Join(dir, c.registry, "hosts.toml"))
			require.NoError(t, err)
			assert.Equal(t, "# Written by k3s at every start, from registries.yaml."+c.hosts, string(hosts))
			assert.NoDirExists(t, filepath.Join(dir, "gone"), "a registry that is configured no longer")
		})
	}
}

func TestRegistriesThatCannotBeDoneAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, says string }{
		{"a rewrite", `{mirrors: {docker.io: {rewrite: {"^a": "b"}}}}`, "mirrors.docker.io.rewrite: "},
		{"an unknown key", `{mirror: {}}`, `unknown field "mirror"`},
		{"an endpoint that is no address", `{mirrors: {lab: {endpoint: ["ftp://m"]}}}`, `mirrors.lab.endpoint: not an address of a registry (got "ftp://m")`},
		{"a certificate without its key", `{configs: {lab: {tls: {cert_file: /etc/hostname}}}}`, "configs.lab.tls: cert_file and key_file go together"},
		{"a CA that is not there", `{configs: {lab: {tls: {ca_file: /nonexistent/ca.crt}}}}`, "configs.lab.tls: stat /nonexistent/ca.crt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := readRegistries(registriesFile(t, c.text))
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, "registries.yaml: ")
		})
	}
}

func TestContainerdsConfiguration(t *testing.T) {
	t.Parallel()
	values := containerdValues{Auths: Registries{Configs: map[string]Registry{"docker.io": {Auth: &Auth{Username: "u", Password: `p"w`}}}}.auths()}
	values.NodeConfig.AgentConfig.Snapshotter = "native"
	render := func(t *testing.T, file, text string) (string, error) {
		dir := t.TempDir()
		if file != "" {
			require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600))
		}
		out, err := renderContainerd(dir, values)
		return string(out), err
	}
	whole, err := render(t, "", "")
	require.NoError(t, err)
	assert.Contains(t, whole, "[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"registry-1.docker.io\".auth]\n    username = \"u\"\n    password = \"p\\\"w\"\n")
	assert.Contains(t, whole, `snapshotter = "native"`)

	t.Run("a template adds to what k3s sets", func(t *testing.T) {
		t.Parallel()
		out, err := render(t, "config.toml.tmpl", "{{ template \"base\" . }}\n[debug]\n  level = \"{{ .NodeConfig.AgentConfig.Snapshotter }}\"\n")
		require.NoError(t, err)
		assert.Equal(t, whole+"\n[debug]\n  level = \"native\"\n", out)
	})
	t.Run("a template that asks for what is not there is refused by name", func(t *testing.T) {
		t.Parallel()
		_, err := render(t, "config.toml.tmpl", "{{ .NodeConfig.NoSuchThing }}")
		require.ErrorContains(t, err, "config.toml.tmpl: ")
		require.ErrorContains(t, err, "NoSuchThing")
	})
	t.Run("a template of version 3 is refused by name", func(t *testing.T) {
		t.Parallel()
		_, err := render(t, "config-v3.toml.tmpl", "{{ template \"base\" . }}")
		require.ErrorContains(t, err, "config-v3.toml.tmpl: ")
	})
}
