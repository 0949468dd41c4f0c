// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// load reads a configuration whose files are given by name, config.yaml being the main one.
func load(t *testing.T, role string, files map[string]string, flags, environ []string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	environ = append([]string{"K3S_CONFIG_FILE=" + filepath.Join(dir, "config.yaml")}, environ...)
	return Load(role, append([]string{"--node-ip=10.0.0.1", "--node-name=Node"}, flags...), environ)
}

func TestLoad(t *testing.T) {
	t.Parallel()
	type is = func(*Config) (got, want any)
	tok := func(want string) is { return func(c *Config) (any, any) { return c.Token, want } }
	labels := func(want ...string) is { return func(c *Config) (any, any) { return c.NodeLabels, want } }
	disabled := func(want ...string) is { return func(c *Config) (any, any) { return c.Disable, want } }
	sans := func(want ...string) is { return func(c *Config) (any, any) { return c.TLSSANs, want } }
	mode := func(want os.FileMode) is { return func(c *Config) (any, any) { return c.KubeconfigMode, want } }
	main := func(text string) map[string]string { return map[string]string{"config.yaml": text} }
	for _, c := range []struct {
		name    string
		files   map[string]string
		flags   []string
		environ []string
		is      is
	}{
		{name: "a flag wins over file and environment", files: main("token: file"), flags: []string{"--token=flag"}, environ: []string{"K3S_TOKEN=env"}, is: tok("flag")},
		{name: "the file wins over the environment, as in k3s", files: main("token: file"), environ: []string{"K3S_TOKEN=env"}, is: tok("file")},
		{name: "the environment is taken when nothing else says", environ: []string{"K3S_TOKEN=env"}, is: tok("env")},
		{name: "short flags are k3s's", flags: []string{"-t", "short"}, is: tok("short")},
		{name: "a token of digits stays what it is", files: main("token: 123456789012"), is: tok("123456789012")},
		{name: "a token may hold an equals sign", environ: []string{"K3S_TOKEN=a=b"}, is: tok("a=b")},
		{name: "a list is a list", files: main("node-label: [a=1, b=2]"), is: labels("a=1", "b=2")},
		{name: "one word is a list of one", files: main("node-label: a=1"), is: labels("a=1")},
		{name: "flags replace the file's list, as in k3s", files: main("node-label: [a=1]"), flags: []string{"--node-label=b=2", "--node-label", "c=3"}, is: labels("b=2", "c=3")},
		{name: "a file of config.yaml.d replaces", files: map[string]string{"config.yaml": "node-label: [a=1]", "config.yaml.d/10.yaml": "node-label: [b=2]"}, is: labels("b=2")},
		{name: "with a plus it adds, in the order of names", files: map[string]string{"config.yaml": "node-label: [a=1]", "config.yaml.d/20.yaml": "node-label+: c=3", "config.yaml.d/10.yml": "node-label+: [b=2]"}, is: labels("a=1", "b=2", "c=3")},
		{name: "config.yaml.d is read without config.yaml", files: map[string]string{"config.yaml.d/10.yaml": "token: more"}, is: tok("more")},
		{name: "disable takes commas and repetition", flags: []string{"--disable", "traefik,servicelb", "--disable=coredns"}, is: disabled("traefik", "servicelb", "coredns")},
		{name: "tls-san takes commas and repetition", flags: []string{"--tls-san", "a,b", "--tls-san=c"}, is: sans("a", "b", "c")},
		{name: "kubelet-arg keeps its commas", flags: []string{"--kubelet-arg=eviction-hard=a<1,b<2"}, is: func(c *Config) (any, any) { return c.KubeletArgs, []string{"eviction-hard=a<1,b<2"} }},
		{name: "switches of k3s without a value", flags: []string{"--disable-helm-controller", "--disable-network-policy", "--token", "x"}, is: tok("x")},
		{name: "a switch in the file", files: main("cluster-init: false\ndisable-helm-controller: false\ntoken: x"), is: tok("x")},
		{name: "an accepted flag takes its value after a blank", flags: []string{"--flannel-backend", "host-gw", "--token", "x"}, is: tok("x")},
		{name: "an accepted flag takes its value after an equals sign", flags: []string{"--flannel-backend=host-gw", "--token", "x"}, is: tok("x")},
		{name: "the kubeconfig is the owner's alone by default", is: mode(0o600)},
		{name: "a mode in quotes", files: main(`write-kubeconfig-mode: "0644"`), is: mode(0o644)},
		{name: "a mode without quotes or zero", files: main(`write-kubeconfig-mode: 644`), is: mode(0o644)},
		{name: "a mode of the environment", environ: []string{"K3S_KUBECONFIG_MODE=640"}, is: mode(0o640)},
		{name: "k3d's way to get the kubeconfig", environ: []string{"K3S_KUBECONFIG_OUTPUT=/output/kubeconfig.yaml"}, is: func(c *Config) (any, any) { return c.KubeconfigOutput, "/output/kubeconfig.yaml" }},
		{name: "an empty key says nothing", files: main("node-label:\ntoken: x"), is: tok("x")},
		{name: "an empty file says nothing", files: main(""), is: tok("")},
		{name: "a node's name is lower case", is: func(c *Config) (any, any) { return c.NodeName, "node" }},
		{name: "the DNS service has the tenth address", flags: []string{"--service-cidr=10.99.0.0/16"}, is: func(c *Config) (any, any) { return c.Cluster.DNS, "10.99.0.10" }},
		{name: "the address told to others is the node's", is: func(c *Config) (any, any) { return c.AdvertiseAddress, "10.0.0.1" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := load(t, "server", c.files, c.flags, c.environ)
			require.NoError(t, err)
			got, want := c.is(cfg)
			assert.Equal(t, want, got)
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	main := func(text string) map[string]string { return map[string]string{"config.yaml": text} }
	for _, c := range []struct {
		name, role string
		files      map[string]string
		flags      []string
		environ    []string
		says       string
	}{
		{name: "an unknown flag by its name", flags: []string{"--etcd-s33"}, says: "--etcd-s33"},
		{name: "an unknown key by its name and file", files: main("etcd-s33: true"), says: `config.yaml: the key "etcd-s33" is not known`},
		{name: "a stray word", flags: []string{"stray"}, says: `unexpected argument "stray"`},
		{name: "a key that stands twice", files: main("token: a\ntoken: b"), says: "config.yaml"},
		{name: "broken YAML, by its file", files: main("token: ["), says: "config.yaml"},
		{name: "a list where a map must be", files: main("- token"), says: "config.yaml"},
		{name: "a configuration file that was named and is not there", flags: []string{"--config=/nonexistent/k3s.yaml"}, says: "/nonexistent/k3s.yaml"},
		{name: "a token file that is not there", flags: []string{"--token-file=/nonexistent/token"}, says: "reading the token"},
		{name: "a mode that is none", flags: []string{"--write-kubeconfig-mode=rw"}, says: `write-kubeconfig-mode "rw"`},
		{name: "a switch with something else than true or false", files: main("disable-agent: perhaps"), says: `key "disable-agent"`},
		{name: "an address that is none", flags: []string{"--node-ip=10.0.0"}, says: `node-ip "10.0.0"`},
		{name: "a range that is none", flags: []string{"--cluster-cidr=10.0.0.0"}, says: "cluster-cidr"},
		{name: "a service range that is none", flags: []string{"--service-cidr=10.0.0.0"}, says: "service-cidr"},
		{name: "a second server", flags: []string{"--server=https://10.0.0.2:6443"}, says: "one server"},
		{name: "an agent without a server", role: "agent", flags: []string{"--token=x"}, says: "K3S_URL"},
		{name: "an agent without a token", role: "agent", environ: []string{"K3S_URL=https://10.0.0.2:6443"}, says: "K3S_TOKEN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			role := c.role
			if role == "" {
				role = "server"
			}
			_, err := load(t, role, c.files, c.flags, c.environ)
			require.ErrorContains(t, err, c.says)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestHelpIsNoFailure(t *testing.T) {
	t.Parallel()
	_, err := load(t, "server", nil, []string{"--help"}, nil)
	var help *Help
	require.ErrorAs(t, err, &help)
	assert.Contains(t, help.Text, "--tls-san")
}
