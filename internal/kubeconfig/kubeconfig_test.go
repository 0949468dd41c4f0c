// SPDX-License-Identifier: GPL-3.0-or-later

package kubeconfig

import (
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answering is a server that tells what credentials came, and a kubeconfig that leads there.
func answering(t *testing.T) (server *httptest.Server, config string) {
	t.Helper()
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.Header.Get("Authorization")))
	}))
	t.Cleanup(server.Close)
	ca := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return server, `apiVersion: v1
kind: Config
clusters:
- name: c
  cluster:
    server: ` + server.URL + `
    certificate-authority-data: ` + ca + `
users:
- name: u
  user:
    token: abc
contexts:
- name: x
  context: {cluster: c, user: u}
current-context: x
`
}

func TestRequestsGoToTheServerWithTheCredentialsOfTheFile(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	server, text := answering(t)
	access, err := parse([]byte(text), "", "")
	require.NoError(t, err)
	assert.Equal(t, server.URL, access.Server.String())
	assert.Len(t, access.CASHA256(), 1)
	assert.Empty(t, access.Groups)
	transport, err := access.Transport(func() string { return "" })
	require.NoError(t, err)
	response, err := (&http.Client{Transport: transport}).Get(access.Server.String())
	require.NoError(t, err)
	defer response.Body.Close()
	said := make([]byte, 20)
	n, _ := response.Body.Read(said)
	assert.Equal(t, "Bearer abc", string(said[:n]))
}

func TestTheAddressIsRequestedForEachConnection(t *testing.T) {
	t.Parallel()
	server, text := answering(t)
	// The certificate of httptest is for this name, which leads elsewhere.
	text = strings.Replace(text, "https://127.0.0.1", "https://example.com", 1)
	access, err := parse([]byte(text), "", "")
	require.NoError(t, err)
	to := "127.0.0.1"
	transport, err := access.Transport(func() string { return to })
	require.NoError(t, err)
	client := &http.Client{Transport: transport}
	response, err := client.Get(access.Server.String())
	require.NoError(t, err)
	response.Body.Close()
	server.CloseClientConnections()
	client.CloseIdleConnections()
	to = "127.0.0.2" // where the server does not listen
	_, err = client.Get(access.Server.String())
	require.ErrorContains(t, err, "127.0.0.2")
}

func TestWhatIsNotPlainIsRefused(t *testing.T) {
	t.Parallel()
	_, text := answering(t)
	for name, c := range map[string]struct{ old, new, says string }{
		"credentials out of a program":               {"token: abc", "exec: {command: sh}", "it runs a program for its credentials (exec)"},
		"credentials out of a plugin":                {"token: abc", "auth-provider: {name: oidc}", "it asks a provider"},
		"a program beside a token":                   {"token: abc", "token: abc\n    exec: {command: sh}", "(exec)"},
		"acting as another":                          {"token: abc", "token: abc\n    as: admin", "it acts as another user (as)"},
		"acting for other groups":                    {"token: abc", "token: abc\n    as-groups: [system:masters]", "(as-groups)"},
		"a password":                                 {"token: abc", "username: a\n    password: b", "it logs in with a password"},
		"no credentials":                             {"token: abc", "token: ''", "neither a token nor a client certificate"},
		"a token that would add a header":            {"token: abc", `token: "a\r\nX: b"`, "token: contains whitespace"},
		"half a client certificate":                  {"token: abc", "client-certificate-data: YWJj", "do not fit together"},
		"an unknown field":                           {"token: abc", "token: abc\n    impersonate: x", `the user has an unknown key "impersonate"`},
		"a proxy":                                    {"    server:", "    proxy-url: http://127.0.0.1:1\n    server:", "it goes through a proxy"},
		"a server whose certificate is not verified": {"    server:", "    insecure-skip-tls-verify: true\n    server:", "it accepts any server"},
		"no encryption":                              {"server: https", "server: http", "its server is not https://HOST:PORT"},
		"compression that is off":                    {"    certificate-authority-data", "    disable-compression: true\n    certificate-authority-data", ""},
		"a password in the server":                   {"https://127", "https://a:b@127", "its server is not"},
		"no CA":                                      {"    certificate-authority-data", "    extensions", "it has no certificate-authority"},
		"a CA that is not base64":                    {"certificate-authority-data: ", "certificate-authority-data: '*'\n    extensions: ", "its certificate-authority-data is not base64"},
		"a CA that is none":                          {"certificate-authority-data: ", "certificate-authority-data: YWJj\n    extensions: ", "it has no certificate-authority"},
		"a CA in a file that is not there":           {"certificate-authority-data: ", "certificate-authority: none\n    extensions: ", "no such file"},
		"a key that stands twice":                    {"token: abc", "token: abc\n    token: def", `the user has "token" twice`},
		"two clusters of one name":                   {"users:", "- name: c\n  cluster: {server: 'https://192.0.2.1'}\nusers:", `2 entries for the cluster "c"`},
		"two contexts of one name":                   {"current-context: x", "- name: x\n  context: {cluster: d, user: u}\ncurrent-context: x", `2 entries for the context "x"`},
		"a context that is not there":                {"current-context: x", "current-context: y", `0 entries for the context "y"`},
		"no context":                                 {"current-context: x", "", `0 entries for the context ""`},
		"another kind":                               {"kind: Config", "kind: Secret", "it is not a kubeconfig"},
		"something that is no YAML":                  {"apiVersion", "{", "it is not a kubeconfig that can be read"},
		"a token in a file that is missing":          {"token: abc", "tokenFile: none", "reading tokenFile"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, text, c.old)
			_, err := parse([]byte(strings.Replace(text, c.old, c.new, 1)), t.TempDir(), "")
			if c.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.says)
			assert.NotContains(t, err.Error(), "\n")
			assert.NotContains(t, err.Error(), "abc", "nothing of the file is repeated")
		})
	}
}

func TestFilesThatItNamesAreFoundBesideIt(t *testing.T) {
	t.Parallel()
	_, text := answering(t)
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "token"), []byte("def\n"), 0o600))
	path := filepath.Join(folder, "config")
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(text, "token: abc", "tokenFile: token", 1)), 0o600))
	access, err := Read(path, "x")
	require.NoError(t, err)
	assert.Equal(t, "def", access.config.BearerToken)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("kind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: https://h}}]\nusers: [{name: u, user: {token: t}}]\n"))
	f.Add([]byte("kind: Config\nclusters: &a [*a]\n"))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		access, err := parse(data, t.TempDir(), "")
		if err == nil {
			assert.Equal(t, "https", access.Server.Scheme)
			assert.NotEmpty(t, access.CASHA256())
		}
	})
}
