// SPDX-License-Identifier: GPL-3.0-or-later

//go:build apiserver && linux

package capture

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// server is a real API server on loopback, of the embedded Kubernetes, with
// RBAC, an audit log and no node.
type server struct {
	dir    string
	url    string
	ca     *x509.Certificate
	key    *ecdsa.PrivateKey
	caPEM  []byte
	client *http.Client
	stops  []func()
}

const adminToken = "admin-token"

// users are all who log in by a token: name and groups. The file is read when the server starts.
func tokens() []byte {
	var out strings.Builder
	fmt.Fprintf(&out, "%s,admin,admin,\"system:masters\"\n", adminToken)
	for i := range 80 {
		fmt.Fprintf(&out, "token-%d,user-%d,user-%d,\"group-%d\"\n", i, i, i, i)
	}
	out.WriteString("token-master,master,master,\"system:masters\"\ntoken-node,system:node:pi1,pi1,\"system:nodes\"\n")
	return []byte(out.String())
}

func startServer() (*server, error) {
	k3s := os.Getenv("SANDBOX_K3S")
	if k3s == "" {
		return nil, fmt.Errorf("set SANDBOX_K3S to the embedded Kubernetes; `make test-capture` does")
	}
	dir, err := os.MkdirTemp("", "capture-server-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	if err := s.start(k3s); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *server) start(k3s string) error {
	for _, name := range []string{"kine", "kube-apiserver", "kube-controller-manager"} {
		if err := os.Symlink(k3s, s.path(name)); err != nil {
			return err
		}
	}
	if err := s.authority(); err != nil {
		return err
	}
	cert, key, err := s.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "kube-apiserver"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return err
	}
	s.url = fmt.Sprintf("https://127.0.0.1:%d", port)
	config := kubeconfig{Server: s.url, CA: s.caPEM, User: map[string]any{"token": adminToken}}
	for name, data := range map[string][]byte{
		"ca.crt": s.caPEM, "server.crt": cert, "server.key": key, "tokens.csv": tokens(), "admin.conf": config.bytes(),
		"audit.yaml": []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n"),
	} {
		if err := os.WriteFile(s.path(name), data, 0o600); err != nil {
			return err
		}
	}
	if err := s.run("kine", "--listen-address=unix://"+s.path("kine.sock"), "--database="+s.path("state.db")); err != nil {
		return err
	}
	if err := s.run("kube-apiserver", "--etcd-servers=unix://"+s.path("kine.sock"), "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
		"--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.43.0.0/16",
		"--tls-cert-file="+s.path("server.crt"), "--tls-private-key-file="+s.path("server.key"), "--client-ca-file="+s.path("ca.crt"),
		"--service-account-key-file="+s.path("server.key"), "--service-account-signing-key-file="+s.path("server.key"), "--service-account-issuer=https://kubernetes.default.svc",
		"--authorization-mode=Node,RBAC", "--token-auth-file="+s.path("tokens.csv"), "--etcd-compaction-interval=0", "--profiling=false",
		"--audit-policy-file="+s.path("audit.yaml"), "--audit-log-path="+s.path("audit.log"), "--audit-log-mode=blocking",
		"--disable-admission-plugins=ServiceAccount"); err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AddCert(s.ca)
	s.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	if err := s.wait(func() bool { code, _, err := s.do(http.MethodGet, "/readyz", nil); return err == nil && code == 200 }); err != nil {
		return err
	}
	// It fills ClusterRoles that are put together from others, view among them.
	if err := s.run("kube-controller-manager", "--kubeconfig="+s.path("admin.conf"), "--controllers=clusterrole-aggregation-controller",
		"--leader-elect=false", "--secure-port=0", "--use-service-account-credentials=false"); err != nil {
		return err
	}
	return s.wait(func() bool {
		_, body, err := s.do(http.MethodGet, "/apis/rbac.authorization.k8s.io/v1/clusterroles/view", nil)
		return err == nil && bytes.Contains(body, []byte(`"configmaps"`))
	})
}

// authority makes a CA.
func (s *server) authority() error {
	var err error
	if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return err
	}
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "capture-tests"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, &s.key.PublicKey, s.key)
	if err != nil {
		return err
	}
	if s.ca, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	s.caPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return nil
}

func (s *server) wait(done func() bool) error {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if done() {
			return nil
		}
	}
	log, _ := os.ReadFile(s.path("kube-apiserver.log"))
	return fmt.Errorf("the API server did not come up: %s", log[max(0, len(log)-2000):])
}

// run starts one of its programs, and stops it with the tests.
func (s *server) run(name string, args ...string) error {
	log, err := os.Create(s.path(name + ".log"))
	if err != nil {
		return err
	}
	cmd := exec.Command(s.path(name), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.stops = append(s.stops, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
	})
	return nil
}

func (s *server) stop() {
	for i := len(s.stops) - 1; i >= 0; i-- {
		s.stops[i]()
	}
	_ = os.RemoveAll(s.dir)
}

// issue makes a certificate of its CA.
func (s *server) issue(template *x509.Certificate) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, nil, err
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, s.ca, &private.PublicKey, s.key)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}), nil
}

// do asks it as its administrator.
func (s *server) do(method, path string, body []byte) (int, []byte, error) {
	req, err := http.NewRequest(method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	req.Header.Set("Content-Type", "application/json")
	res, err := s.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res.StatusCode, data, err
}

func (s *server) create(t *testing.T, path string, object map[string]any) {
	t.Helper()
	data, err := json.Marshal(object)
	require.NoError(t, err)
	code, body, err := s.do(http.MethodPost, path, data)
	require.NoError(t, err)
	require.Contains(t, []int{http.StatusCreated, http.StatusConflict}, code, string(body))
}

// kubeconfig is a file with one cluster, one user and one context.
type kubeconfig struct {
	Server  string
	CA      []byte
	Cluster map[string]any // beside server and CA
	User    map[string]any
}

func (k kubeconfig) bytes() []byte {
	cluster := map[string]any{"server": k.Server, "certificate-authority-data": base64.StdEncoding.EncodeToString(k.CA)}
	for key, value := range k.Cluster {
		cluster[key] = value
	}
	data, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "production",
		"clusters": []any{map[string]any{"name": "production", "cluster": cluster}},
		"users":    []any{map[string]any{"name": "reader", "user": k.User}},
		"contexts": []any{map[string]any{"name": "production", "context": map[string]any{"cluster": "production", "user": "reader"}}},
	})
	if err != nil {
		panic(err)
	}
	return data
}

func (k kubeconfig) file(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(name, k.bytes(), 0o600))
	return name
}

// audited is what a user really asked, as the server's own log has it: verb and resource.
func (s *server) audited(t *testing.T, user string) []string {
	t.Helper()
	data, err := os.ReadFile(s.path("audit.log"))
	require.NoError(t, err)
	var out []string
	for line := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n") {
		var event struct {
			Verb, RequestURI string
			User             struct{ Username string }
		}
		if json.Unmarshal([]byte(line), &event) == nil && event.User.Username == user {
			out = append(out, event.Verb+" "+event.RequestURI)
		}
	}
	return out
}

// furnish gives it what a cluster has: kinds and objects.
func (s *server) furnish(t *testing.T) {
	t.Helper()
	s.namespaces(t, "erp", "tools", "argocd", "longhorn-system")
	for group, kinds := range map[string]map[string]string{
		"argoproj.io": {"applications": "Application"}, "helm.cattle.io": {"helmcharts": "HelmChart"},
		"longhorn.io": {"volumes": "Volume", "recurringjobs": "RecurringJob", "backuptargets": "BackupTarget"},
	} {
		version := map[string]string{"argoproj.io": "v1alpha1", "helm.cattle.io": "v1", "longhorn.io": "v1beta2"}[group]
		for plural, kind := range kinds {
			s.create(t, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", map[string]any{
				"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": map[string]any{"name": plural + "." + group},
				"spec": map[string]any{
					"group": group, "scope": "Namespaced", "names": map[string]any{"plural": plural, "singular": strings.ToLower(kind), "kind": kind},
					"versions": []any{map[string]any{"name": version, "served": true, "storage": true, "schema": map[string]any{
						"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
					}}},
				},
			})
			path := "/apis/" + group + "/" + version + "/" + plural
			require.NoError(t, s.wait(func() bool { code, _, err := s.do(http.MethodGet, path, nil); return err == nil && code == 200 }))
		}
	}
	object := func(path, version, kind, name string, more map[string]any) {
		all := map[string]any{"apiVersion": version, "kind": kind, "metadata": map[string]any{"name": name}}
		for key, value := range more {
			all[key] = value
		}
		s.create(t, path, all)
	}
	object("/api/v1/nodes", "v1", "Node", "pi1", map[string]any{
		"metadata": map[string]any{"name": "pi1", "labels": map[string]any{"node-role.kubernetes.io/control-plane": "true"}},
		"status":   map[string]any{"nodeInfo": map[string]any{"architecture": "arm64", "kubeletVersion": "v1.34.3+k3s1.embedded"}},
	})
	container := map[string]any{"containers": []any{map[string]any{"name": "vault", "image": "hashicorp/vault:1.20.4"}}}
	labels := map[string]any{"app": "vault"}
	object("/apis/apps/v1/namespaces/tools/deployments", "apps/v1", "Deployment", "vault", map[string]any{"spec": map[string]any{
		"selector": map[string]any{"matchLabels": labels}, "template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": container},
	}})
	object("/apis/argoproj.io/v1alpha1/namespaces/argocd/applications", "argoproj.io/v1alpha1", "Application", "erp", map[string]any{"spec": map[string]any{
		"source": map[string]any{"repoURL": "https://gitea.arcodange.lab/arcodange-org/erp", "path": "chart", "targetRevision": "main"},
	}})
	object("/apis/helm.cattle.io/v1/namespaces/longhorn-system/helmcharts", "helm.cattle.io/v1", "HelmChart", "longhorn", map[string]any{"spec": map[string]any{
		"chart": "longhorn", "version": "1.10.1",
	}})
	object("/apis/longhorn.io/v1beta2/namespaces/longhorn-system/recurringjobs", "longhorn.io/v1beta2", "RecurringJob", "nightly", map[string]any{"spec": map[string]any{
		"task": "backup", "cron": "0 2 * * *", "groups": []string{"default"},
	}})
	object("/apis/longhorn.io/v1beta2/namespaces/longhorn-system/volumes", "longhorn.io/v1beta2", "Volume", "pvc-1", nil)
	object("/apis/longhorn.io/v1beta2/namespaces/longhorn-system/backuptargets", "longhorn.io/v1beta2", "BackupTarget", "default", map[string]any{
		"spec": map[string]any{"backupTargetURL": "s3://backups@region/"}, "status": map[string]any{"available": true},
	})
	size := map[string]any{"storage": "1Gi"}
	object("/api/v1/persistentvolumes", "v1", "PersistentVolume", "pvc-1", map[string]any{"spec": map[string]any{
		"capacity": size, "accessModes": []string{"ReadWriteOnce"}, "csi": map[string]any{"driver": "driver.longhorn.io", "volumeHandle": "pvc-1"}, "storageClassName": "longhorn",
	}})
	object("/api/v1/namespaces/erp/persistentvolumeclaims", "v1", "PersistentVolumeClaim", "erp-data", map[string]any{"spec": map[string]any{
		"accessModes": []string{"ReadWriteOnce"}, "resources": map[string]any{"requests": size}, "storageClassName": "longhorn", "volumeName": "pvc-1",
	}})
	release := base64.StdEncoding.EncodeToString([]byte(`{"chart":{"metadata":{"name":"longhorn","version":"1.10.1","appVersion":"v1.10.1"}},"config":{"password":"correct-horse"}}`))
	object("/api/v1/namespaces/longhorn-system/secrets", "v1", "Secret", "sh.helm.release.v1.longhorn.v1", map[string]any{
		"metadata": map[string]any{"name": "sh.helm.release.v1.longhorn.v1", "labels": map[string]any{"owner": "helm", "name": "longhorn", "status": "deployed", "version": "1"}},
		"type":     "helm.sh/release.v1", "stringData": map[string]any{"release": release},
	})
	object("/api/v1/namespaces/tools/secrets", "v1", "Secret", "vault-keys", map[string]any{"stringData": map[string]any{"key": "correct-horse"}})
}
