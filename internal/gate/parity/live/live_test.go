// SPDX-License-Identifier: GPL-3.0-or-later

package live

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/gate/parity"
)

// cluster is an API server of a few answers: path → JSON, or a handler.
type cluster map[string]any

func small() cluster {
	return cluster{
		"/version": `{"gitVersion": "v1.34.3+k3s1"}`,
		"/apis": `{"kind": "APIGroupList", "groups": [
			{"name": "apps", "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}},
			{"name": "argoproj.io", "versions": [{"version": "v1alpha1"}], "preferredVersion": {"version": "v1alpha1"}},
			{"name": "longhorn.io", "versions": [{"version": "v1beta2"}, {"version": "v1beta1"}], "preferredVersion": {"version": "v1beta2"}}]}`,
		"/api/v1/nodes": `{"kind": "NodeList", "items": [{"metadata": {"name": "pi1", "labels": {"node-role.kubernetes.io/control-plane": "true", "node-role.kubernetes.io/etcd": "true"}},
			"status": {"nodeInfo": {"architecture": "arm64", "kubeletVersion": "v1.34.3+k3s1"}, "conditions": [{"type": "Ready", "status": "True"}]}}]}`,
		"/api/v1/pods": `{"kind": "PodList", "items": [
			{"metadata": {"name": "done", "namespace": "a"}, "spec": {"containers": [{"image": "old:1"}]}, "status": {"phase": "Succeeded"}},
			{"metadata": {"name": "runs", "namespace": "a"}, "spec": {"containers": [{"name": "c", "image": "x:1", "ports": [{"containerPort": 5432}, {"containerPort": 8008}]}], "initContainers": [{"image": "init:1"}, {"name": "s", "image": "side:1", "restartPolicy": "Always"}]}, "status": {"phase": "Running"}}]}`,
		"/apis/apps/v1/deployments":               `{"kind": "DeploymentList", "items": []}`,
		"/apis/apps/v1/statefulsets":              `{"kind": "StatefulSetList", "items": []}`,
		"/apis/apps/v1/daemonsets":                `{"kind": "DaemonSetList", "items": []}`,
		"/api/v1/persistentvolumeclaims":          `{"kind": "PersistentVolumeClaimList", "items": [{"metadata": {"name": "old", "namespace": "a", "annotations": {"volume.beta.kubernetes.io/storage-class": "longhorn"}}, "spec": {"volumeName": "pv"}}]}`,
		"/api/v1/persistentvolumes":               `{"kind": "PersistentVolumeList", "items": [{"metadata": {"name": "pv"}, "spec": {"csi": {"driver": "driver.longhorn.io", "volumeHandle": "pvc-1"}}}]}`,
		"/apis/argoproj.io/v1alpha1/applications": `{"kind": "ApplicationList", "items": [{"metadata": {"name": "erp", "namespace": "argocd"}, "spec": {"source": {"repoURL": "https://forge.test/o/erp.git", "path": "chart"}}}]}`,
		"/apis/longhorn.io/v1beta2/volumes":       `{"kind": "VolumeList", "items": [{"metadata": {"name": "pvc-1", "namespace": "longhorn-system", "labels": {"a": "b"}}, "spec": {"backupTargetName": "second"}}]}`,
		"/apis/longhorn.io/v1beta1/recurringjobs": `{"kind": "RecurringJobList", "items": [{"metadata": {"name": "nightly", "namespace": "longhorn-system"}, "spec": {"task": "backup", "cron": "@daily", "groups": ["default"]}}]}`,
	}
}

func (c cluster) serve(t *testing.T) (*httptest.Server, *atomic.Int64) {
	var asked atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		assert.Equal(t, http.MethodGet, r.Method, "nothing is written")
		switch answer := c[r.URL.Path].(type) {
		case string:
			fmt.Fprint(w, answer)
		case func(http.ResponseWriter, *http.Request):
			answer(w, r)
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"kind": "Status", "message": "the server could not find the requested resource"}`)
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that were called off
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, &asked
}

// kubeconfig of a server, with more lines for its cluster and its user.
func config(t *testing.T, server *httptest.Server, url, ofCluster, ofUser string) string {
	t.Helper()
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	if url == "" {
		url = server.URL
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "%s", certificate-authority-data: %s%s}}]
users: [{name: u, user: {token: abc%s}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`, url, ca, ofCluster, ofUser), 0o600))
	return path
}

func anywhere(context.Context, string, Server) (string, error) { return "", nil }

func (c cluster) read(t *testing.T, wanted Wanted) (parity.Found, error) {
	t.Helper()
	server, _ := c.serve(t)
	client, err := Connect(t.Context(), config(t, server, "", "", ""), "", anywhere)
	require.NoError(t, err)
	return client.Read(t.Context(), wanted)
}

func TestAllObjectsAreRead(t *testing.T) {
	t.Parallel()
	found, err := small().read(t, Wanted{})
	require.NoError(t, err)
	assert.Equal(t, "v1.34.3+k3s1", found.Version)
	assert.Equal(t, []parity.FoundNode{{Name: "pi1", Roles: []string{"server", "etcd"}, Architecture: "arm64", Version: "v1.34.3+k3s1", Ready: true}}, found.Nodes)
	assert.Equal(t, []parity.FoundImage{{Namespace: "a", Workload: "Pod runs", Container: "c", Reference: "x:1", Ports: []int{5432, 8008}}, {Namespace: "a", Workload: "Pod runs", Container: "s", Reference: "side:1"}}, found.Images)
	assert.Equal(t, []parity.FoundClaim{{Namespace: "a", Name: "old", StorageClass: "longhorn", Volume: "pv"}}, found.Claims)
	assert.Equal(t, []parity.FoundVolume{{Name: "pv", Driver: "driver.longhorn.io", Handle: "pvc-1"}}, found.Volumes)
	assert.Equal(t, []parity.FoundApplication{{Namespace: "argocd", Name: "erp", Sources: []parity.Source{{Repository: "https://forge.test/o/erp.git", Path: "chart"}}}}, found.Applications)
	assert.Equal(t, []parity.FoundJob{{Namespace: "longhorn-system", Name: "nightly", Task: "backup", Cron: "@daily", Groups: []string{"default"}}}, found.Longhorn.Jobs, "of a version that is not the preferred one")
	assert.Equal(t, []parity.FoundLonghornVolume{{Namespace: "longhorn-system", Name: "pvc-1", Labels: map[string]string{"a": "b"}, Target: "second"}}, found.Longhorn.Volumes)
	assert.Empty(t, found.Longhorn.Targets, "a resource that is not there is absent")
	assert.Empty(t, found.HelmCharts, "a group that is not served is absent")
	assert.Empty(t, found.Releases)
}

func TestServicesWithPodsAreReadIfAServiceOutsideHasAPort(t *testing.T) {
	t.Parallel()
	served := small()
	served["/api/v1/services"] = `{"kind": "ServiceList", "items": [
		{"metadata": {"name": "db", "namespace": "erp"}, "spec": {"type": "ClusterIP", "selector": {"app": "db"}, "ports": [{"port": 5432, "targetPort": 15432}, {"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 81}]}},
		{"metadata": {"name": "outside", "namespace": "erp"}, "spec": {"ports": [{"port": 5432}]}},
		{"metadata": {"name": "named", "namespace": "erp"}, "spec": {"type": "ExternalName", "selector": {"app": "db"}, "ports": [{"port": 5432}]}}]}`
	served["/apis/apps/v1/deployments"] = `{"kind": "DeploymentList", "items": [{"metadata": {"name": "db", "namespace": "erp", "labels": {"of": "object"}},
		"spec": {"template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": "x:1"}]}}}}]}`
	found, err := served.read(t, Of(&parity.Manifest{Outside: []parity.Outside{{Name: "postgresql"}}}))
	require.NoError(t, err)
	assert.Equal(t, []parity.FoundService{{Namespace: "erp", Name: "db", Selector: map[string]string{"app": "db"}, Ports: []int{5432, 15432, 80, 81}}}, found.Services)
	assert.Contains(t, found.Images, parity.FoundImage{Namespace: "erp", Workload: "Deployment db", Container: "c", Reference: "x:1", Labels: map[string]string{"app": "db"}})

	found, err = served.read(t, Of(&parity.Manifest{Outside: []parity.Outside{{Name: "pihole"}}}))
	require.NoError(t, err)
	assert.Empty(t, found.Services)
	delete(served, "/api/v1/services")
	_, err = served.read(t, Wanted{Services: true})
	require.ErrorContains(t, err, "404")
}

func TestABackupTargetIsReadWithItsNamespace(t *testing.T) {
	t.Parallel()
	served := small()
	served["/apis/longhorn.io/v1beta2/backuptargets"] = `{"kind": "BackupTargetList", "items": [
		{"metadata": {"name": "default", "namespace": "longhorn-system"}, "spec": {"backupTargetURL": "s3://x@y/"}, "status": {"available": false}},
		{"metadata": {"name": "default", "namespace": "erp"}, "spec": {"backupTargetURL": "s3://x@z/"}}]}`
	found, err := served.read(t, Wanted{})
	require.NoError(t, err)
	assert.Equal(t, []parity.FoundTarget{
		{Namespace: "longhorn-system", Name: "default", URL: "s3://x@y/", Unavailable: true}, {Namespace: "erp", Name: "default", URL: "s3://x@z/"},
	}, found.Longhorn.Targets)
}

func TestAFailedReadIsAnErrorAndNotAbsence(t *testing.T) {
	t.Parallel()
	status := func(code int, message string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"kind": "Status", "message": %q}`, message)
		}
	}
	for name, c := range map[string]struct {
		path   string
		answer any
		says   string
	}{
		"forbidden nodes":              {"/api/v1/nodes", status(403, "nodes is forbidden"), "GET /api/v1/nodes: 403 Forbidden: nodes is forbidden"},
		"forbidden applications":       {"/apis/argoproj.io/v1alpha1/applications", status(403, "no"), "403 Forbidden"},
		"a broken list of volumes":     {"/apis/longhorn.io/v1beta2/volumes", status(500, "etcd"), "500 Internal Server Error: etcd"},
		"a throttled list":             {"/api/v1/pods", status(429, "later"), "429 Too Many Requests"},
		"nodes that are not found":     {"/api/v1/nodes", nil, "404 Not Found"},
		"a page in place of a list":    {"/api/v1/pods", "<html>", "is not what an API server gives"},
		"an object in place of a list": {"/api/v1/pods", `{"kind": "Pod"}`, `the answer is "Pod" and no list`},
		"a list without items":         {"/api/v1/pods", `{"kind": "PodList"}`, "no list"},
		"no node":                      {"/api/v1/nodes", `{"kind": "NodeList", "items": []}`, "knows no node"},
		"no version":                   {"/version", `{}`, "returned no version"},
		"no groups":                    {"/apis", `{"kind": "APIGroupList"}`, "names no groups"},
		"a server that leads elsewhere": {"/api/v1/nodes", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://192.0.2.1/", http.StatusFound)
		}, "redirects to 192.0.2.1"},
		"a list that is always expired":  {"/api/v1/pods", status(410, "expired"), "410 Gone"},
		"secrets that may not be read":   {"/api/v1/secrets", status(403, "secrets is forbidden"), "403 Forbidden"},
		"a release that is not readable": {"/api/v1/secrets", `{"kind": "SecretList", "items": [{"metadata": {"name": "s", "namespace": "n", "labels": {"name": "r", "version": "1"}}, "data": {"release": "e30="}}]}`, "the secret n/s of Helm"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			served := small()
			served[c.path] = c.answer
			_, err := served.read(t, Wanted{Releases: c.path == "/api/v1/secrets"})
			require.Error(t, err)
			assert.Contains(t, err.Error(), c.says)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestALongListIsReadPageByPageAndBegunAgainOnce(t *testing.T) {
	t.Parallel()
	served := small()
	expired := false
	served["/api/v1/persistentvolumes"] = func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, page, r.URL.Query().Get("limit"))
		switch from := r.URL.Query().Get("continue"); {
		case from == "":
			fmt.Fprint(w, `{"kind": "PersistentVolumeList", "metadata": {"continue": "two"}, "items": [{"metadata": {"name": "a"}}]}`)
		case !expired:
			expired = true
			w.WriteHeader(http.StatusGone)
		default:
			fmt.Fprint(w, `{"kind": "PersistentVolumeList", "items": [{"metadata": {"name": "b"}}]}`)
		}
	}
	found, err := served.read(t, Wanted{})
	require.NoError(t, err)
	require.Len(t, found.Volumes, 2)
	assert.True(t, expired)
}

func secret(t *testing.T, revision, chart string, packed bool) string {
	t.Helper()
	data := fmt.Appendf(nil, `{"chart": {"metadata": {"name": "longhorn", "version": %q, "appVersion": "v%s"}}, "config": {"password": "hidden"}}`, chart, chart)
	if packed {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, err := w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		data = out.Bytes()
	}
	release := base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString(data)))
	return fmt.Sprintf(`{"metadata": {"name": "s%s", "namespace": "n", "labels": {"name": "longhorn", "version": %q}}, "data": {"release": %q}}`, revision, revision, release)
}

func TestTheNewestDeployedRevisionOfAReleaseIsTaken(t *testing.T) {
	t.Parallel()
	served := small()
	served["/api/v1/secrets"] = func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "type=helm.sh/release.v1", r.URL.Query().Get("fieldSelector"))
		assert.Equal(t, "owner=helm,status=deployed", r.URL.Query().Get("labelSelector"))
		fmt.Fprintf(w, `{"kind": "SecretList", "items": [%s, %s, %s]}`, secret(t, "9", "1.9.0", true), secret(t, "10", "1.10.0", false), secret(t, "2", "1.2.0", true))
	}
	found, err := served.read(t, Wanted{Releases: true})
	require.NoError(t, err)
	assert.Equal(t, []parity.FoundRelease{{Namespace: "n", Name: "longhorn", Chart: "longhorn", ChartVersion: "1.10.0", AppVersion: "v1.10.0", Revision: 10}}, found.Releases)
	said, err := json.Marshal(found)
	require.NoError(t, err)
	assert.NotContains(t, string(said), "hidden")
}

func TestAKubeconfigThatCannotBeTrustedIsRefusedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	server, asked := small().serve(t)
	for name, c := range map[string]struct{ url, cluster, user, says string }{
		"credentials out of a program":  {user: `, exec: {apiVersion: client.authentication.k8s.io/v1, command: "false", interactiveMode: Never}`, says: "it runs a program for its credentials (exec)"},
		"credentials out of a plugin":   {user: `, auth-provider: {name: oidc}`, says: "it asks a provider for its credentials (auth-provider)"},
		"a proxy":                       {cluster: `, proxy-url: "http://127.0.0.1:3128"`, says: "it goes through a proxy (proxy-url)"},
		"certificates are not verified": {cluster: `, insecure-skip-tls-verify: true`, says: "insecure-skip-tls-verify"},
		"no encryption":                 {url: "http://127.0.0.1:1", says: "its server is not https://HOST:PORT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Connect(t.Context(), config(t, server, c.url, c.cluster, c.user), "", anywhere)
			require.ErrorContains(t, err, c.says)
		})
	}
	_, err := Connect(t.Context(), config(t, server, "", "", ""), "other", anywhere)
	require.ErrorContains(t, err, `it has 0 entries for the context "other"`)
	_, err = Connect(t.Context(), filepath.Join(t.TempDir(), "none"), "", anywhere)
	require.ErrorContains(t, err, "no such file")
	broken := filepath.Join(t.TempDir(), "broken")
	require.NoError(t, os.WriteFile(broken, []byte("token: [hidden"), 0o600))
	_, err = Connect(t.Context(), broken, "", anywhere)
	require.ErrorContains(t, err, "it is not a kubeconfig that can be read")
	assert.NotContains(t, err.Error(), "hidden")
	_, err = Connect(t.Context(), config(t, server, "", "", ""), "", func(context.Context, string, Server) (string, error) { return "", errors.New("no") })
	require.ErrorContains(t, err, "no")
	assert.Zero(t, asked.Load(), "nothing was sent")
}

func TestRequestsGoOnlyToServersListedAsSandbox(t *testing.T) {
	t.Parallel()
	server, asked := small().serve(t)
	port := server.URL[strings.LastIndex(server.URL, ":")+1:]
	manifest, err := boundary.Parse("boundary.yml", []byte(`
production: {addresses: [192.168.1.201-192.168.1.203]}
sandbox: {addresses: [172.30.0.0/16], endpoints: ["127.0.0.1:`+port+`"]}
`))
	require.NoError(t, err)
	allow := Within(boundary.Checker{Manifest: manifest})

	client, err := Connect(t.Context(), config(t, server, "", "", ""), "", allow)
	require.NoError(t, err)
	assert.Zero(t, asked.Load(), "connecting sends nothing")
	_, err = client.Read(t.Context(), Wanted{})
	require.NoError(t, err)
	before := asked.Load()

	for _, url := range []string{"https://192.168.1.201:6443", "https://0300.0250.1.0311:6443", "https://[::ffff:192.168.1.201]:6443", "https://192.0.2.1:6443", "https://127.0.0.1:1"} {
		_, err := Connect(t.Context(), config(t, server, url, "", ""), "", allow)
		require.ErrorContains(t, err, "is refused before anything is sent", url)
	}
	// Another context of the same file is one word away.
	path := config(t, server, "", "", "")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	both := strings.Replace(string(text), "clusters: [", `clusters: [{name: p, cluster: {server: "https://192.168.1.201:6443"}}, `, 1)
	require.NoError(t, os.WriteFile(path, []byte(both), 0o600))
	_, err = Connect(t.Context(), path, "", allow)
	require.ErrorContains(t, err, "192.168.1.201")
	assert.Equal(t, before, asked.Load())
}

func TestRequestsGoToTheCheckedAddress(t *testing.T) {
	t.Parallel()
	server, asked := small().serve(t)
	port := server.URL[strings.LastIndex(server.URL, ":")+1:]
	// The certificate of httptest is for this name, which leads elsewhere.
	path := config(t, server, "https://example.com:"+port, "", "")
	client, err := Connect(t.Context(), path, "", func(context.Context, string, Server) (string, error) { return "127.0.0.1", nil })
	require.NoError(t, err)
	_, err = client.Read(t.Context(), Wanted{})
	require.NoError(t, err)
	assert.Positive(t, asked.Load())
}

// The kit is limited in size: a client for every type would double it.
func TestOnlyTheSmallPartsOfClientGoAreLinked(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "github.com/arcodange-org/sandbox/cmd/controller").Output()
	require.NoError(t, err)
	deps := strings.Fields(string(out))
	assert.Contains(t, deps, "k8s.io/client-go/transport")
	for _, dep := range deps {
		for _, heavy := range []string{"k8s.io/api", "k8s.io/client-go/rest", "k8s.io/client-go/tools/clientcmd", "k8s.io/apimachinery/pkg/runtime", "k8s.io/client-go/kubernetes", "k8s.io/client-go/dynamic", "k8s.io/client-go/discovery", "k8s.io/client-go/informers", "k8s.io/client-go/applyconfigurations", "k8s.io/kube-openapi"} {
			assert.False(t, dep == heavy || strings.HasPrefix(dep, heavy+"/"), "%s is linked", dep)
		}
	}
}
