// SPDX-License-Identifier: GPL-3.0-or-later

//go:build engine && acceptance

package embedded

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/tests/sandboxtest"
)

// Another play than the collection's own installs k3s on the same machines, as a user's does, after k3s's scripts removed what was there.
func TestAirGapInstallationOfOthers(t *testing.T) {
	p := sandboxtest.Up(t)
	dir := os.Getenv("SANDBOX_EMBEDDED")
	require.NotEmpty(t, dir, "SANDBOX_EMBEDDED names no folder with a build; run make acceptance")
	beside := containersOf(t, p, "pi2")
	require.NotEmpty(t, beside, "PostgreSQL runs beside k3s")

	uninstall := func(t *testing.T) {
		for node, script := range map[string]string{"pi2": "k3s-agent-uninstall.sh", "pi3": "k3s-agent-uninstall.sh", "pi1": "k3s-uninstall.sh"} {
			p.On(t, node, "/usr/local/bin/"+script)
			left := p.On(t, node, "sh", "-c", `find /var/lib/kubelet -mindepth 1; ls -d /etc/rancher/k3s /var/lib/rancher/k3s /run/k3s /usr/local/bin/k3s* /usr/local/bin/kubectl \
/etc/systemd/system/k3s* 2>/dev/null; ps -e -o args= | grep '[c]ontainerd-shim.*/run/k3s/'; grep -e /run/k3s/ -e /var/lib/kubelet/ /proc/mounts; ip -o link | grep -e cni0 -e veth.*cni0; iptables-save | grep -e KUBE -e 'k3s pods'; true`)
			assert.Empty(t, left, "nothing of k3s stays on %s", node)
		}
	}
	uninstall(t)
	assert.Equal(t, beside, containersOf(t, p, "pi2"), "what is not k3s's goes on")

	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	play := func(t *testing.T) string {
		c := exec.Command("ansible-playbook", p.Arguments("tests/embedded/airgap.yml", "-e", "airgap_dir="+dir, "-e", "k3s_version=v1.34.3+k3s1",
			"-e", "airgap_token=0123456789abcdef", "-e", "airgap_kubeconfig="+kubeconfig)...)
		c.Dir = p.Root
		out, err := c.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	play(t)
	again := play(t)
	_, recap, ok := strings.Cut(again, "Recap")
	require.True(t, ok, again)
	assert.Contains(t, recap, "changed=0")
	assert.NotRegexp(t, `changed=[1-9]`, recap, "the second run changes nothing")

	t.Run("the cluster works", func(t *testing.T) {
		text, err := os.ReadFile(kubeconfig)
		require.NoError(t, err)
		assert.Contains(t, string(text), "server: https://127.0.0.1:6443")
		a := connect(t, kubeconfig)
		a.run(t)
		a.readVolume(t)
		var node struct {
			Status struct{ Capacity struct{ Pods string } }
		}
		require.NoError(t, a.do(http.MethodGet, "/api/v1/nodes/pi3", nil, &node))
		assert.Equal(t, "50", node.Status.Capacity.Pods, "the kubelet has the flag that the unit gives it")
	})
	t.Run("its variables are read from the file beside the unit", func(t *testing.T) {
		assert.Contains(t, p.On(t, "pi1", "k3s", "kubectl", "get", "node", "pi1", "-o", "jsonpath={.metadata.annotations}"), `K3S_DEBUG`)
	})
	t.Run("killall ends every pod, and a start brings them back", func(t *testing.T) {
		copyScripts(t, p)
		p.On(t, "pi3", "/usr/local/bin/k3s-killall.sh")
		assert.Empty(t, strings.TrimSpace(p.On(t, "pi3", "sh", "-c", "ps -e -o args= | grep '[c]ontainerd-shim.*/run/k3s' || true")))
		p.On(t, "pi3", "systemctl", "start", "k3s-agent")
		connect(t, kubeconfig).whole(t)
	})
	t.Run("certificates are made anew", func(t *testing.T) {
		for _, c := range []struct{ node, unit, file string }{
			{"pi1", "k3s", "server/tls/serving-kube-apiserver.crt"}, {"pi1", "k3s", "agent/client-kubelet.crt"}, {"pi3", "k3s-agent", "agent/client-kubelet.crt"},
		} {
			show := "openssl x509 -noout -serial -issuer -in /var/lib/rancher/k3s/" + c.file
			before, ca := must(t, c.node, show), must(t, c.node, "cat /var/lib/rancher/k3s/agent/server-ca.crt")
			must(t, c.node, "systemctl stop "+c.unit+" && k3s certificate rotate && systemctl start "+c.unit)
			connect(t, kubeconfig).whole(t)
			assert.NotEqual(t, before, must(t, c.node, show))
			assert.Equal(t, ca, must(t, c.node, "cat /var/lib/rancher/k3s/agent/server-ca.crt"), "the CA stays")
		}
	})
	t.Run("the token is replaced, and the old one does not come back", func(t *testing.T) {
		old := strings.TrimSpace(must(t, "pi1", "cat /var/lib/rancher/k3s/server/token"))
		out, err := on("pi1", "k3s token rotate --token wrong")
		require.Error(t, err)
		assert.Contains(t, out, "not the one of this server")
		must(t, "pi1", "k3s token rotate --token 0123456789abcdef --new-token fedcba9876543210")
		out, err = on("pi1", "timeout 20 systemctl restart k3s || true; journalctl --unit k3s --since -1min --no-pager; systemctl is-active k3s")
		require.Error(t, err)
		assert.Contains(t, out, "replaced by k3s token rotate; configure the one in /var/lib/rancher/k3s/server/token")
		must(t, "pi1", "sed -i s/0123456789abcdef/fedcba9876543210/ /etc/systemd/system/k3s.service.env && systemctl restart k3s")
		connect(t, kubeconfig).whole(t)
		assert.Contains(t, stranger(t, "pi2", old), "its password is wrong")
	})
	uninstall(t)
	require.NoError(t, p.Play(t, "site.yml"), "the collection's own role installs it again")
}

// copyScripts puts the scripts of the role where k3s's installer puts its own: that play installs none.
func copyScripts(t *testing.T, p sandboxtest.Sandbox) {
	for _, node := range nodes {
		for script, name := range map[string]string{"k3s-killall.sh": "k3s-killall.sh", "k3s-uninstall.sh": map[bool]string{true: "k3s-uninstall.sh", false: "k3s-agent-uninstall.sh"}[node == "pi1"]} {
			docker(t, "cp", filepath.Join(p.Root, "roles/k3s/files", script), sandboxtest.Name+"-"+node+":/usr/local/bin/"+name)
		}
	}
}

// containersOf are the containers of a node's own Docker.
func containersOf(t *testing.T, p sandboxtest.Sandbox, node string) string {
	return p.On(t, node, "docker", "ps", "--quiet", "--no-trunc")
}
