// SPDX-License-Identifier: GPL-3.0-or-later

//go:build engine

package embedded

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/tests/sandboxtest"
)

// on runs a script on a node as root.
func on(node, script string) (string, error) {
	out, err := exec.Command("docker", "exec", sandboxtest.Name+"-"+node, "bash", "-euo", "pipefail", "-c", script).CombinedOutput()
	return string(out), err
}

// must is on for what cannot fail.
func must(t *testing.T, node, script string) string {
	t.Helper()
	out, err := on(node, script)
	require.NoError(t, err, "%s: %s", script, out)
	return out
}

// settings changes what a registered node is configured with, beside what the role writes, and looks at what that does.
func settings(t *testing.T, a *api) {
	image := a.probeImage(t)
	docker(t, "cp", program(t, "SANDBOX_REGISTRY"), sandboxtest.Name+"-pi3:/root/registry")
	must(t, "pi3", "mkdir -p /run/users; nohup /root/registry 127.0.0.1:5443 user:secret /run/users/ca.pem >/run/users/requests 2>&1 & echo $! >/run/users/pid; sleep 1; test -s /run/users/ca.pem")
	must(t, "pi3", "k3s ctr images push --skip-verify --user user:secret 127.0.0.1:5443/library/users:1 "+image)
	t.Cleanup(func() {
		must(t, "pi3", `kill "$(cat /run/users/pid)"
rm -rf /run/users /root/registry /etc/rancher/k3s/config.yaml.d /etc/rancher/k3s/registries.yaml /var/lib/rancher/k3s/agent/etc/containerd/config.toml.tmpl /etc/default/k3s-agent
systemctl restart k3s-agent`)
		must(t, "pi1", "k3s kubectl label node pi3 users- && k3s kubectl delete pod from-mirror --ignore-not-found --grace-period 0 --force")
		a.whole(t)
	})
	must(t, "pi3", `mkdir -p /etc/rancher/k3s/config.yaml.d
cat >/etc/rancher/k3s/config.yaml.d/users.yaml <<E
node-label: [users=yes]
node-taint: ["users=yes:NoSchedule"]
E
cat >/etc/rancher/k3s/registries.yaml <<E
mirrors: {docker.io: {endpoint: ["https://127.0.0.1:5443"]}}
configs: {"127.0.0.1:5443": {auth: {username: user, password: secret}, tls: {ca_file: /run/users/ca.pem}}}
E
cat >/var/lib/rancher/k3s/agent/etc/containerd/config.toml.tmpl <<E
{{ template "base" . }}
[metrics]
  address = "127.0.0.1:10999"
E
echo K3S_NO_SUCH=x >/etc/default/k3s-agent
systemctl restart k3s-agent`)
	log := func(t *testing.T, text string) {
		t.Helper()
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			out, err := on("pi3", "journalctl --unit k3s-agent --since -3min --no-pager")
			assert.NoError(t, err)
			assert.Contains(t, out, text)
		}, 60*time.Second, time.Second)
	}

	t.Run("a label is set on a node that is registered", func(t *testing.T) {
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			out, err := on("pi1", "k3s kubectl get nodes -l users=yes -o name")
			assert.NoError(t, err)
			assert.Equal(t, "node/pi3\n", out)
		}, 60*time.Second, time.Second)
	})
	t.Run("a taint that comes too late is warned of", func(t *testing.T) { log(t, `taint="users=yes:NoSchedule"`) })
	t.Run("a variable that k3s does not know is warned of", func(t *testing.T) { log(t, "K3S_NO_SUCH: not a variable of k3s") })
	t.Run("containerd has what the template adds", func(t *testing.T) {
		assert.Contains(t, must(t, "pi3", "curl -sS http://127.0.0.1:10999/v1/metrics"), "container")
	})
	t.Run("an image comes from a mirror with a password and a CA", func(t *testing.T) {
		must(t, "pi1", `k3s kubectl run from-mirror --image docker.io/library/users:1 --image-pull-policy Always --restart Never --overrides '{"spec":{"nodeName":"pi3","tolerations":[{"operator":"Exists"}]}}' -- lookup kubernetes.default`)
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			out, err := on("pi1", "k3s kubectl get pod from-mirror -o 'jsonpath={.status.phase}'")
			assert.NoError(t, err)
			assert.Equal(t, "Succeeded", out)
		}, 90*time.Second, time.Second)
		assert.Contains(t, must(t, "pi3", "cat /run/users/requests"), "HEAD /v2/library/users/manifests/1?ns=docker.io", "containerd asked the mirror")
	})
	t.Run("a mirror that cannot be done ends the start, by its name", func(t *testing.T) {
		must(t, "pi3", `echo 'mirrors: {docker.io: {rewrite: {a: b}}}' >/etc/rancher/k3s/registries.yaml; systemctl restart k3s-agent || true`)
		log(t, "/etc/rancher/k3s/registries.yaml: mirrors.docker.io.rewrite: ")
	})
}

// manifests has the server deploy files as k3s does.
func manifests(t *testing.T) {
	const dir = "/var/lib/rancher/k3s/server/manifests/users"
	have := func(t *testing.T, want ...string) {
		t.Helper()
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			out, err := on("pi1", "k3s kubectl get configmap -l users -o name")
			assert.NoError(t, err)
			assert.Equal(t, want, strings.Fields(strings.ReplaceAll(out, "configmap/", "")))
		}, 30*time.Second, 500*time.Millisecond)
	}
	// As in k3s, a file that comes back as it was is not deployed again.
	run := fmt.Sprintf("r%d", time.Now().Unix())
	file := func(name string, objects ...string) string {
		text := "apiVersion: v1\nkind: List\nitems:\n"
		for _, object := range objects {
			text += "  - {apiVersion: v1, kind: ConfigMap, metadata: {name: " + object + ", namespace: default, labels: {users: " + run + "}}}\n"
		}
		return "cat >" + dir + "/" + name + " <<E\n" + text + "E\n"
	}
	t.Cleanup(func() { must(t, "pi1", "rm -rf "+dir+"; k3s kubectl delete configmap -l users") })
	must(t, "pi1", "mkdir -p "+dir+"/below\ntouch "+dir+"/skipped.yaml.skip\n"+file("skipped.yaml", "skipped")+file("below/one.yaml", "a", "b"))
	have(t, "a", "b")
	t.Run("what goes from a file goes from the cluster", func(t *testing.T) {
		must(t, "pi1", file("below/one.yaml", "a"))
		have(t, "a")
	})
	t.Run("what another file has stays", func(t *testing.T) {
		must(t, "pi1", file("two.yaml", "a", "c"))
		have(t, "a", "c")
		must(t, "pi1", file("below/one.yaml", "d"))
		have(t, "a", "c", "d")
	})
	t.Run("a file is deployed when nothing skips it", func(t *testing.T) {
		must(t, "pi1", "rm "+dir+"/skipped.yaml.skip")
		have(t, "a", "c", "d", "skipped")
	})
	t.Run("a file that is gone leaves its objects", func(t *testing.T) {
		must(t, "pi1", "rm "+dir+"/two.yaml")
		time.Sleep(5 * time.Second)
		have(t, "a", "c", "d", "skipped")
	})
}
