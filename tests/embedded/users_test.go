// SPDX-License-Identifier: GPL-3.0-or-later

//go:build engine

package embedded

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/tests/sandboxtest"
)

// quick are the areas of behaviours that every run looks at; with everything set, all are. They start few pods.
var quick = []string{"access", "quotas", "API", "limits"}

// atOnce is how many behaviours are looked at together: machines with few cores start few pods at once.
const atOnce = 6

// program is the path of a program that the Makefile built.
func program(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	require.NotEmpty(t, path, "%s names no program; run make test-embedded", variable)
	return path
}

// users has clients do with the cluster what they do with k3s.
func users(t *testing.T, p sandboxtest.Sandbox, a *api) {
	bin := t.TempDir()
	require.NoError(t, os.Symlink(program(t, "SANDBOX_KUBECTL"), filepath.Join(bin, "kubectl")))
	probe := a.probeImage(t)
	env := append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+p.Kubeconfig(), "SERVER="+server,
		"PROBE="+probe, "SHELL_IMAGE="+strings.Replace(probe, "/probe:", "/shell:", 1))
	bash := func(script string, more ...string) (string, error) {
		c := exec.Command("bash", "-c", script)
		c.Env = slices.Concat(env, more)
		out, err := c.CombinedOutput()
		return string(out), err
	}

	t.Run("kubectl is of another minor version", func(t *testing.T) {
		out, err := bash("kubectl version")
		require.NoError(t, err, out)
		assert.Contains(t, out, "Client Version: v1.33.")
		assert.Contains(t, out, "Server Version: v1.34.")
	})
	t.Run("behaviours", func(t *testing.T) {
		slots := make(chan struct{}, atOnce)
		for i, b := range behaviours {
			if !everything && !slices.Contains(quick, b.area) {
				continue
			}
			t.Run(b.area+": "+b.name, func(t *testing.T) {
				t.Parallel()
				slots <- struct{}{}
				defer func() { <-slots }()
				namespace := fmt.Sprintf("behaviour-%d", i)
				out, err := bash(prelude+"kubectl create namespace $NS >/dev/null\nhas default k get serviceaccount -o name\n"+b.script, "NS="+namespace)
				assert.NoError(t, err, out)
				if err != nil {
					out, _ := bash("kubectl -n $NS get pods,pvc -o wide; kubectl -n $NS get events | tail -n 20", "NS="+namespace)
					t.Log(out)
				}
				out, err = bash("kubectl delete namespace --wait=false $NS", "NS="+namespace)
				assert.NoError(t, err, out)
			})
		}
	})
	t.Run("commands", func(t *testing.T) { commands(t) })
	if !everything {
		return
	}
	t.Run("Helm installs, upgrades, rolls back and uninstalls", func(t *testing.T) {
		require.NoError(t, os.Symlink(program(t, "SANDBOX_HELM"), filepath.Join(bin, "helm")))
		chart, err := filepath.Abs("testdata/chart")
		require.NoError(t, err)
		out, err := bash(prelude+`
kubectl create namespace $NS >/dev/null
trap 'kubectl delete namespace --wait=false $NS' EXIT
installed() { [ "$(k get configmap app-text -o 'jsonpath={.data.text}')" = "$1" ] || fail "$1 is not what is there"; }
h() { helm -n "$NS" "$@"; }
h install app "$CHART" --set image="$PROBE" --set text=one --wait --timeout 60s; installed one
h test app
h upgrade app "$CHART" --set image="$PROBE" --set text=two --wait --timeout 60s; installed two
h rollback app 1 --wait --timeout 60s; installed one
[ "$(h history app -o json | jq -r '.[].status' | tr '\n' ' ')" = "superseded superseded deployed " ] || fail "history"
refused "has no deployed releases" h upgrade nothing "$CHART"
h uninstall app --wait; is "k get deployment,service,configmap -l app=app -o name" ""`, "NS=helm", "CHART="+chart)
		assert.NoError(t, err, out)
	})
	t.Run("manifests", func(t *testing.T) { manifests(t) })
	t.Run("settings of a node", func(t *testing.T) { settings(t, a) })
}

// commands runs k3s's commands on the server, as an administrator does.
func commands(t *testing.T) {
	for _, c := range []struct{ name, script, says string }{
		{"the version compares as k3s's, and says what it is", "k3s --version", "k3s version v1.34.3+k3s1.embedded ("},
		{"check-config finds what k3s needs, and lists the limits", "k3s check-config", "limit component traefik: "},
		{"crictl lists the containers", "k3s crictl ps && crictl ps", "sandbox-probe"},
		{"ctr lists the images", "k3s ctr images ls -q", "localhost/arcodange/pause:"},
		{"certificates are listed until when they are valid", "k3s certificate check", "server/tls/apiserver.crt"},
		{"completion is printed", "k3s completion bash | bash -n && k3s completion bash", "__start_k3s"},
		{"completion knows the flags", "k3s __complete server --write-kubeconfig-m", "--write-kubeconfig-mode"},
		{"ping is answered without credentials", "curl -sk https://127.0.0.1:6443/ping", "pong"},
		{"the CA is served without credentials", "curl -sk https://127.0.0.1:6443/cacerts | cmp - /var/lib/rancher/k3s/server/tls/server-ca.crt && echo same", "same"},
		{"nothing else is", "curl -sk -o /dev/null -w '%{http_code}' https://127.0.0.1:6443/healthz", "401"},
		{"the certificates have k3s's names", `cd /var/lib/rancher/k3s/server/tls; curl -s --cacert server-ca.crt --cert client-admin.crt --key client-admin.key https://127.0.0.1:6443/readyz`, "ok"},
		{"the node's certificates have k3s's names", `cd /var/lib/rancher/k3s/agent; curl -s --cacert server-ca.crt --cert client-kubelet.crt --key client-kubelet.key https://127.0.0.1:6443/api/v1/nodes/pi1 | tr -d ' \n'`, `"providerID":"k3s://pi1"`},
		{"nodes have k3s's labels and annotations", "k3s kubectl get node pi2 -o json", `"k3s.io/node-config-hash"`},
		{"a token is generated", `k3s token generate | grep -Ex '[a-z0-9]{6}\.[a-z0-9]{16}' && echo token`, "token"},
		{"what is not there says why", "k3s etcd-snapshot save 2>&1 || true; k3s secrets-encrypt status 2>&1 || true", "k3s: secrets-encrypt: Secrets are not encrypted at rest"},
		{"a command that k3s has not is refused", "k3s nonsense 2>&1 || true", `unknown command "nonsense"`},
		{"certificates are not rotated below a k3s that runs", "k3s certificate rotate 2>&1 || true", "k3s is running; stop it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := on("pi1", c.script)
			require.NoError(t, err, out)
			assert.Contains(t, out, c.says)
		})
	}

	t.Run("an agent joins with a token that was made for it, and not after its removal", func(t *testing.T) {
		made, err := on("pi1", "k3s token create --ttl 10m --description users")
		require.NoError(t, err, made)
		out, err := on("pi1", "k3s token list")
		require.NoError(t, err, out)
		assert.Contains(t, out, "users")
		// The kubelet starts when it was given a certificate.
		assert.Contains(t, stranger(t, "pi2", strings.TrimSpace(made)), "Started kubelet")
		out, err = on("pi1", "k3s token delete "+strings.TrimSpace(made))
		require.NoError(t, err, out)
		require.EventuallyWithT(t, func(t *assert.CollectT) { // the API server remembers tokens for seconds
			out, err := on("pi1", "curl -sk -o /dev/null -w '%{http_code}' https://127.0.0.1:6443/api -H \"Authorization: Bearer $(echo "+strings.TrimSpace(made)+" | sed 's/.*:://')\"")
			assert.NoError(t, err)
			assert.Equal(t, "401", out)
		}, 30*time.Second, time.Second)
		assert.Contains(t, stranger(t, "pi2", strings.TrimSpace(made)), "its password is wrong")
	})

	t.Run("a start that would not do what is configured is refused", func(t *testing.T) {
		for _, c := range []struct{ name, prepare, args, says string }{
			{"a database", "", "server --datastore-endpoint=postgres://x", "datastore-endpoint: the data is in SQLite"},
			{"a database by its variable", "export K3S_DATASTORE_ENDPOINT=postgres://x", "server", "K3S_DATASTORE_ENDPOINT, which is datastore-endpoint"},
			{"another network", "", "server --flannel-backend=wireguard-native", `flannel-backend: pods are routed by the nodes' addresses`},
			{"a component that is none", "", "server --disable=treafik", `disable: not a packaged component (got "treafik")`},
			{"a server's setting on an agent", "echo 'cluster-cidr: 10.1.0.0/16' >/run/k3s-try.yaml", "agent --config=/run/k3s-try.yaml", "cluster-cidr: a setting of the server"},
		} {
			t.Run(c.name, func(t *testing.T) {
				out, err := on("pi3", fmt.Sprintf("%s\ntrap 'rm -f /run/k3s-try.yaml' EXIT\ntimeout 20 k3s %s", c.prepare, c.args))
				require.Error(t, err, out)
				assert.Contains(t, out, c.says)
			})
		}
	})
}
