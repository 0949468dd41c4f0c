// SPDX-License-Identifier: GPL-3.0-or-later

//go:build engine

package embedded

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/arcodange-org/sandbox/tests/sandboxtest"
)

const (
	server = "https://" + sandboxtest.Server + ":6443"
	// How long a cluster may take to be whole again.
	wholeAgain = 90 * time.Second
)

var nodes = []string{"pi1", "pi2", "pi3"}

func TestClusterSurvives(t *testing.T) {
	p := sandboxtest.Up(t)

	a := connect(t, p.Kubeconfig())
	a.whole(t)
	t.Run("it is used as k3s is", func(t *testing.T) { users(t, p, a) })
	a.run(t)

	t.Run("pods resolve nodes and what the boundary allows, and no other name", names)
	t.Run("a wrong token is refused, and the line says what is wrong with it", func(t *testing.T) { wrongTokens(t) })
	t.Run("kill -9 of any process", func(t *testing.T) { killEach(t, a) })
	t.Run("a stop and start of any node", func(t *testing.T) {
		for _, node := range nodes {
			w := a.write()
			require.NoError(t, p.Play(t, "tests/embedded/stop.yml", "-e", "stopped="+node))
			require.NoError(t, p.Play(t, "playbooks/machines.yml"))
			a.whole(t)
			w.stop(t, a)
		}
	})
	t.Run("a power cut of all nodes at once", func(t *testing.T) {
		w := a.write()
		time.Sleep(3 * time.Second)
		docker(t, append([]string{"kill", "--signal", "KILL"}, containers()...)...)
		require.NoError(t, p.Play(t, "playbooks/machines.yml"))
		a.whole(t)
		w.stop(t, a)
	})
	t.Run("the volume holds what was written before all of it", func(t *testing.T) { a.readVolume(t) })
}

// ask sends a query for addresses to a name server, and prints the status and the number of answers.
const ask = `
import socket, struct, sys
query = struct.pack("!6H", 1, 0x100, 1, 0, 0, 0) + b"".join(bytes([len(part)]) + part.encode() for part in sys.argv[2].split(".")) + b"\0\0\1\0\1"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.sendto(query, (sys.argv[1], 53))
answer = s.recv(512)
print({0: "found", 2: "SERVFAIL", 3: "NXDOMAIN"}.get(answer[3] & 15, answer[3] & 15), struct.unpack("!H", answer[6:8])[0] > 0)
`

// names asks the cluster's name server as a pod does.
func names(t *testing.T) {
	for name, answer := range map[string]string{
		"pi2": "found True", "pool.ntp.org": "found True", "kubernetes.default.svc.cluster.local": "found True",
		"elsewhere.example": "NXDOMAIN False",
	} {
		assert.Equal(t, answer, strings.TrimSpace(docker(t, "exec", sandboxtest.Name+"-pi3", "python3", "-c", ask, "10.43.0.10", name)), name)
	}
	assert.Contains(t, docker(t, "logs", sandboxtest.Name+"-services"), "config elsewhere.example is NXDOMAIN")
}

// wrongTokens runs a second agent's join inside a node, away from the node's own state.
func wrongTokens(t *testing.T) {
	right := strings.TrimSpace(docker(t, "exec", sandboxtest.Name+"-pi1", "cat", "/var/lib/rancher/k3s/server/token"))
	hash, secret, ok := strings.Cut(right, "::server:")
	require.True(t, ok, "the server's token is of k3s's form")
	other := "K10" + strings.Repeat("0", 64)
	for _, c := range []struct{ name, token, says string }{
		{"the password is wrong", hash + "::server:wrong", "its password is wrong"},
		{"the password is wrong and no CA is pinned", "wrong", "its password is wrong"},
		{"the CA is another one", other + "::server:" + secret, "the token pins the CA " + strings.Repeat("0", 64)},
		{"the hash is cut", "K10abc::server:" + secret, "the token's CA hash has 3 characters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := stranger(t, "pi2", c.token)
			assert.Contains(t, out, c.says)
			assert.NotContains(t, out, secret, "the secret stays out of the log")
		})
	}
}

// stranger starts an agent of another name inside a node for a few seconds, and returns what it logs. It has its own
// mounts, files and containerd, so that the node does not notice.
func stranger(t *testing.T, node, token string) string {
	script := `mkdir -p /run/k3s && mount -t tmpfs none /run/k3s && mount -t tmpfs none /var/lib/kubelet
: >/run/k3s/none.yaml
timeout -s INT 6 k3s agent --config /run/k3s/none.yaml --data-dir "$(mktemp -d)" --server "$0" --token "$1" --node-name stranger --node-ip 10.0.0.1 2>&1`
	out, _ := exec.Command("docker", "exec", sandboxtest.Name+"-"+node, "unshare", "--mount", "sh", "-c", script, server, token).CombinedOutput()
	return string(out)
}

func killEach(t *testing.T, a *api) {
	w := a.write()
	for _, c := range []struct{ node, process string }{
		{"pi1", "kine"}, {"pi1", "kube-apiserver"}, {"pi1", "kube-controller-manager"}, {"pi1", "kube-scheduler"},
		{"pi1", "kubelet"}, {"pi1", "kube-proxy"}, {"pi1", "containerd"}, {"pi1", "k3s"},
		{"pi2", "kubelet"}, {"pi2", "kube-proxy"}, {"pi2", "containerd"}, {"pi2", "k3s"},
	} {
		t.Run(c.process+" on "+c.node, func(t *testing.T) {
			old := pids(t, c.node, c.process)
			require.NotEmpty(t, old, "it runs before")
			docker(t, append([]string{"exec", sandboxtest.Name + "-" + c.node, "kill", "-9"}, old...)...)
			require.EventuallyWithT(t, func(t *assert.CollectT) {
				now := pids(t, c.node, c.process)
				assert.Len(t, now, len(old), "it runs again")
				assert.NotSubset(t, now, old)
			}, 40*time.Second, 200*time.Millisecond)
			a.whole(t)
		})
	}
	w.stop(t, a)
}

// pids are the processes of k3s that run under name; the node's own containerd, that Docker uses, is not among them.
func pids(t require.TestingT, node, name string) []string {
	script := `for p in $(cat /sys/fs/cgroup/system.slice/k3s*.service/cgroup.procs /sys/fs/cgroup/*/system.slice/k3s*.service/cgroup.procs 2>/dev/null | sort -un); do
  [ "$(basename "$(tr '\0' '\n' <"/proc/$p/cmdline" 2>/dev/null | head -n 1)")" = "$0" ] && echo "$p"; done; true`
	out, err := exec.Command("docker", "exec", sandboxtest.Name+"-"+node, "sh", "-c", script, name).Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}

func containers() []string {
	names := make([]string, len(nodes))
	for i, node := range nodes {
		names[i] = sandboxtest.Name + "-" + node
	}
	return names
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).CombinedOutput()
	require.NoError(t, err, "docker %s: %s", strings.Join(args, " "), out)
	return string(out)
}

// api speaks to the sandbox's API server as its admin.
type api struct{ client *http.Client }

func connect(t *testing.T, path string) *api {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	var kubeconfig struct {
		Clusters []struct {
			Cluster struct {
				CA string `yaml:"certificate-authority-data"`
			}
		}
		Users []struct {
			User struct {
				Certificate string `yaml:"client-certificate-data"`
				Key         string `yaml:"client-key-data"`
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &kubeconfig))
	decode := func(text string) []byte {
		data, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		return data
	}
	user := kubeconfig.Users[0].User
	pair, err := tls.X509KeyPair(decode(user.Certificate), decode(user.Key))
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(decode(kubeconfig.Clusters[0].Cluster.CA)))
	return &api{&http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}},
	}}
}

// do asks the API server and fills the answer's JSON into into, if that is given.
func (a *api) do(method, path string, body, into any) error {
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(context.Background(), method, server+path, reader)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, data)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(data, into)
}

type list struct {
	Items []struct {
		Metadata struct{ Name string }
		Spec     struct{ NodeName string }
		Status   struct {
			Phase      string
			Conditions []struct {
				Type, Status      string
				LastHeartbeatTime time.Time
			}
		}
	}
}

// ready are the names of the items whose condition Ready is true, and that the kubelet has told so since.
func (l list) ready(since time.Time) []string {
	var names []string
	for _, item := range l.Items {
		for _, c := range item.Status.Conditions {
			if c.Type == "Ready" && c.Status == "True" && !c.LastHeartbeatTime.Before(since) {
				names = append(names, item.Metadata.Name)
			}
		}
	}
	return names
}

// whole waits until every node and every pod is ready, and every node's lease was renewed after the wait began.
func (a *api) whole(t *testing.T) {
	t.Helper()
	begun := time.Now()
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		var n, pods list
		if !assert.NoError(t, a.do(http.MethodGet, "/api/v1/nodes", nil, &n)) {
			return
		}
		assert.ElementsMatch(t, nodes, n.ready(time.Time{}), "nodes that are ready")
		var leases struct {
			Items []struct {
				Metadata struct{ Name string }
				Spec     struct{ RenewTime time.Time }
			}
		}
		if assert.NoError(t, a.do(http.MethodGet, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", nil, &leases)) {
			for _, lease := range leases.Items {
				assert.True(t, lease.Spec.RenewTime.After(begun), "%s was heard of since", lease.Metadata.Name)
			}
		}
		if assert.NoError(t, a.do(http.MethodGet, "/api/v1/pods", nil, &pods)) {
			assert.GreaterOrEqual(t, len(pods.Items), 2)
			assert.Len(t, pods.ready(time.Time{}), len(pods.Items), "pods that are ready")
		}
	}, wholeAgain, 300*time.Millisecond)
	t.Logf("whole after %s", time.Since(begun).Round(100*time.Millisecond))
}

const written = "written before all of it"

func (a *api) probeImage(t *testing.T) string {
	var deployment struct {
		Spec struct {
			Template struct {
				Spec struct{ Containers []struct{ Image string } }
			}
		}
	}
	require.NoError(t, a.do(http.MethodGet, "/apis/apps/v1/namespaces/kube-system/deployments/coredns", nil, &deployment))
	return strings.Replace(deployment.Spec.Template.Spec.Containers[0].Image, "coredns", "probe", 1)
}

type object = map[string]any

// run starts a pod on each node and writes to a volume.
func (a *api) run(t *testing.T) {
	image := a.probeImage(t)
	labels := object{"app": "probe"}
	require.NoError(t, a.do(http.MethodPost, "/apis/apps/v1/namespaces/default/daemonsets", object{
		"metadata": object{"name": "probe"},
		"spec": object{
			"selector": object{"matchLabels": labels},
			"template": object{"metadata": object{"labels": labels}, "spec": object{
				"terminationGracePeriodSeconds": 1,
				"containers": []object{{"name": "probe", "image": image, "imagePullPolicy": "Never", "args": []string{"serve"},
					"readinessProbe": object{"httpGet": object{"path": "/", "port": 8080}, "periodSeconds": 1}}},
			}},
		},
	}, nil))
	require.NoError(t, a.do(http.MethodPost, "/api/v1/namespaces/default/persistentvolumeclaims", object{
		"metadata": object{"name": "data"},
		"spec":     object{"accessModes": []string{"ReadWriteOnce"}, "resources": object{"requests": object{"storage": "16Mi"}}},
	}, nil))
	a.volumePod(t, "writer", "write", "/data/file", written)
	a.whole(t)
}

// volumePod runs the probe with the volume and removes the pod when it is done.
func (a *api) volumePod(t *testing.T, name string, args ...string) string {
	require.NoError(t, a.do(http.MethodPost, "/api/v1/namespaces/default/pods", object{
		"metadata": object{"name": name},
		"spec": object{
			"restartPolicy": "Never",
			"volumes":       []object{{"name": "data", "persistentVolumeClaim": object{"claimName": "data"}}},
			"containers": []object{{"name": "probe", "image": a.probeImage(t), "imagePullPolicy": "Never", "args": args,
				"terminationMessagePolicy": "FallbackToLogsOnError", "volumeMounts": []object{{"name": "data", "mountPath": "/data"}}}},
		},
	}, nil))
	pod := "/api/v1/namespaces/default/pods/" + name
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		var status struct{ Status struct{ Phase string } }
		assert.NoError(t, a.do(http.MethodGet, pod, nil, &status))
		assert.Equal(t, "Succeeded", status.Status.Phase)
	}, wholeAgain, 300*time.Millisecond)
	var out string
	response, err := a.client.Get(server + pod + "/log")
	require.NoError(t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	out = string(data)
	require.NoError(t, a.do(http.MethodDelete, pod+"?gracePeriodSeconds=0", nil, nil))
	return out
}

func (a *api) readVolume(t *testing.T) {
	assert.Contains(t, a.volumePod(t, "reader", "read", "/data/file"), written)
}

// writer writes ConfigMaps one after the other, and remembers those whose write was acknowledged.
type writer struct {
	prefix string
	halt   chan struct{}
	done   sync.WaitGroup
	acked  []string
	failed int
}

func (a *api) write() *writer {
	w := &writer{prefix: fmt.Sprintf("w%d-", time.Now().UnixNano()), halt: make(chan struct{})}
	// Nothing is taken from a kept connection to a server that is gone.
	own := &api{&http.Client{Timeout: 2 * time.Second, Transport: a.client.Transport}}
	w.done.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-w.halt:
				return
			default:
			}
			name := fmt.Sprintf("%s%d", w.prefix, i)
			err := own.do(http.MethodPost, "/api/v1/namespaces/default/configmaps", object{"metadata": object{"name": name}, "data": object{"n": name}}, nil)
			if err != nil {
				w.failed++
				time.Sleep(50 * time.Millisecond)
				continue
			}
			w.acked = append(w.acked, name)
			time.Sleep(2 * time.Millisecond)
		}
	})
	return w
}

// stop ends the writing and looks for everything that was acknowledged.
func (w *writer) stop(t *testing.T, a *api) {
	t.Helper()
	close(w.halt)
	w.done.Wait()
	var there list
	require.NoError(t, a.do(http.MethodGet, "/api/v1/namespaces/default/configmaps", nil, &there))
	found := map[string]bool{}
	for _, item := range there.Items {
		found[item.Metadata.Name] = true
	}
	var lost []string
	for _, name := range w.acked {
		if !found[name] {
			lost = append(lost, name)
		}
	}
	assert.NotEmpty(t, w.acked)
	assert.Empty(t, lost, "acknowledged and lost")
	t.Logf("%d writes acknowledged, %d refused or not answered, %d lost", len(w.acked), w.failed, len(lost))
}
