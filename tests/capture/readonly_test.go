// SPDX-License-Identifier: GPL-3.0-or-later

//go:build apiserver && linux

package capture

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/gate/parity"
	"github.com/arcodange-org/sandbox/internal/gate/parity/capture"
	"github.com/arcodange-org/sandbox/internal/gate/parity/readonly"
)

var production *server

func TestMain(m *testing.M) {
	var err error
	if production, err = startServer(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	production.stop()
	os.Exit(code)
}

const rbac = "/apis/rbac.authorization.k8s.io/v1/"

// rule is a rule of a role; list separates by spaces.
func rule(groups, resources, verbs string, names ...string) map[string]any {
	list := strings.Fields(groups)
	for i := range list {
		list[i] = strings.ReplaceAll(list[i], "core", "")
	}
	out := map[string]any{"apiGroups": list, "resources": strings.Fields(resources), "verbs": strings.Fields(verbs)}
	if len(names) > 0 {
		out["resourceNames"] = names
	}
	return out
}

// grant gives a subject rules, in a namespace or, without one, in all.
func (s *server) grant(t *testing.T, name, namespace, subject string, rules ...map[string]any) {
	t.Helper()
	kind, collection := "ClusterRole", rbac+"clusterroles"
	if namespace != "" {
		kind, collection = "Role", rbac+"namespaces/"+namespace+"/roles"
	}
	s.create(t, collection, map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": map[string]any{"name": name}, "rules": rules})
	s.bind(t, name, namespace, subject, kind, name)
}

// bind gives a subject, as User:name or Group:name, a role.
func (s *server) bind(t *testing.T, name, namespace, subject, kind, role string) {
	t.Helper()
	binding, collection := "ClusterRoleBinding", rbac+"clusterrolebindings"
	if namespace != "" {
		binding, collection = "RoleBinding", rbac+"namespaces/"+namespace+"/rolebindings"
	}
	who, called, _ := strings.Cut(subject, ":")
	s.create(t, collection, map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": binding, "metadata": map[string]any{"name": name},
		"subjects": []any{map[string]any{"kind": who, "name": called, "apiGroup": "rbac.authorization.k8s.io"}},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
	})
}

func (s *server) namespaces(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		s.create(t, "/api/v1/namespaces", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}})
	}
}

// reading is what docs/parity-capture.md gives the user who captures.
func reading() []map[string]any {
	return []map[string]any{
		rule("core", "namespaces nodes pods persistentvolumes persistentvolumeclaims", "get list"),
		rule("apps", "deployments statefulsets daemonsets", "get list"),
		rule("argoproj.io", "applications", "get list"),
		rule("helm.cattle.io", "helmcharts", "get list"),
		rule("longhorn.io", "volumes recurringjobs backuptargets", "get list"),
	}
}

// allowedRequests are all that may ever reach a server: reading, and questions about oneself.
func onlyReads(requests []string) []string {
	var out []string
	for _, request := range requests {
		verb, uri, _ := strings.Cut(request, " ")
		review := verb == "create" && (strings.HasSuffix(uri, "/selfsubjectrulesreviews") || strings.HasSuffix(uri, "/selfsubjectaccessreviews") || strings.HasSuffix(uri, "/selfsubjectreviews"))
		if !review && verb != "get" && verb != "list" {
			out = append(out, request)
		}
	}
	return out
}

func TestAKubeconfigThatCouldWriteIsRefusedWithItsReason(t *testing.T) {
	t.Parallel()
	s := production
	s.namespaces(t, "erp", "tools", "argocd", "longhorn-system")
	s.create(t, rbac+"clusterroles", map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": "gathered"}, "rules": []any{},
		"aggregationRule": map[string]any{"clusterRoleSelectors": []any{map[string]any{"matchLabels": map[string]any{"gathered": "yes"}}}},
	})
	s.create(t, rbac+"clusterroles", map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
		"metadata": map[string]any{"name": "hidden", "labels": map[string]any{"gathered": "yes"}}, "rules": []any{rule("batch", "jobs", "create")},
	})
	require.NoError(t, s.wait(func() bool {
		_, body, err := s.do(http.MethodGet, rbac+"clusterroles/gathered", nil)
		return err == nil && strings.Contains(string(body), `"jobs"`)
	}))
	number := 0
	for name, c := range map[string]struct {
		namespace string // of the rules
		rules     []map[string]any
		bind      string // a ClusterRole to bind, in namespace if that is given
		group     bool   // it is the user's group that has it
		says      string
	}{
		"one verb in one namespace":                {namespace: "erp", rules: []map[string]any{rule("core", "configmaps", "patch")}, says: "in the namespace erp it may patch configmaps"},
		"one verb for one name":                    {namespace: "erp", rules: []map[string]any{rule("core", "configmaps", "update", "only-this")}, says: "in the namespace erp it may update configmaps"},
		"a right of its group":                     {group: true, rules: []map[string]any{rule("core", "pods", "delete")}, says: "it may delete pods"},
		"a right of its group in one namespace":    {group: true, namespace: "tools", rules: []map[string]any{rule("core", "pods", "deletecollection")}, says: "in the namespace tools it may deletecollection pods"},
		"a ClusterRole gathered from others":       {bind: "gathered", says: "it may create jobs.batch"},
		"a gathered ClusterRole in one namespace":  {bind: "gathered", namespace: "argocd", says: "in the namespace argocd it may create jobs.batch"},
		"every verb on one resource":               {rules: []map[string]any{rule("apps", "deployments", "*")}, says: "it may * deployments.apps"},
		"get of every resource":                    {rules: []map[string]any{rule("*", "*", "get")}, says: "among what a wildcard covers are pods/exec"},
		"get of every resource of one group":       {rules: []map[string]any{rule("longhorn.io", "*", "get")}, says: "it may get *.longhorn.io, and among what a wildcard covers"},
		"list of every resource":                   {rules: []map[string]any{rule("*", "*", "list")}, says: "it may list secrets"},
		"everything":                               {bind: "cluster-admin", says: "it may * *.*"},
		"the built-in edit in one namespace":       {bind: "edit", namespace: "erp", says: "in the namespace erp it may"},
		"the built-in admin in one namespace":      {bind: "admin", namespace: "longhorn-system", says: "in the namespace longhorn-system it may"},
		"acting as users":                          {rules: []map[string]any{rule("core", "users", "impersonate")}, says: "it may impersonate users"},
		"acting as one group":                      {rules: []map[string]any{rule("core", "groups", "impersonate", "system:masters")}, says: "it may impersonate groups"},
		"acting as a service account in one place": {namespace: "argocd", rules: []map[string]any{rule("core", "serviceaccounts", "impersonate")}, says: "in the namespace argocd it may impersonate serviceaccounts"},
		"binding ClusterRoles":                     {rules: []map[string]any{rule("rbac.authorization.k8s.io", "clusterroles", "bind")}, says: "it may bind clusterroles.rbac.authorization.k8s.io"},
		"widening roles in one namespace":          {namespace: "tools", rules: []map[string]any{rule("rbac.authorization.k8s.io", "roles", "escalate")}, says: "in the namespace tools it may escalate roles"},
		"exec in pods":                             {namespace: "erp", rules: []map[string]any{rule("core", "pods/exec", "create")}, says: "in the namespace erp it may create pods/exec"},
		"exec in pods by get":                      {namespace: "erp", rules: []map[string]any{rule("core", "pods/exec", "get")}, says: "it may get pods/exec, which acts on a GET"},
		"attaching to pods by get":                 {rules: []map[string]any{rule("core", "pods/attach", "get")}, says: "it may get pods/attach, which acts on a GET"},
		"forwarding ports":                         {namespace: "tools", rules: []map[string]any{rule("core", "pods/portforward", "create")}, says: "it may create pods/portforward"},
		"a proxy to pods":                          {rules: []map[string]any{rule("core", "pods/proxy", "get")}, says: "it may get pods/proxy, which acts on a GET"},
		"a proxy to services in one namespace":     {namespace: "tools", rules: []map[string]any{rule("core", "services/proxy", "get")}, says: "in the namespace tools it may get services/proxy, which acts on a GET"},
		"a proxy to the kubelet":                   {rules: []map[string]any{rule("core", "nodes/proxy", "get")}, says: "it may get nodes/proxy, which acts on a GET"},
		"every proxy":                              {rules: []map[string]any{rule("core", "*/proxy", "get")}, says: "it may get */proxy, which acts on a GET"},
		"tokens of service accounts":               {namespace: "erp", rules: []map[string]any{rule("core", "serviceaccounts/token", "create")}, says: "it may create serviceaccounts/token"},
		"one secret":                               {namespace: "tools", rules: []map[string]any{rule("core", "secrets", "get", "vault-keys")}, says: "in the namespace tools it may get secrets, which can contain credentials"},
		"watching secrets":                         {rules: []map[string]any{rule("core", "secrets", "watch")}, says: "it may watch secrets"},
		"evicting pods":                            {namespace: "erp", rules: []map[string]any{rule("core", "pods/eviction", "create")}, says: "it may create pods/eviction"},
		"a container more in a pod":                {namespace: "erp", rules: []map[string]any{rule("core", "pods/ephemeralcontainers", "patch")}, says: "it may patch pods/ephemeralcontainers"},
		"scaling one StatefulSet":                  {namespace: "erp", rules: []map[string]any{rule("apps", "statefulsets/scale", "update", "erp")}, says: "it may update statefulsets/scale.apps"},
		"syncing an Application":                   {namespace: "argocd", rules: []map[string]any{rule("argoproj.io", "applications", "patch")}, says: "in the namespace argocd it may patch applications.argoproj.io"},
		"a kind that is not even there":            {rules: []map[string]any{rule("example.org", "buttons", "press")}, says: "it may press buttons.example.org"},
		"approving certificates":                   {rules: []map[string]any{rule("certificates.k8s.io", "signers", "approve")}, says: "it may approve signers.certificates.k8s.io"},
		"asking for certificates":                  {rules: []map[string]any{rule("certificates.k8s.io", "certificatesigningrequests", "create")}, says: "it may create certificatesigningrequests"},
		"asking about others":                      {rules: []map[string]any{rule("authorization.k8s.io", "subjectaccessreviews", "create")}, says: "it may create subjectaccessreviews"},
		"a POST to what is no resource":            {rules: []map[string]any{{"nonResourceURLs": []string{"/hook"}, "verbs": []string{"post"}}}, says: "it may post /hook"},
		"every verb on what is no resource":        {rules: []map[string]any{{"nonResourceURLs": []string{"/debug/*"}, "verbs": []string{"*"}}}, says: "it may * /debug/*"},
		"a node's events":                          {rules: []map[string]any{rule("core events.k8s.io", "events", "create patch")}, says: "it may create events"},
	} {
		number++
		user := number
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			subject := fmt.Sprintf("User:user-%d", user)
			s.grant(t, fmt.Sprintf("reading-%d", user), "", subject, reading()...)
			if c.group {
				subject = fmt.Sprintf("Group:group-%d", user)
			}
			if c.bind != "" {
				s.bind(t, fmt.Sprintf("case-%d", user), c.namespace, subject, "ClusterRole", c.bind)
			} else {
				s.grant(t, fmt.Sprintf("case-%d", user), c.namespace, subject, c.rules...)
			}
			file := kubeconfig{Server: s.url, CA: s.caPEM, User: map[string]any{"token": fmt.Sprintf("token-%d", user)}}.file(t)
			access, err := readonly.Open(readonly.Options{Kubeconfig: file})
			require.NoError(t, err)
			err = access.Prove(t.Context())
			var refused *readonly.Refused
			require.ErrorAs(t, err, &refused)
			assert.Contains(t, strings.Join(refused.Reasons, "\n"), c.says)
			assert.NotContains(t, err.Error(), "\n")
			res, err := access.Client().Get(access.Server().String() + "/api/v1/nodes")
			if err == nil {
				res.Body.Close()
			}
			require.ErrorContains(t, err, "not yet proved")
			asked := s.audited(t, fmt.Sprintf("user-%d", user))
			assert.NotEmpty(t, asked)
			assert.Empty(t, onlyReads(asked))
			for _, request := range asked {
				assert.NotContains(t, request, "/nodes")
			}
		})
	}
}

func TestAUserWithUnknownPermissionsIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ token, says string }{
		"one of system:masters":              {"token-master", "its user is of the group system:masters"},
		"a node":                             {"token-node", "incomplete rules"},
		"one who cannot list the namespaces": {"token-70", "it cannot list namespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			access, err := readonly.Open(readonly.Options{Kubeconfig: kubeconfig{Server: production.url, CA: production.caPEM, User: map[string]any{"token": c.token}}.file(t)})
			require.NoError(t, err)
			var refused *readonly.Refused
			require.ErrorAs(t, access.Prove(t.Context()), &refused)
			assert.Contains(t, strings.Join(refused.Reasons, "\n"), c.says)
		})
	}
	access, err := readonly.Open(readonly.Options{Kubeconfig: kubeconfig{Server: production.url, CA: production.caPEM, User: map[string]any{"token": "nobody's"}}.file(t)})
	require.NoError(t, err)
	require.ErrorContains(t, access.Prove(t.Context()), "its credentials are not accepted")
	stranger := &server{}
	require.NoError(t, stranger.authority())
	access, err = readonly.Open(readonly.Options{Kubeconfig: kubeconfig{Server: production.url, CA: stranger.caPEM, User: map[string]any{"token": "token-0"}}.file(t)})
	require.NoError(t, err)
	require.ErrorContains(t, access.Prove(t.Context()), "certificate signed by unknown authority")
}

func TestAFileThatCouldWriteIsRefusedBeforeAnyPacket(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var packets atomic.Int32
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			packets.Add(1)
			c.Close()
		}
	}()
	t.Cleanup(func() { listener.Close() })
	url := "https://" + listener.Addr().String()
	b64 := base64.StdEncoding.EncodeToString
	certificate := func(groups ...string) map[string]any {
		cert, key, err := production.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "reader", Organization: groups}})
		require.NoError(t, err)
		return map[string]any{"client-certificate-data": b64(cert), "client-key-data": b64(key)}
	}
	ran := filepath.Join(t.TempDir(), "ran")
	for name, c := range map[string]struct {
		config kubeconfig
		says   string
	}{
		"a certificate of system:masters": {kubeconfig{User: certificate("readers", "system:masters")}, "of the group system:masters"},
		"a program for credentials":       {kubeconfig{User: map[string]any{"exec": map[string]any{"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": []string{ran}}}}, "(exec)"},
		"a provider for credentials":      {kubeconfig{User: map[string]any{"auth-provider": map[string]any{"name": "oidc"}}}, "(auth-provider)"},
		"another user":                    {kubeconfig{User: map[string]any{"token": "token-0", "as": "admin"}}, "(as)"},
		"other groups":                    {kubeconfig{User: map[string]any{"token": "token-0", "as-groups": []string{"system:masters"}}}, "(as-groups)"},
		"another user's UID":              {kubeconfig{User: map[string]any{"token": "token-0", "as-uid": "0"}}, "(as-uid)"},
		"another user's extra":            {kubeconfig{User: map[string]any{"token": "token-0", "as-user-extra": map[string]any{"a": []string{"b"}}}}, "(as-user-extra)"},
		"a password":                      {kubeconfig{User: map[string]any{"username": "admin", "password": "x"}}, "password"},
		"an unknown key":                  {kubeconfig{User: map[string]any{"token": "token-0", "magic": "x"}}, `the user has an unknown key "magic"`},
		"no credentials":                  {kubeconfig{User: map[string]any{"token": ""}}, "neither a token nor a client certificate"},
		"an unverified server":            {kubeconfig{User: map[string]any{"token": "token-0"}, Cluster: map[string]any{"insecure-skip-tls-verify": true}}, "accepts any server"},
		"a proxy":                         {kubeconfig{User: map[string]any{"token": "token-0"}, Cluster: map[string]any{"proxy-url": url}}, "(proxy-url)"},
		"no CA":                           {kubeconfig{User: map[string]any{"token": "token-0"}, Cluster: map[string]any{"certificate-authority-data": ""}}, "no certificate-authority"},
		"a server without TLS":            {kubeconfig{User: map[string]any{"token": "token-0"}, Cluster: map[string]any{"server": "http://" + listener.Addr().String()}}, "not https"},
		"a server behind a path":          {kubeconfig{User: map[string]any{"token": "token-0"}, Cluster: map[string]any{"server": url + "/k8s/clusters/c-1"}}, "not https://HOST:PORT"},
		"a server with a password in it":  {kubeconfig{User: map[string]any{"token": "token-0"}, Cluster: map[string]any{"server": strings.Replace(url, "://", "://a:b@", 1)}}, "not https://HOST:PORT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := c.config
			config.Server, config.CA = url, production.caPEM
			_, err := readonly.Open(readonly.Options{Kubeconfig: config.file(t)})
			require.ErrorContains(t, err, c.says)
			assert.NotContains(t, err.Error(), "127.0.0.1")
			assert.Zero(t, packets.Load())
			assert.NoFileExists(t, ran)
		})
	}
}

func TestAKubeconfigThatOnlyReadsPasses(t *testing.T) {
	t.Parallel()
	s := production
	s.namespaces(t, "readers")
	s.bind(t, "honest-view", "", "User:user-71", "ClusterRole", "view")
	s.grant(t, "honest-nodes", "", "User:user-71", rule("core", "nodes persistentvolumes", "get list watch"))
	s.grant(t, "honest-reading", "", "User:user-72", reading()...)
	s.grant(t, "honest-secrets", "", "User:user-73", append(reading(), rule("core", "secrets", "get list watch"))...)
	s.grant(t, "honest-certificate", "", "Group:readers", reading()...)
	s.create(t, "/api/v1/namespaces/readers/serviceaccounts", map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": "parity"}})
	s.grant(t, "honest-account", "", "Group:system:serviceaccounts:readers", append(reading(), rule("core", "pods/log configmaps services", "get list watch"))...)
	code, body, err := s.do(http.MethodPost, "/api/v1/namespaces/readers/serviceaccounts/parity/token", []byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`))
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, code, string(body))
	var token struct{ Status struct{ Token string } }
	require.NoError(t, json.Unmarshal(body, &token))
	cert, key, err := s.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "somebody", Organization: []string{"readers"}}})
	require.NoError(t, err)
	tokenFile := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(tokenFile, []byte("token-72\n"), 0o600))
	for name, c := range map[string]struct {
		user    map[string]any
		secrets bool
	}{
		"view and the nodes":       {user: map[string]any{"token": "token-71"}},
		"what the docs give":       {user: map[string]any{"token": "token-72"}},
		"a token in a file":        {user: map[string]any{"tokenFile": tokenFile}},
		"a service account":        {user: map[string]any{"token": token.Status.Token}},
		"a client certificate":     {user: map[string]any{"client-certificate-data": base64.StdEncoding.EncodeToString(cert), "client-key-data": base64.StdEncoding.EncodeToString(key)}},
		"secrets, as helm_secrets": {user: map[string]any{"token": "token-73"}, secrets: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			access, err := readonly.Open(readonly.Options{Kubeconfig: kubeconfig{Server: s.url, CA: s.caPEM, User: c.user}.file(t), HelmSecrets: c.secrets})
			require.NoError(t, err)
			require.NoError(t, access.Prove(t.Context()))
			ask := func(method, path string) error {
				req, err := http.NewRequestWithContext(t.Context(), method, access.Server().String()+path, strings.NewReader("{}"))
				require.NoError(t, err)
				res, err := access.Client().Do(req)
				if err == nil {
					res.Body.Close()
				}
				return err
			}
			require.NoError(t, ask(http.MethodGet, "/api/v1/nodes"))
			// Whatever the server would allow, nothing else is sent.
			for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead, http.MethodOptions, "CONNECT", "get"} {
				require.ErrorContains(t, ask(method, "/api/v1/namespaces/erp/configmaps"), "not sent", method)
			}
			for _, path := range []string{
				"/api/v1/namespaces/erp/pods/x/exec?command=true", "/api/v1/namespaces/erp/pods/x/%65xec", "/api/v1/nodes/pi1/proxy/run", "/api/v1/secrets",
				"/api/v1/namespaces/erp/secrets/x?fieldSelector=type%3Dhelm.sh%2Frelease.v1", "/api/v1//secrets", "/api/v1/../v1/secrets",
				"/api/v1/secrets?fieldSelector=type%3Dhelm.sh%2Frelease.v1&fieldSelector=",
			} {
				require.ErrorContains(t, ask(http.MethodGet, path), "not sent", path)
			}
			releases := ask(http.MethodGet, "/api/v1/secrets?fieldSelector=type%3Dhelm.sh%2Frelease.v1")
			if c.secrets {
				require.NoError(t, releases)
			} else {
				require.ErrorContains(t, releases, "not sent")
			}
		})
	}
	access, err := readonly.Open(readonly.Options{Kubeconfig: kubeconfig{Server: s.url, CA: s.caPEM, User: map[string]any{"token": "token-73"}}.file(t)})
	require.NoError(t, err)
	require.ErrorContains(t, access.Prove(t.Context()), "it may get secrets", "without helm_secrets")
}

// clusterOf is the boundary in which the server is of one side.
func clusterOf(t *testing.T, side string) boundary.Checker {
	t.Helper()
	file := filepath.Join(t.TempDir(), "boundary.yml")
	text := "production:\n  addresses: [192.0.2.1]\nsandbox:\n  addresses: [198.51.100.0/24]\n"
	switch side {
	case "production":
		text = fmt.Sprintf("production:\n  kube: [{server: '%s'}]\nsandbox:\n  addresses: [198.51.100.0/24]\n", production.url)
	case "production by its UID":
		_, body, err := production.do(http.MethodGet, "/api/v1/namespaces/kube-system", nil)
		require.NoError(t, err)
		var space struct{ Metadata struct{ UID string } }
		require.NoError(t, json.Unmarshal(body, &space))
		text = fmt.Sprintf("production:\n  kube: [{cluster_uid: %s}]\nsandbox:\n  addresses: [198.51.100.0/24]\n  endpoints: ['%s']\n", space.Metadata.UID, strings.TrimPrefix(production.url, "https://"))
	case "sandbox":
		text = fmt.Sprintf("production:\n  addresses: [192.0.2.1]\nsandbox:\n  addresses: [198.51.100.0/24]\n  endpoints: ['%s']\n", strings.TrimPrefix(production.url, "https://"))
	}
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	manifest, err := boundary.Load(file)
	require.NoError(t, err)
	return boundary.Checker{Manifest: manifest}
}

func TestAClusterIsReadOnlyIfTheBoundaryAndTheTaskAllowIt(t *testing.T) {
	t.Parallel()
	s := production
	s.furnish(t)
	s.grant(t, "cluster-reading", "", "User:user-74", reading()...)
	s.grant(t, "cluster-secrets", "", "User:user-75", append(reading(), rule("core", "secrets", "list"))...)
	file := kubeconfig{Server: s.url, CA: s.caPEM, User: map[string]any{"token": "token-74"}}.file(t)
	for side, says := range map[string]string{
		"production":            "the kubeconfig refers to production, and nothing was sent",
		"nobody":                "the kubeconfig is refused before anything is sent",
		"production by its UID": "it is a cluster of production by its UID",
	} {
		_, _, err := capture.ReadCluster(t.Context(), capture.Asked{Kubeconfig: file, Engine: clusterOf(t, side)})
		require.ErrorContains(t, err, says, side)
	}
	_, _, err := capture.ReadCluster(t.Context(), capture.Asked{Kubeconfig: file, Engine: clusterOf(t, "nobody"), Production: true})
	require.ErrorContains(t, err, "is refused before anything is sent", "an unlisted cluster is not production")

	_, warnings, err := capture.ReadCluster(t.Context(), capture.Asked{Kubeconfig: file, Engine: clusterOf(t, "production"), Production: true})
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	assert.Contains(t, warnings[0], "production is read because of read_production")
	found, warnings, err := capture.ReadCluster(t.Context(), capture.Asked{Kubeconfig: file, Engine: clusterOf(t, "sandbox")})
	require.NoError(t, err)
	assert.Empty(t, warnings)

	assert.Equal(t, "v1.34.3+k3s1.embedded", found.Version)
	components := []capture.Component{
		{Name: "longhorn", FoundBy: parity.FoundBy{HelmRelease: &parity.HelmRelease{Namespace: "longhorn-system", Name: "longhorn", VersionOf: parity.OfChart}}},
		{Name: "vault", FoundBy: parity.FoundBy{Image: &parity.Image{Repository: "hashicorp/vault"}}},
		{Name: "argocd", FoundBy: parity.FoundBy{APIGroup: "argoproj.io"}},
	}
	result, err := capture.Capturer{Live: found}.Capture(t.Context(), capture.Options{Applications: "argocd", Components: components})
	require.NoError(t, err)
	require.Empty(t, result.Problems)
	golden, err := os.ReadFile("testdata/cluster.yml")
	require.NoError(t, err)
	assert.Equal(t, string(golden), string(result.Text))
	drifts, _ := parity.Compare(result.Manifest, *found)
	for _, d := range drifts {
		assert.Contains(t, []string{"nodes/pi1/ready", "components/longhorn"}, d.Path, "what has no kubelet and no readable release: %s", d)
	}

	// With Helm's releases, the app's own version is found as well.
	file = kubeconfig{Server: s.url, CA: s.caPEM, User: map[string]any{"token": "token-75"}}.file(t)
	components[0].FoundBy.HelmRelease.VersionOf = parity.OfApp
	found, warnings, err = capture.ReadCluster(t.Context(), capture.Asked{Kubeconfig: file, Engine: clusterOf(t, "sandbox"), HelmSecrets: true, Releases: true})
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	assert.Contains(t, warnings[0], "only Helm's releases are read")
	result, err = capture.Capturer{Live: found}.Capture(t.Context(), capture.Options{Applications: "argocd", Components: components})
	require.NoError(t, err)
	require.Empty(t, result.Problems)
	assert.Contains(t, string(result.Text), "  - name: longhorn\n    version: v1.10.1\n")
	assert.NotContains(t, string(result.Text), "correct-horse")
	for _, user := range []string{"user-74", "user-75"} {
		assert.Empty(t, onlyReads(s.audited(t, user)))
	}

	// What it may not read is an error and never absent.
	s.grant(t, "cluster-half", "", "User:user-76", reading()[:2]...)
	file = kubeconfig{Server: s.url, CA: s.caPEM, User: map[string]any{"token": "token-76"}}.file(t)
	_, _, err = capture.ReadCluster(t.Context(), capture.Asked{Kubeconfig: file, Engine: clusterOf(t, "sandbox")})
	require.ErrorContains(t, err, "403")
	assert.False(t, errors.Is(err, os.ErrNotExist))
}
