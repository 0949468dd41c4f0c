// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/embedded/internal/limits"
)

// Whatever k3s takes and nothing here acts on stops the start with its name, from each place that it can come from.
func TestNothingIsSilent(t *testing.T) {
	t.Parallel()
	for _, flag := range limits.Flags {
		value := "something"
		if flag.Switch {
			value = "true"
			if slices.Equal(flag.Accept, []string{"true"}) {
				value = "false"
			}
			if len(flag.Accept) == 2 {
				continue // either value states what is so
			}
		}
		roles := []string{"server"}
		if !flag.Server {
			roles = append(roles, "agent")
		}
		for _, role := range roles {
			refused := func(t *testing.T, files map[string]string, flags, environ []string) {
				t.Helper()
				_, err := load(t, role, files, flags, environ)
				require.ErrorContains(t, err, flag.Name+": ")
				require.ErrorContains(t, err, flag.Why)
				assert.NotContains(t, err.Error(), "\n")
			}
			t.Run(role+" "+flag.Name, func(t *testing.T) {
				t.Parallel()
				refused(t, nil, []string{"--" + flag.Name + "=" + value}, nil)
				refused(t, map[string]string{"config.yaml": flag.Name + ": " + value}, nil, nil)
				for _, variable := range flag.Env {
					refused(t, nil, nil, []string{variable + "=" + value})
				}
				for _, accepted := range flag.Accept {
					_, err := load(t, role, nil, []string{"--" + flag.Name + "=" + accepted, "--server=https://10.0.0.2:6443", "--token=x"}, nil)
					if err != nil {
						assert.NotContains(t, err.Error(), flag.Name)
					}
				}
			})
		}
	}
}

func TestAServersSettingIsRefusedOnAnAgent(t *testing.T) {
	t.Parallel()
	_, servers := declare(&Config{Role: "server"}, &texts{}, &[]string{})
	require.Greater(t, len(servers), 50)
	for name := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, value := range []string{"x", "true", "false"} {
				_, err := load(t, "agent", map[string]string{"config.yaml": name + ": " + `"` + value + `"`}, []string{"--server=https://10.0.0.2:6443", "--token=x"}, nil)
				require.ErrorContains(t, err, name+": a setting of the server")
			}
		})
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, role, variable, warns, refuses string
	}{
		{name: "a variable that k3s does not know is warned of", variable: "K3S_TOKNE=x", warns: "K3S_TOKNE: not a variable of k3s"},
		{name: "a server's variable is warned of on an agent", role: "agent", variable: "K3S_KUBECONFIG_MODE=644", warns: "K3S_KUBECONFIG_MODE: a setting of the server"},
		{name: "a database is not silently another", variable: "K3S_DATASTORE_ENDPOINT=postgres://x", refuses: "K3S_DATASTORE_ENDPOINT, which is datastore-endpoint: the data is in SQLite"},
		{name: "a proxy between agent and server is refused", variable: "K3S_AGENT_HTTP_PROXY_ALLOWED=true", refuses: "K3S_AGENT_HTTP_PROXY_ALLOWED"},
		{name: "one that is empty says nothing", variable: "K3S_DATASTORE_ENDPOINT="},
		{name: "another program's variable says nothing", variable: "INSTALL_K3S_EXEC=x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			role, environ := c.role, []string{c.variable}
			if role == "" {
				role = "server"
			} else {
				environ = append(environ, "K3S_URL=https://10.0.0.2:6443", "K3S_TOKEN=x")
			}
			cfg, err := load(t, role, nil, nil, environ)
			if c.refuses != "" {
				require.ErrorContains(t, err, c.refuses)
				return
			}
			require.NoError(t, err)
			if c.warns == "" {
				assert.Empty(t, cfg.Warnings)
				return
			}
			require.Len(t, cfg.Warnings, 1)
			assert.Contains(t, cfg.Warnings[0], c.warns)
		})
	}
}

func TestValuesAreChecked(t *testing.T) {
	t.Parallel()
	for flag, says := range map[string]string{
		"--disable=treafik":         `disable: not a packaged component (got "treafik")`,
		"--snapshotter=stargz":      `snapshotter: not in the node's containerd (got "stargz")`,
		"--flannel-backend=vxlan":   `(got "vxlan"); use host-gw, or remove it`,
		"--https-listen-port=16443": "https-listen-port: ",
	} {
		_, err := load(t, "server", nil, []string{flag}, nil)
		require.ErrorContains(t, err, says)
	}
	cfg, err := load(t, "server", nil, []string{"--disable=traefik,servicelb,metrics-server,runtimes,coredns,local-storage", "--snapshotter=native", "--flannel-backend=host-gw"}, nil)
	require.NoError(t, err)
	assert.True(t, cfg.Disabled("traefik"))
}

func TestEverythingWrongIsToldAtOnce(t *testing.T) {
	t.Parallel()
	_, err := load(t, "server", map[string]string{"config.yaml": "etcd-s3: true\nrootless: true"}, []string{"--docker"}, []string{"K3S_SELINUX=true"})
	for _, name := range []string{"etcd-s3", "rootless", "docker", "K3S_SELINUX"} {
		require.ErrorContains(t, err, name)
	}
}

func TestNodesAreAnnotatedWithoutSecrets(t *testing.T) {
	t.Parallel()
	cfg, err := load(t, "server", map[string]string{"config.yaml": "token: secret\nnode-label: [a=1, b=2]"}, nil, []string{"K3S_DEBUG=true", "K3S_TOKEN=secret"})
	require.NoError(t, err)
	assert.Equal(t, "server --node-ip 10.0.0.1 --node-label a=1 --node-label b=2 --node-name Node --token ********", strings.Join(cfg.Args, " "))
	assert.Equal(t, "********", cfg.Env["K3S_TOKEN"])
	assert.Equal(t, "true", cfg.Env["K3S_DEBUG"])
}
