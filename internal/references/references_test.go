// SPDX-License-Identifier: GPL-3.0-or-later

package references

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/run"
)

// secret stands wherever a file or a variable may hold one; no finding may repeat it.
const secret = "hush-8d1f"

// prodCA is the SHA-256 of "abc", which stands in for a certificate.
const prodCA = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

func pemOf(text string) string {
	return "-----BEGIN CERTIFICATE-----\n" + base64.StdEncoding.EncodeToString([]byte(text)) + "\n-----END CERTIFICATE-----\n"
}

const manifestText = `production:
  addresses: [192.0.2.1-192.0.2.9]
  names: ["*.prod.test"]
  kube: [{ca_sha256: ` + prodCA + `}]
  git: [forge.test/prod/*]
  ssh_host_keys: ["SHA256:kmYcvdi2GkPeWxB6XLjrZB8JHsy2Hm8luHMFp9GMvqk"]
  tofu_state: [{backend: gcs, locations: ["prod-tf/*"]}, {backend: http, locations: ["http://198.51.100.11/state?ws=prod"]}]
sandbox:
  addresses: [127.0.0.0/8, 198.51.100.0/24]
  git: [public.test/sandbox/*]
  environment: [AWS_PROFILE]
  tofu_providers: [cloudflare]
  tofu_state: [{backend: gcs, locations: ["sandbox-tf/*"]}, {backend: s3, locations: ["sandbox-tf/*"]}, {backend: local, locations: [sandbox-state/*]}, {backend: http, locations: ["http://198.51.100.11/state?ws=sandbox"]}]
  vault: [{key_files: [sandbox-keys.json]}]
`

type names map[string]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if address, ok := n[host]; ok {
		return []netip.Addr{netip.MustParseAddr(address)}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

var dns = names{
	"node.test": "198.51.100.11", "forge.test": "198.51.100.12", "public.test": "203.0.113.1", "hidden.test": "192.0.2.2", "other.test": "203.0.113.9",
}

// tree writes files into a directory of its own.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(content, "SECRET", secret)), 0o600))
	}
	return root
}

// decisions reads the sources and says of each finding what became of it, with root for the directory's path.
func decisions(t *testing.T, root string, reader Reader, sources Sources) []string {
	t.Helper()
	m, err := boundary.Parse(filepath.Join(root, "boundary.yml"), []byte(manifestText))
	require.NoError(t, err)
	checker := boundary.Checker{Manifest: m, Resolver: dns}
	var out []string
	for _, f := range Decide(t.Context(), checker, reader.Read(t.Context(), sources)) {
		d := f.Decision
		require.NotEmpty(t, d.From, "%+v", f.Finding)
		for _, text := range []string{d.Target, d.From, d.Reason, d.Canonical, d.String(), d.Explain()} {
			require.NotContains(t, text, secret)
		}
		word := "allowed"
		if !d.Allowed {
			word = "refused"
		}
		line := fmt.Sprintf("%s %s %s: %s (%s)", word, d.Kind, d.Target, d.Reason, d.From)
		out = append(out, strings.ReplaceAll(line, root, "ROOT"))
	}
	return out
}

// same wants each line of found to contain the wanted one at its place.
func same(t *testing.T, wanted, found []string) {
	t.Helper()
	if !assert.Len(t, found, len(wanted), "%s", strings.Join(found, "\n")) {
		return
	}
	for i := range wanted {
		assert.Contains(t, found[i], wanted[i])
	}
}

func config(clusters string) string {
	return "apiVersion: v1\nkind: Config\nclusters:\n" + clusters + "users: [{name: u, user: {token: SECRET, client-key-data: SECRET}}]\n"
}

func TestEveryClusterOfAKubeconfigIsChecked(t *testing.T) {
	t.Parallel()
	data := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(pemOf(text))) }
	for name, c := range map[string]struct {
		text   string
		wanted []string
	}{
		"a cluster of the sandbox": {config("- {name: a, cluster: {server: 'https://127.0.0.1:6443', certificate-authority-data: " + data("x") + "}}\n"),
			[]string{"allowed kube https://127.0.0.1:6443: it is sandbox (ROOT/config:4)"}},
		"production behind a forward is known by its CA": {config("- {name: a, cluster: {server: 'https://127.0.0.1:6443', certificate-authority-data: " + data("abc") + "}}\n"),
			[]string{"refused kube https://127.0.0.1:6443: its CA is that of a cluster of production"}},
		"production's CA among others": {config("- {name: a, cluster: {server: 'https://127.0.0.1:6443', certificate-authority: two.pem}}\n"),
			[]string{"allowed kube", "refused kube https://127.0.0.1:6443: its CA"}},
		"a cluster that is not the current one": {config("- {name: a, cluster: {server: 'https://127.0.0.1:6443'}}\n- {name: b, cluster: {server: 'https://192.0.2.1:6443'}}\ncurrent-context: a\n"),
			[]string{"allowed kube", "refused kube https://192.0.2.1:6443: it resolves to 192.0.2.1, which is production (ROOT/config:5)"}},
		"a proxy of production": {config("- {name: a, cluster: {server: 'https://127.0.0.1:6443', proxy-url: 'socks5://u:SECRET@192.0.2.1:1080'}}\n"),
			[]string{"refused endpoint socks5://u:***@192.0.2.1:1080", "allowed kube"}},
		"a cluster whose certificate is not verified": {config("- name: a\n  cluster:\n    server: https://127.0.0.1:6443\n    insecure-skip-tls-verify: true\n"),
			[]string{"refused external_reference cluster a: insecure-skip-tls-verify accepts any server; give the cluster's CA (ROOT/config:7)", "allowed kube"}},
		"a CA that is not there": {config("- {name: a, cluster: {server: 'https://127.0.0.1:6443', certificate-authority: none.pem}}\n"),
			[]string{"refused external_reference cluster a: its CA cannot be read (no such file or directory)", "allowed kube"}},
		"a CA that is none":   {config("- {name: a, cluster: {server: 'https://127.0.0.1:6443', certificate-authority-data: U0VDUkVU}}\n"), []string{"it holds no certificate", "allowed"}},
		"a server in octal":   {config("- {name: a, cluster: {server: 'https://0300.0.02.1:6443'}}\n"), []string{"it resolves to 192.0.2.1, which is production"}},
		"no server":           {config("- {name: a, cluster: {}}\n"), []string{"it has no server"}},
		"no cluster":          {"kind: Config\n", []string{"it has no cluster"}},
		"no way to fall back": {"kind: Config\ncurrent-context: nowhere\n", nil},
		"a context without its cluster": {config("- {name: a, cluster: {server: 'https://127.0.0.1'}}\ncontexts: [{name: x, context: {cluster: b}}]\n"),
			[]string{"allowed", "refused external_reference context x: its cluster is in another file"}},
		"a program that gives the key": {"kind: Config\nclusters: [{name: a, cluster: {server: 'https://127.0.0.1:6443'}}]\nusers: [{name: u, user: {exec: {command: ssh, args: [SECRET]}}}, {name: v, user: {auth-provider: {name: oidc}}}]\n",
			[]string{"allowed kube", "refused external_reference user u: its exec runs a program", "refused external_reference user v: its auth-provider runs a program"}},
		"production by the name it answers to": {config("- {name: a, cluster: {server: 'https://127.0.0.1:6443', tls-server-name: api.prod.test}}\n"),
			[]string{"refused host api.prod.test: its name is production", "allowed kube"}},
		"another name to answer to": {config("- {name: a, cluster: {server: 'https://127.0.0.1:6443', tls-server-name: kubernetes}}\n"), []string{"allowed host kubernetes", "allowed kube"}},
		"a key in disguise":         {config("- {name: a, cluster: {server: 'https://127.0.0.1', !!binary c2VydmVy: 'https://192.0.2.1'}}\n"), []string{"line 4 has a key for the second time, a merge, or an encoded key"}},
		"a key given twice":         {config("- {name: a, cluster: {server: 'https://127.0.0.1', server: 'https://192.0.2.1'}}\n"), []string{"line 4 has a key for the second time"}},
		"an alias":                  {"kind: Config\nclusters: &c []\nx: *c\n", []string{"an anchor or an alias"}},
		"not YAML":                  {"kind: [SECRET\n", []string{"it is not YAML"}},
		"two documents":             {"kind: Config\n---\nkind: Config\n", []string{"one document"}},
		"nothing":                   {"", []string{"one document"}},
		"something else":            {"kind: Secret\n", []string{"it is not a kubeconfig"}},
		"JSON is YAML, too":         {`{"kind": "Config", "clusters": [{"name": "a", "cluster": {"server": "https://192.0.2.1:6443"}}]}`, []string{"refused kube"}},
		"a name of old days":        {config("- {name: a, cluster: {server: node.test}}\n"), []string{"allowed kube node.test"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, map[string]string{"config": c.text, "two.pem": pemOf("x") + pemOf("abc")})
			same(t, c.wanted, decisions(t, root, Reader{}, Sources{Kubeconfigs: []string{filepath.Join(root, "config")}}))
		})
	}
	same(t, []string{"it cannot be read (no such file or directory)"}, decisions(t, t.TempDir(), Reader{}, Sources{Kubeconfigs: []string{"/nonexistent/none/config"}}))
	same(t, []string{"not a regular file"}, decisions(t, t.TempDir(), Reader{}, Sources{Kubeconfigs: []string{"/dev/null"}}))
}

func TestTheEnvironmentIsChecked(t *testing.T) {
	t.Parallel()
	root := tree(t, map[string]string{
		"sandbox":           config("- {name: a, cluster: {server: 'https://127.0.0.1:6443'}}\n"),
		"prod":              config("- {name: a, cluster: {server: 'https://192.0.2.1:6443'}}\n"),
		"home/.kube/config": config("- {name: a, cluster: {server: 'https://192.0.2.2:6443'}}\n"), "home/.pgpass": "SECRET",
	})
	for environment, wanted := range map[string][]string{
		"":                              nil,
		"PATH=/bin LANG=C.UTF-8 HOME=/": nil,
		"KUBECONFIG=ROOT/sandbox":       {"allowed kube https://127.0.0.1:6443: it is sandbox (ROOT/sandbox:4 (environment variable KUBECONFIG))"},
		"KUBECONFIG=ROOT/none:ROOT/sandbox:ROOT/prod:":     {"allowed", "refused kube https://192.0.2.1:6443"},
		"KUBECONFIG=ROOT/none":                             {"none of its files exists"},
		"VAULT_ADDR=https://vault.prod.test":               {"refused vault https://vault.prod.test: its name is production (environment variable VAULT_ADDR)"},
		"VAULT_ADDR=http://127.0.0.1:8200":                 {"allowed vault"},
		"VAULT_AGENT_ADDR=http://192.0.2.1:8100":           {"refused vault"},
		"BAO_ADDR=https://192.0.2.1:8200 BAO_TOKEN=SECRET": {"refused vault", "refused environment BAO_TOKEN"},
		"K8S_AUTH_HOST=https://192.0.2.1:6443":             {"refused environment K8S_AUTH_HOST"},
		"PGDATABASE=host=192.0.2.1":                        {"refused database 192.0.2.1"},
		"PGDATABASE=erp":                                   nil,
		"VAULT_PROXY_ADDR=unix:///run/vault.sock":          {"refused vault"},
		"VAULT_ADDR=":        nil,
		"VAULT_TOKEN=SECRET": {"refused environment VAULT_TOKEN: it is a credential or connection setting that the boundary manifest does not list"},
		"PGHOST=192.0.2.1":   {"refused database 192.0.2.1: it resolves to 192.0.2.1, which is production"},
		"PGHOST=node.test":   {"allowed database node.test"},
		"PGHOST=node.test,192.0.2.1 PGPORT=5432,5433":  {"refused database node.test:5432,192.0.2.1:5433: one of its hosts, 192.0.2.1, is not allowed"},
		"PGHOSTADDR=192.0.2.1":                         {"refused database"},
		"PGHOST=/run/postgresql":                       {"refused database a database: it is a socket"},
		"PGSERVICE=prod":                               {"refused environment PGSERVICE"},
		"PGPASSWORD=SECRET":                            {"refused environment PGPASSWORD"},
		"PGSERVICEFILE=x":                              {"refused environment PGSERVICEFILE"},
		"DATABASE_URL=postgres://u:SECRET@192.0.2.1/d": {"refused database 192.0.2.1:5432"},
		"ERP_DATABASE_URL=postgres://u:SECRET@node.test/d?host=192.0.2.1": {"refused database node.test:5432,192.0.2.1"},
		"DATABASE_URL=SECRET":                                     {"refused external_reference DATABASE_URL: it is neither a URL nor a DSN"},
		"DOCKER_HOST=unix:///var/run/docker.sock":                 nil,
		"DOCKER_HOST=unix:///tmp/forwarded.sock":                  {"the process behind it is unknown"},
		"DOCKER_HOST=ssh://pi@192.0.2.1":                          {"refused host ssh://pi@192.0.2.1"},
		"DOCKER_HOST=tcp://192.0.2.1:2375":                        {"refused endpoint"},
		"DOCKER_CONTEXT=prod":                                     {"refused environment"},
		"TF_CLI_ARGS=-backend-config=SECRET":                      {"refused environment TF_CLI_ARGS"},
		"TF_CLI_ARGS_init=x TF_VAR_password=SECRET":               {"refused environment TF_CLI_ARGS_init", "refused environment TF_VAR_password"},
		"TF_LOG=debug TF_IN_AUTOMATION=1":                         nil,
		"AWS_S_ACCESS_KEY=SECRET":                                 {"refused environment AWS_S_ACCESS_KEY"},
		"AWS_PROFILE=sandbox AWS_REGION=x":                        {"allowed environment AWS_PROFILE: it is sandbox"},
		"AWS_ENDPOINT_URL_S3=http://192.0.2.1:9000":               {"refused environment AWS_ENDPOINT_URL_S3", "refused endpoint http://192.0.2.1:9000"},
		"GOOGLE_APPLICATION_CREDENTIALS=/x":                       {"refused environment"},
		"CLOUDFLARE_API_TOKEN=SECRET":                             {"refused environment"},
		"OVH_APPLICATION_S=SECRET":                                {"refused environment"},
		"https_proxy=192.0.2.1:3128":                              {"refused endpoint http://192.0.2.1:3128"},
		"ALL_PROXY=socks5h://u:SECRET@192.0.2.1":                  {"refused endpoint socks5h://u:***@192.0.2.1"},
		"HTTP_PROXY=http://127.0.0.1:3128":                        {"allowed endpoint"},
		"no_proxy=192.0.2.1":                                      {"refused external_reference no_proxy: its value mentions production (environment variable no_proxy)"},
		"NOTIFY=https://u:SECRET@192.0.2.1/hook":                  {"refused external_reference NOTIFY: its value mentions production (environment variable NOTIFY)"},
		"NOTIFY=0300.0.02.1,x.prod.test":                          {"refused external_reference NOTIFY"},
		"NOTIFY=https://node.test/SECRET":                         nil,
		"PGUSER=db.prod.test TF_LOG_PATH=/x/192.0.2.1":            {"refused external_reference PGUSER", "refused external_reference TF_LOG_PATH"},
		"AWS_PROFILE=x@192.0.2.1":                                 {"allowed environment AWS_PROFILE", "refused external_reference AWS_PROFILE: its value mentions production"},
		"EMAIL=me@mail.prod.test PWD=/192.0.2.1":                  nil,
		"DOCKER_CONTEXT=default":                                  nil,
		"GIT_SSH_COMMAND=ssh":                                     {"refused environment"},
		"GIT_CONFIG_COUNT=1":                                      {"refused environment"},
		"SSH_AUTH_SOCK=/run/agent":                                {"refused environment"},
		"ANSIBLE_SSH_EXECUTABLE=/usr/bin/ssh":                     {"refused environment"},
		"ANSIBLE_SSH_ARGS=x ANSIBLE_CONFIG=/x":                    {"refused environment ANSIBLE_SSH_ARGS", "refused environment ANSIBLE_CONFIG"},
		"ANSIBLE_SSH_PIPELINING=1 ANSIBLE_NOCOLOR=1":              nil,
		"ANSIBLE_CONNECTION_PLUGINS=/x":                           {"refused environment"},
		"VAULT_ADDR=http://127.0.0.1 VAULT_ADDR=http://192.0.2.1": {"refused vault http://192.0.2.1"},
	} {
		t.Run(environment, func(t *testing.T) {
			t.Parallel()
			text := strings.NewReplacer("ROOT", root, "SECRET", secret).Replace(environment)
			same(t, wanted, decisions(t, root, Reader{Environ: strings.Fields(text)}, Sources{Environment: true}))
		})
	}
	home := filepath.Join(root, "home")
	same(t, []string{"refused kube https://192.0.2.2:6443", "refused environment PGPASSFILE"}, decisions(t, root, Reader{Home: home}, Sources{Environment: true}))
	same(t, []string{"refused environment PGPASSFILE", "allowed kube"}, decisions(t, root, Reader{Home: home, Environ: []string{"KUBECONFIG=" + filepath.Join(root, "sandbox")}}, Sources{Environment: true}))
}

func TestATofuRootIsCheckedByItsStateAndItsProviders(t *testing.T) {
	t.Parallel()
	const gcs = "terraform {\n  backend \"gcs\" {\n    bucket = \"sandbox-tf\"\n    prefix = \"erp/main\"\n  }\n}\n"
	ok := "allowed tofu_state gcs:sandbox-tf/erp/main: it is sandbox (ROOT/m/main.tf:2)"
	for name, c := range map[string]struct {
		files  map[string]string
		wanted []string
	}{
		"a state of the sandbox":                      {map[string]string{"main.tf": gcs}, []string{ok}},
		"a state of production":                       {map[string]string{"main.tf": strings.Replace(gcs, "sandbox-tf", "prod-tf", 1)}, []string{"refused tofu_state gcs:prod-tf/erp/main: it is a state of production"}},
		"a state that is not known":                   {map[string]string{"main.tf": strings.Replace(gcs, "sandbox-tf", "x", 1)}, []string{"refused tofu_state gcs:x/erp/main"}},
		"no backend is a local state":                 {map[string]string{"main.tf": ""}, []string{"refused tofu_state local:ROOT/m/terraform.tfstate"}},
		"a local state of the sandbox":                {map[string]string{"main.tf": "terraform {\n backend \"local\" {\n path = \"../sandbox-state/x\"\n }\n}\n"}, []string{"allowed tofu_state local:ROOT/sandbox-state/x"}},
		"a partial backend":                           {map[string]string{"main.tf": "terraform {\n backend \"gcs\" {}\n}\n"}, []string{"it has no bucket, so the command line or the environment decides"}},
		"a partial backend with its file":             {map[string]string{"main.tf": "terraform {\n backend \"gcs\" {}\n}\n", "sandbox.tfbackend": "bucket = \"sandbox-tf\"\nprefix = \"a\"\n"}, []string{"allowed tofu_state gcs:sandbox-tf/a"}},
		"a file that overrides the backend":           {map[string]string{"main.tf": gcs, "sandbox.tfbackend": "bucket = \"prod-tf\"\n"}, []string{"refused tofu_state gcs:prod-tf/erp/main"}},
		"what init wrote down":                        {map[string]string{"main.tf": gcs, ".terraform/terraform.tfstate": `{"version": 3, "backend": {"type": "gcs", "config": {"bucket": "prod-tf", "prefix": "x", "credentials": "SECRET", "encryption_key": null}}}`}, []string{ok, "refused tofu_state gcs:prod-tf/x: it is a state of production (ROOT/m/.terraform/terraform.tfstate)"}},
		"what init wrote down is broken":              {map[string]string{"main.tf": gcs, ".terraform/terraform.tfstate": `{"SECRET`}, []string{ok, "it is not what `tofu init` writes"}},
		"a cloud block":                               {map[string]string{"main.tf": "terraform {\n cloud {\n organization = \"x\"\n }\n}\n"}, []string{"refused tofu_state remote:app.terraform.io/x"}},
		"JSON":                                        {map[string]string{"main.tf.json": `{"terraform": [{"backend": {"gcs": {"bucket": "prod-tf", "prefix": "p"}}}], "provider": {"postgresql": {"host": "192.0.2.1"}}}`}, []string{"refused tofu_state gcs:prod-tf/p", "refused database 192.0.2.1"}},
		"OpenTofu's own ending":                       {map[string]string{"main.tofu": strings.Replace(gcs, "sandbox-tf", "prod-tf", 1)}, []string{"refused tofu_state gcs:prod-tf/erp/main"}},
		"S3 with an endpoint of production":           {map[string]string{"main.tf": "terraform {\n backend \"s3\" {\n bucket = \"sandbox-tf\"\n key = \"k\"\n secret_key = \"SECRET\"\n endpoints = { s3 = \"https://192.0.2.1:9000\" }\n }\n}\n"}, []string{"refused endpoint https://192.0.2.1:9000", "allowed tofu_state s3:sandbox-tf/k"}},
		"a state over HTTP":                           {map[string]string{"main.tf": "terraform {\n backend \"http\" {\n address = \"https://u:SECRET@vault.prod.test/s?t=SECRET\"\n }\n}\n"}, []string{"refused endpoint https://u:***@vault.prod.test/s?***: its name", "refused tofu_state http:https://vault.prod.test/s"}},
		"a state by its query":                        {map[string]string{"main.tf": "terraform {\n backend \"http\" {\n address = \"http://u:SECRET@198.51.100.11/state?ws=sandbox\"\n }\n}\n"}, []string{"allowed endpoint", "allowed tofu_state http:http://198.51.100.11/state?***"}},
		"another state by its query":                  {map[string]string{"main.tf": "terraform {\n backend \"http\" {\n address = \"http://u:SECRET@198.51.100.11/state?ws=prod\"\n }\n}\n"}, []string{"allowed endpoint", "refused tofu_state http:http://198.51.100.11/state?***: it is a state of production"}},
		"a state by its query, without a path":        {map[string]string{"main.tf": "terraform {\n backend \"http\" {\n address = \"http://u:SECRET@198.51.100.11?ws=prod\"\n }\n}\n"}, []string{"allowed endpoint", "refused tofu_state http:http://198.51.100.11/?***: it is a state that"}},
		"a state in PostgreSQL":                       {map[string]string{"main.tf": "terraform {\n backend \"pg\" {\n conn_str = \"postgres://u:SECRET@192.0.2.1/s\"\n }\n}\n"}, []string{"refused database 192.0.2.1:5432"}},
		"a backend that is not known":                 {map[string]string{"main.tf": "terraform {\n backend \"swift\" {}\n}\n"}, []string{"its type is unknown"}},
		"a provider by a variable's default":          {map[string]string{"main.tf": gcs + "variable \"h\" {\n default = \"192.0.2.1\"\n}\nprovider \"postgresql\" {\n host = var.h\n port = 5432\n password = \"SECRET\"\n}\n"}, []string{ok, "refused database 192.0.2.1:5432"}},
		"a provider by terraform.tfvars":              {map[string]string{"main.tf": gcs + "variable \"h\" {\n default = \"node.test\"\n}\nprovider \"postgresql\" {\n host = var.h\n}\n", "terraform.tfvars": "h = \"192.0.2.1\"\n"}, []string{ok, "refused database 192.0.2.1"}},
		"a provider by a file of values":              {map[string]string{"main.tf": gcs + "variable \"h\" {}\nprovider \"postgresql\" {\n host = var.h\n}\n", "terraform.tfvars": "h = \"192.0.2.1\"\n", "given.tfvars": "h = \"node.test\"\n"}, []string{ok, "allowed database node.test"}},
		"a provider by the environment":               {map[string]string{"main.tf": gcs + "variable \"env\" {}\nprovider \"postgresql\" {\n host = var.env\n}\n"}, []string{ok, "refused database 192.0.2.1"}},
		"a provider by locals":                        {map[string]string{"main.tf": gcs + "locals {\n a = \"192.0.2\"\n b = \"${local.a}.1\"\n}\nprovider \"vault\" {\n address = \"https://${local.b}:8200\"\n token = \"SECRET\"\n}\n"}, []string{ok, "refused vault https://192.0.2.1:8200"}},
		"a value not known before apply":              {map[string]string{"main.tf": gcs + "provider \"vault\" {\n address = data.x.y.z\n}\n"}, []string{ok, "refused external_reference provider vault: its address cannot be known before it runs (ROOT/m/main.tf:7)"}},
		"a value by a function":                       {map[string]string{"main.tf": gcs + "provider \"vault\" {\n address = format(\"http://%s\", \"192.0.2.1\")\n}\n"}, []string{ok, "its address cannot be known"}},
		"a variable without value":                    {map[string]string{"main.tf": gcs + "variable \"h\" {}\nprovider \"postgresql\" {\n host = var.h\n}\n"}, []string{ok, "its host cannot be known"}},
		"a provider without host":                     {map[string]string{"main.tf": gcs + "provider \"postgresql\" {}\n"}, []string{ok, "it has no host, so the environment decides"}},
		"a cluster by its CA":                         {map[string]string{"main.tf": gcs + "provider \"kubernetes\" {\n host = \"https://127.0.0.1:6443\"\n cluster_ca_certificate = <<E\n" + pemOf("abc") + "E\n}\n"}, []string{ok, "refused kube https://127.0.0.1:6443: its CA is that of a cluster of production"}},
		"a cluster by a kubeconfig":                   {map[string]string{"main.tf": gcs + "provider \"helm\" {\n kubernetes {\n config_path = \"kc\"\n }\n}\n", "kc": config("- {name: a, cluster: {server: 'https://192.0.2.1'}}\n")}, []string{ok, "refused kube https://192.0.2.1: it resolves to 192.0.2.1, which is production (ROOT/m/kc:4)"}},
		"a cluster of Helm as an object":              {map[string]string{"main.tf": gcs + "provider \"helm\" {\n kubernetes = {\n host = \"https://192.0.2.1\"\n }\n}\n"}, []string{ok, "refused kube"}},
		"a cluster by the environment":                {map[string]string{"main.tf": gcs + "provider \"kubernetes\" {}\n"}, []string{ok, "it has neither host nor config_path"}},
		"a cluster whose certificate is not verified": {map[string]string{"main.tf": gcs + "provider \"kubernetes\" {\n host = \"https://127.0.0.1\"\n insecure = true\n}\n"}, []string{ok, "insecure accepts any server", "allowed kube"}},
		"a forge of production":                       {map[string]string{"main.tf": gcs + "provider \"gitea\" {\n base_url = \"https://gitea.prod.test\"\n}\n"}, []string{ok, "refused endpoint https://gitea.prod.test: its name is production"}},
		"a cloud that is allowed":                     {map[string]string{"main.tf": gcs + "provider \"cloudflare\" {\n api_token = \"SECRET\"\n}\n"}, []string{ok, "allowed tofu_provider cloudflare"}},
		"a cloud that is not":                         {map[string]string{"main.tf": gcs + "provider \"ovh\" {\n application_secret = \"SECRET\"\n}\n"}, []string{ok, "refused tofu_provider ovh"}},
		"a provider that leads nowhere":               {map[string]string{"main.tf": gcs + "provider \"random\" {}\n"}, []string{ok}},
		"a remote state of production":                {map[string]string{"main.tf": gcs + "data \"terraform_remote_state\" \"p\" {\n backend = \"gcs\"\n config = {\n bucket = \"prod-tf\"\n prefix = \"x\"\n }\n}\n"}, []string{ok, "refused tofu_state gcs:prod-tf/x"}},
		"a provider in a module beside":               {map[string]string{"main.tf": gcs + "module \"x\" {\n source = \"./sub\"\n}\n", "sub/main.tf": "provider \"vault\" {}\n"}, []string{ok, "it is in a module, where its values are unknown"}},
		"a module from production's forge":            {map[string]string{"main.tf": gcs + "module \"x\" {\n source = \"git::ssh://git@forge.test/prod/m.git?ref=v1\"\n}\n"}, []string{ok, "refused git ssh://git@forge.test/prod/m.git: it is a repository of production"}},
		"a file that cannot be parsed":                {map[string]string{"main.tf": gcs, "x.tf": "provider {{ SECRET\n"}, []string{"refused external_reference OpenTofu file: it cannot be read"}},
		"a file of values that is broken":             {map[string]string{"main.tf": gcs, "terraform.tfvars": "h = \"SECRET\n"}, []string{"refused external_reference OpenTofu file: it cannot be read", ok}},
		"an override file":                            {map[string]string{"main.tf": gcs, "override.tf": "terraform {\n backend \"gcs\" {\n bucket = \"prod-tf\"\n prefix = \"x\"\n }\n}\n"}, []string{ok, "refused tofu_state gcs:prod-tf/x"}},
		"a directory without configuration":           {map[string]string{"readme": ""}, []string{"it holds no configuration"}},
		"a provider that is dynamic in Tofu":          {map[string]string{"main.tf": gcs + "provider \"postgresql\" {\n for_each = toset([\"192.0.2.1\"])\n alias = \"x\"\n host = each.value\n}\n"}, []string{ok, "its host cannot be known"}},
		"a provider through a bastion":                {map[string]string{"main.tf": gcs + "provider \"postgresql\" {\n host = \"node.test\"\n jumphost = \"192.0.2.1\"\n}\n"}, []string{ok, "allowed database", "refused host 192.0.2.1"}},
		"a container engine elsewhere":                {map[string]string{"main.tf": gcs + "provider \"docker\" {\n host = \"ssh://pi@192.0.2.1\"\n}\n"}, []string{ok, "refused host"}},
		"places in several blocks":                    {map[string]string{"main.tf": gcs + "provider \"aws\" {\n endpoints {\n s3 = \"http://127.0.0.1:9000\"\n }\n endpoints {\n sts = \"http://192.0.2.1:9000\"\n }\n}\n"}, []string{ok, "allowed endpoint", "refused endpoint http://192.0.2.1:9000", "refused tofu_provider aws"}},
		"a cloud by one of its endpoints":             {map[string]string{"main.tf": gcs + "provider \"aws\" {\n endpoints {\n s3 = \"http://127.0.0.1:9000\"\n }\n}\n"}, []string{ok, "allowed endpoint", "refused tofu_provider aws"}},
		"a cloud by an endpoint, but listed":          {map[string]string{"main.tf": gcs + "provider \"cloudflare\" {\n base_url = \"http://127.0.0.1:9000\"\n}\n"}, []string{ok, "allowed endpoint", "allowed tofu_provider cloudflare"}},
		"a cloud in capitals":                         {map[string]string{"main.tf": gcs + "provider \"Google\" {\n storage_custom_endpoint = \"http://127.0.0.1:4443\"\n}\n"}, []string{ok, "allowed endpoint", "refused tofu_provider google"}},
		"a kind that is no word":                      {map[string]string{"main.tf": gcs + "provider \"\uff41ws\" {\n endpoint = \"http://127.0.0.1:4443\"\n}\n"}, []string{ok, "allowed endpoint", "refused tofu_provider"}},
		"a source of data under one place":            {map[string]string{"main.tf": gcs + "provider \"http\" {\n url = \"http://127.0.0.1\"\n}\ndata \"http\" \"x\" {\n url = \"http://192.0.2.1\"\n}\n"}, []string{ok, "allowed endpoint", "refused tofu_provider http"}},
		"a place under another name":                  {map[string]string{"main.tf": gcs + "provider \"grafana\" {\n url = \"http://127.0.0.1:3000\"\n oncall_url = \"https://192.0.2.1\"\n}\n"}, []string{ok, "refused endpoint https://192.0.2.1: it resolves to 192.0.2.1, which is production (ROOT/m/main.tf:7)", "allowed endpoint"}},
		"a place under another name, unknown":         {map[string]string{"main.tf": gcs + "provider \"grafana\" {\n url = \"http://127.0.0.1:3000\"\n oncall_url = data.x.y.z\n}\n"}, []string{ok, "its oncall_url cannot be known"}},
		"a place that is empty":                       {map[string]string{"main.tf": gcs + "provider \"grafana\" {\n url = \"\"\n}\n"}, []string{ok, "refused tofu_provider grafana"}},
		"a place beside the one that counts":          {map[string]string{"main.tf": gcs + "provider \"grafana\" {\n oncall_url = \"http://127.0.0.1:3000\"\n}\n"}, []string{ok, "allowed endpoint", "refused tofu_provider grafana"}},
		"a number of places":                          {map[string]string{"main.tf": gcs + "provider \"grafana\" {\n url = \"http://127.0.0.1:3000\"\n retry_hosts = 3\n use_server = true\n}\n"}, []string{ok, "allowed endpoint"}},
		"a mention under any name":                    {map[string]string{"main.tf": gcs + "provider \"grafana\" {\n url = \"http://127.0.0.1:3000\"\n motd = \"see SECRET@192.0.2.1\"\n}\n"}, []string{ok, "allowed endpoint", "refused external_reference provider grafana, motd: its value mentions production (ROOT/m/main.tf:7)"}},
		"a mention as a number":                       {map[string]string{"main.tf": gcs + "provider \"grafana\" {\n url = \"http://127.0.0.1:3000\"\n node = 3221225985\n}\n"}, []string{ok, "allowed endpoint", "refused external_reference provider grafana, node: its value mentions production"}},
		"a mention deep inside":                       {map[string]string{"main.tf": gcs + "provider \"grafana\" {\n url = \"http://127.0.0.1:3000\"\n http_headers = {\n x = [\"a\", { y = \"x.prod.test\" }]\n }\n}\n"}, []string{ok, "allowed endpoint", "refused external_reference provider grafana, http_headers: its value mentions production"}},
		"a mention as a key":                          {map[string]string{"main.tf": gcs + "provider \"grafana\" {\n url = \"http://127.0.0.1:3000\"\n map = {\n \"x.prod.test\" = 1\n }\n}\n"}, []string{ok, "allowed endpoint", "refused external_reference provider grafana, map: its value mentions production"}},
		"a mention in a block":                        {map[string]string{"main.tf": gcs + "provider \"grafana\" {\n url = \"http://127.0.0.1:3000\"\n oncall {\n deep {\n x = \"192.0.2.1\"\n }\n }\n}\n"}, []string{ok, "allowed endpoint", "refused external_reference provider grafana, oncall: its value mentions production"}},
		"a mention by a variable":                     {map[string]string{"main.tf": gcs + "provider \"grafana\" {\n url = \"http://127.0.0.1:3000\"\n motd = \"at ${var.env}\"\n}\n" + "variable \"env\" {}\n"}, []string{ok, "allowed endpoint", "refused external_reference provider grafana, motd"}},
		"a mention beside what is not known":          {map[string]string{"main.tf": gcs + "provider \"grafana\" {\n url = \"http://127.0.0.1:3000\"\n motd = format(\"%s\", \"192.0.2.1\")\n}\n"}, []string{ok, "allowed endpoint", "refused external_reference provider grafana, motd"}},
		"a mention by a dynamic block":                {map[string]string{"main.tf": gcs + "provider \"grafana\" {\n url = \"http://127.0.0.1:3000\"\n dynamic \"oncall\" {\n for_each = [1]\n content {\n x = \"192.0.2.1\"\n }\n }\n}\n"}, []string{ok, "allowed endpoint", "refused external_reference provider grafana, dynamic"}},
		"a mention that is not taken":                 {map[string]string{"main.tf": gcs + "provider \"grafana\" {\n url = \"http://127.0.0.1:3000\"\n motd = true ? \"none\" : \"192.0.2.1\" # 192.0.2.1\n}\n"}, []string{ok, "allowed endpoint"}},
		"a mention in JSON":                           {map[string]string{"main.tf": gcs, "p.tf.json": `{"provider": {"grafana": {"url": "http://127.0.0.1:3000", "motd": "${data.x.y.z} at 192.0.2\u002e1"}}}`}, []string{ok, "allowed endpoint", "refused external_reference provider grafana, motd: its value mentions production"}},
		"a mention to a known provider":               {map[string]string{"main.tf": gcs + "provider \"postgresql\" {\n host = \"node.test\"\n application_name = \"192.0.2.1\"\n password = \"SECRET\"\n}\n"}, []string{ok, "allowed database", "refused external_reference provider postgresql, application_name"}},
		"the providers of the sandbox":                {map[string]string{"main.tf": gcs + "variable \"token\" {}\nprovider \"gitea\" {\n base_url = \"http://node.test:3000\"\n token = var.token\n}\nprovider \"vault\" {\n address = \"http://node.test:8200\"\n token = var.token\n}\nprovider \"postgresql\" {\n host = \"node.test\"\n port = 5432\n sslmode = \"disable\"\n}\nprovider \"kubernetes\" {\n host = \"https://node.test:6443\"\n token = var.token\n}\nprovider \"helm\" {\n kubernetes {\n host = \"https://node.test:6443\"\n }\n}\n"}, []string{ok, "allowed endpoint", "allowed vault", "allowed database", "allowed kube", "allowed kube"}},
		"loops within loops":                          {map[string]string{"main.tf": gcs + "provider \"vault\" {\n address = [for a in [1]: [for b in [1]: \"http://192.0.2.1\"][0]][0]\n}\n"}, []string{ok, "its address cannot be known"}},
		"loops within loops of JSON":                  {map[string]string{"main.tf": gcs, "p.tf.json": `{"provider": {"vault": {"address": "${[for a in [1]: [for b in [1]: \"http://192.0.2.1\"][0]][0]}"}}}`}, []string{ok, "its address cannot be known"}},
		"loops of JSON, hidden":                       {map[string]string{"main.tf": gcs + "provider \"vault\" {\n address = local.x[0]\n}\n", "p.tf.json": `{"locals": {"x": ["http://192.0.2.1", "%\u007b for a in [1] }%\u007b for b in [1] }x%\u007b endfor }%\u007b endfor }"]}}`}, []string{ok, "its address cannot be known"}},
		"a loop of JSON":                              {map[string]string{"main.tf": gcs, "p.tf.json": `{"provider": {"vault": {"address": "${[for a in [1]: \"http://192.0.2.1\"][0]}"}}}`}, []string{ok, "refused vault http://192.0.2.1"}},
		"a key of JSON with loops":                    {map[string]string{"main.tf": gcs + "provider \"vault\" {\n address = local.x.k\n}\n", "p.tf.json": `{"locals": {"x": {"${[for a in [1]: [for b in [1]: \"k\"][0]][0]}": "http://192.0.2.1"}}}`}, []string{ok, "its address cannot be known"}},
		"places in a list of JSON":                    {map[string]string{"main.tf": gcs, "p.tf.json": `{"provider": {"elasticstack": {"endpoints": ["http://127.0.0.1:9200", "http://192.0.2.1:9200"]}}}`}, []string{ok, "allowed endpoint", "refused endpoint http://192.0.2.1:9200"}},
		"a place in a block of its own":               {map[string]string{"main.tf": gcs + "provider \"grafana\" {\n url = \"http://127.0.0.1:3000\"\n oncall {\n url = \"http://192.0.2.1:3000\"\n }\n}\n"}, []string{ok, "allowed endpoint", "refused endpoint http://192.0.2.1:3000"}},
		"places by a dynamic block":                   {map[string]string{"main.tf": gcs + "provider \"aws\" {\n dynamic \"endpoints\" {\n for_each = [1]\n content {\n s3 = \"http://192.0.2.1:9000\"\n }\n }\n}\n"}, []string{ok, "its endpoints cannot be known"}},
		"Helm's cluster in JSON":                      {map[string]string{"main.tf": gcs, "p.tf.json": `{"provider": {"helm": [{"kubernetes": [{"host": "https://192.0.2.1"}]}]}}`}, []string{ok, "refused kube"}},
		"a resource without its provider":             {map[string]string{"main.tf": gcs + "resource \"postgresql_database\" \"d\" {}\ndata \"vault_policy\" \"p\" {}\nresource \"random_id\" \"r\" {}\n"}, []string{ok, "refused external_reference provider postgresql: it has no host, so the environment decides (ROOT/m/main.tf:7)", "provider vault: it has no address"}},
		"a resource in a module beside":               {map[string]string{"main.tf": gcs + "module \"x\" {\n source = \"./sub\"\n}\n", "sub/main.tf": "resource \"ovh_record\" \"x\" {}\n"}, []string{ok, "refused tofu_provider ovh"}},
		"a source of data over HTTP":                  {map[string]string{"main.tf": gcs + "data \"http\" \"x\" {\n url = \"http://192.0.2.1\"\n}\n"}, []string{ok, "refused tofu_provider http"}},
		"a program as a source of data":               {map[string]string{"main.tf": gcs + "data \"external\" \"x\" {\n program = [\"curl\"]\n}\n"}, []string{ok, "refused tofu_provider external"}},
		"a program of a harmless provider":            {map[string]string{"main.tf": gcs + "data \"local_command\" \"x\" {\n command = \"curl\"\n}\n"}, []string{ok, "data local_command: it runs a program"}},
		"a certificate that is asked for":             {map[string]string{"main.tf": gcs + "data \"tls_certificate\" \"x\" {\n url = \"https://192.0.2.1\"\n}\n"}, []string{ok, "refused endpoint https://192.0.2.1"}},
		"a certificate that is given":                 {map[string]string{"main.tf": gcs + "data \"tls_certificate\" \"x\" {\n content = \"x\"\n}\n"}, []string{ok}},
		"a certificate, asked by a module":            {map[string]string{"main.tf": gcs + "module \"x\" {\n source = \"./sub\"\n}\n", "sub/main.tf": "data \"tls_certificate\" \"x\" {\n url = \"https://127.0.0.1\"\n}\n"}, []string{ok, "it is in a module"}},
		"something that is never kept":                {map[string]string{"main.tf": gcs + "ephemeral \"ovh_token\" \"x\" {}\n"}, []string{ok, "refused tofu_provider ovh"}},
		"a provider by a harmless name":               {map[string]string{"main.tf": gcs + "terraform {\n required_providers {\n  null = { source = \"hashicorp/http\" }\n }\n}\ndata \"http\" \"x\" {\n provider = null\n url = \"https://192.0.2.1\"\n}\n"}, []string{ok, "refused tofu_provider http"}},
		"a module from a forge, in short":             {map[string]string{"main.tf": gcs + "module \"x\" {\n source = \"github.com/org/repo//sub?ref=v1\"\n}\n"}, []string{ok, "refused git https://github.com/org/repo"}},
		"a module by SSH":                             {map[string]string{"main.tf": gcs + "module \"x\" {\n source = \"git@forge.test:prod/m.git\"\n}\n"}, []string{ok, "refused git git@forge.test:prod/m.git: it is a repository of production"}},
		"a module as an archive":                      {map[string]string{"main.tf": gcs + "module \"x\" {\n source = \"https://192.0.2.1/m.zip\"\n}\n"}, []string{ok, "refused endpoint https://192.0.2.1"}},
		"a module of a registry of one's own":         {map[string]string{"main.tf": gcs + "module \"x\" {\n source = \"gitea.prod.test/a/b/c\"\n}\n"}, []string{ok, "refused endpoint https://gitea.prod.test"}},
		"a module of the registry":                    {map[string]string{"main.tf": gcs + "module \"x\" {\n source = \"a/b/c//sub\"\n}\n"}, []string{ok}},
		"a module from an unsupported source":         {map[string]string{"main.tf": gcs + "module \"x\" {\n source = \"s3::https://s3.test/m.zip\"\n}\n"}, []string{ok, "its source s3::https://s3.test/m.zip is unknown"}},
		"a module that was fetched":                   {map[string]string{"main.tf": gcs + "module \"x\" {\n source = \"a/b/c\"\n}\n", ".terraform/modules/modules.json": `{"Modules": [{"Key": "", "Dir": "."}, {"Key": "x", "Dir": ".terraform/modules/x"}]}`, ".terraform/modules/x/main.tf": "data \"external\" \"x\" {}\nprovider \"vault\" {}\n"}, []string{ok, "provider vault: it is in a module", "refused tofu_provider external"}},
		"fetched modules that are not listed":         {map[string]string{"main.tf": gcs, ".terraform/modules/modules.json": "SECRET"}, []string{ok, "fetched modules: they cannot be read"}},
		"a variable that a file overrides":            {map[string]string{"main.tf": gcs + "provider \"vault\" {\n address = var.h\n}\n", "override.tf": "variable \"h\" {\n default = \"http://192.0.2.1\"\n}\n", "variables.tf": "variable \"h\" {\n default = \"http://node.test\"\n}\n"}, []string{ok, "refused vault http://192.0.2.1"}},
		"a variable that keeps its default":           {map[string]string{"main.tf": gcs + "provider \"vault\" {\n address = var.h\n}\n", "a_override.tf": "variable \"h\" {\n type = string\n}\n", "variables.tf": "variable \"h\" {\n default = \"http://node.test\"\n}\n"}, []string{ok, "allowed vault http://node.test"}},
		"a local that a file overrides":               {map[string]string{"main.tf": gcs + "provider \"vault\" {\n address = local.h\n}\n", "a_override.tf": "locals {\n h = \"http://192.0.2.1\"\n}\n", "locals.tf": "locals {\n h = \"http://node.test\"\n}\n"}, []string{ok, "refused vault http://192.0.2.1"}},
		"a Vault that encrypts the state":             {map[string]string{"main.tf": gcs + "terraform {\n encryption {\n key_provider \"openbao\" \"x\" {\n address = \"https://192.0.2.1:8200\"\n token = \"SECRET\"\n }\n method \"aes_gcm\" \"m\" {}\n }\n}\n"}, []string{ok, "refused vault https://192.0.2.1:8200"}},
		"a Vault without an address":                  {map[string]string{"main.tf": gcs + "terraform {\n encryption {\n key_provider \"openbao\" \"x\" {}\n }\n}\n"}, []string{ok, "key_provider openbao: it has no address"}},
		"a cloud that encrypts the state":             {map[string]string{"main.tf": gcs + "terraform {\n encryption {\n key_provider \"aws_kms\" \"x\" {}\n key_provider \"pbkdf2\" \"y\" {}\n }\n}\n"}, []string{ok, "refused tofu_provider aws"}},
		"a program that encrypts the state":           {map[string]string{"main.tf": gcs + "terraform {\n encryption {\n method \"external\" \"x\" {}\n }\n}\n"}, []string{ok, "method external: it runs a program"}},
		"a source of data in a check":                 {map[string]string{"main.tf": gcs + "check \"c\" {\n data \"tls_certificate\" \"x\" {\n url = \"https://192.0.2.1\"\n }\n}\n"}, []string{ok, "refused endpoint https://192.0.2.1"}},
		"a provider that only a check needs":          {map[string]string{"main.tf": gcs + "check \"c\" {\n data \"http\" \"x\" {}\n}\n"}, []string{ok, "refused tofu_provider http"}},
		"a machine that is provisioned":               {map[string]string{"main.tf": gcs + "resource \"terraform_data\" \"x\" {\n connection {\n host = \"192.0.2.1\"\n password = \"SECRET\"\n }\n provisioner \"remote-exec\" {}\n}\n"}, []string{ok, "refused host 192.0.2.1"}},
		"a machine behind a bastion":                  {map[string]string{"main.tf": gcs + "resource \"terraform_data\" \"x\" {\n provisioner \"file\" {\n connection {\n host = \"node.test\"\n bastion_host = \"192.0.2.1\"\n }\n }\n}\n"}, []string{ok, "allowed host node.test", "refused host 192.0.2.1"}},
		"a machine that is not known":                 {map[string]string{"main.tf.json": `{"terraform": {"backend": {"gcs": {"bucket": "sandbox-tf", "prefix": "erp/main"}}}, "resource": {"terraform_data": {"x": {"provisioner": [{"remote-exec": {}}]}}}}`}, []string{"allowed tofu_state", "it has no connection"}},
		"a program that is run":                       {map[string]string{"main.tf": gcs + "resource \"null_resource\" \"x\" {\n provisioner \"local-exec\" {\n command = \"ssh 192.0.2.1\"\n }\n}\n"}, []string{ok, "provisioner local-exec of null_resource.x: it runs a program"}},
		"a program that a module runs":                {map[string]string{"main.tf": gcs + "module \"x\" {\n source = \"./sub\"\n}\n", "sub/main.tf": "resource \"null_resource\" \"x\" {\n provisioner \"local-exec\" {}\n}\n"}, []string{ok, "it is in a module"}},
		"Helm's cluster through a proxy":              {map[string]string{"main.tf": gcs + "provider \"helm\" {\n kubernetes {\n host = \"https://127.0.0.1\"\n proxy_url = \"http://192.0.2.1:3128\"\n }\n}\n"}, []string{ok, "refused endpoint http://192.0.2.1:3128", "allowed kube"}},
		"a cluster with a program":                    {map[string]string{"main.tf": gcs + "provider \"kubernetes\" {\n host = \"https://127.0.0.1\"\n exec {\n command = \"ssh\"\n }\n}\n"}, []string{ok, "its exec names a program", "allowed kube"}},
		"a state in a cluster, by a proxy":            {map[string]string{"main.tf": "terraform {\n backend \"kubernetes\" {\n host = \"https://127.0.0.1\"\n proxy_url = \"http://192.0.2.1\"\n }\n}\n"}, []string{"refused endpoint http://192.0.2.1", "allowed kube"}},
		"a database through a proxy":                  {map[string]string{"main.tf": gcs + "provider \"mysql\" {\n endpoint = \"node.test:3306\"\n proxy = \"socks5://192.0.2.1\"\n}\n"}, []string{ok, "allowed database", "refused endpoint socks5://192.0.2.1"}},
		"a container engine by its context":           {map[string]string{"main.tf": gcs + "provider \"docker\" {\n context = \"prod\"\n registry_auth {\n address = \"192.0.2.1:5000\"\n }\n}\n"}, []string{ok, "it names a context", "refused endpoint https://192.0.2.1:5000"}},
		"a registry of providers":                     {map[string]string{"main.tf": gcs + "terraform {\n required_providers {\n random = { source = \"gitea.prod.test/a/random\" }\n tls = { source = \"registry.opentofu.org/hashicorp/tls\" }\n null = { source = \"forge.test/a/null\" }\n }\n}\n"}, []string{ok, "allowed endpoint https://forge.test", "refused endpoint https://gitea.prod.test"}},
		"states of workspaces in S3":                  {map[string]string{"main.tf": "terraform {\n backend \"s3\" {\n bucket = \"prod-tf\"\n key = \"k\"\n workspace_key_prefix = \"/w/\"\n }\n}\n"}, []string{"refused tofu_state s3:prod-tf/k", "refused tofu_state s3:prod-tf/w/k"}},
		"a value of another size":                     {map[string]string{"main.tf": gcs + "locals {\n h = \"http://${local.l}\"\n l = \"" + strings.Repeat("x", 20000) + "\"\n}\nprovider \"vault\" {\n address = local.h\n}\n"}, []string{ok, "its address cannot be known"}},
		"a file of another size":                      {map[string]string{"main.tf": gcs + strings.Repeat("#\n", 1<<19)}, []string{"larger than 1048576 bytes"}},
		"a file that is nested without end":           {map[string]string{"main.tf": gcs + "locals {\n x = " + strings.Repeat("[", 1<<19)}, []string{"nested too deep"}},
		"what is twice what was before":               {map[string]string{"main.tf": gcs + doubled(60)}, []string{ok}},
		"a nested map of places, one unknown":         {map[string]string{"main.tf": gcs + "variable \"u\" {}\nprovider \"elasticstack\" {\n endpoints = [\"https://127.0.0.1\", var.u]\n}\n"}, []string{ok, "its endpoints cannot be known"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{}
			for file, text := range c.files {
				files["m/"+file] = text
			}
			root := tree(t, files)
			asked := Root{Directory: filepath.Join(root, "m")}
			if _, ok := c.files["sandbox.tfbackend"]; ok {
				asked.BackendConfigs = []string{filepath.Join(root, "m/sandbox.tfbackend")}
			}
			if _, ok := c.files["given.tfvars"]; ok {
				asked.VarFiles = []string{filepath.Join(root, "m/given.tfvars")}
			}
			same(t, c.wanted, decisions(t, root, Reader{Environ: []string{"TF_VAR_env=192.0.2.1"}}, Sources{Tofu: []Root{asked}}))
		})
	}
	same(t, []string{"it cannot be read (no such file or directory)"}, decisions(t, t.TempDir(), Reader{}, Sources{Tofu: []Root{{Directory: "/nonexistent/none"}}}))
}

func TestEnvironmentVariablesHaveOneClass(t *testing.T) {
	t.Parallel()
	for class, names := range map[Class]string{
		Process:    "PATH HOME PWD OLDPWD USER LOGNAME SHELL TMPDIR XDG_STATE_HOME XDG_CACHE_HOME XDG_RUNTIME_DIR SANDBOX_BOUNDARY HOSTNAME SSH_CLIENT SSH_CONNECTION LS_COLORS VIRTUAL_ENV EMAIL GIT_AUTHOR_EMAIL GIT_COMMITTER_EMAIL",
		Setting:    "AWS_REGION AWS_DEFAULT_REGION AWS_CA_BUNDLE CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE TF_PLUGIN_CACHE_DIR TF_IN_AUTOMATION TF_LOG TF_LOG_PATH VAULT_FORMAT KUBE_EDITOR ANSIBLE_SSH_RETRIES",
		Endpoint:   "KUBECONFIG VAULT_ADDR VAULT_AGENT_ADDR BAO_ADDR BAO_PROXY_ADDR PGHOST PGHOSTADDR DOCKER_HOST CONTAINER_HOST DATABASE_URL VAULT_HTTP_PROXY PG_URL",
		Address:    "http_proxy HTTPS_PROXY ALL_PROXY APP_DATABASE_URL SHOP_DB_DSN",
		Detail:     "PGPORT PGUSER PGDATABASE PGSSLMODE PGAPPNAME SSH_AGENT_PID SANDBOX_PROGRAMS",
		Credential: "AWS_SECRET_ACCESS_KEY AWS_ENDPOINT_URL_S3 GOOGLE_CREDENTIALS GCLOUD_X CLOUDSDK_CONFIG CLOUDFLARE_API_TOKEN CF_X OVH_X HCLOUD_TOKEN DIGITALOCEAN_X SCW_X ARM_X AZURE_X GCP_X CONSUL_X NOMAD_X ETCDCTL_X RESTIC_X BORG_X MC_HOST_X ARGOCD_X GITEA_X VAULT_TOKEN BAO_TOKEN TF_VAR_x TF_CLI_CONFIG_FILE TOFU_X PGPASSWORD PGPASSFILE PGSERVICE PGSYSCONFDIR DOCKER_CONTEXT CONTAINER_CONNECTION CONTAINER_SSHKEY BUILDKIT_HOST LIBVIRT_DEFAULT_URI K8S_AUTH_HOST KUBE_CONFIG_PATH KUBE_HOST KUBE_TOKEN KUBE_CTX KUBE_CLUSTER_X KUBE_CLIENT_X KUBE_EXEC_X KUBERNETES_MASTER KUBERNETES_SERVICE_HOST HELM_KUBETOKEN ANSIBLE_HASHI_VAULT_ADDR SSH_AUTH_SOCK SSH_ASKPASS SSH_SK_PROVIDER SSH_SK_HELPER SSH_PKCS11_HELPER GIT_SSH GIT_SSH_COMMAND GIT_PROXY_COMMAND GIT_CONFIG GIT_CONFIG_COUNT GITHUB_TOKEN GH_TOKEN GITLAB_TOKEN RSYNC_RSH RSYNC_CONNECT_PROG HOSTALIASES",

		AnsibleSetting: "ANSIBLE_CONFIG ANSIBLE_INVENTORY ANSIBLE_SSH_ARGS ANSIBLE_VAULT_PASSWORD_FILE ANSIBLE_CONNECTION_PLUGINS",
		Other:          "LANG EDITOR NOTIFY KUBERNETES_X x ANSIBLE_NOCOLOR GIT_AUTHOR_NAME DOCKER_CONFIG",
	} {
		for name := range strings.FieldsSeq(names) {
			assert.Equal(t, class, Classify(name), name)
		}
	}
}

func TestTheContextOfDockerIsChecked(t *testing.T) {
	t.Parallel()
	meta := func(name string) string {
		return fmt.Sprintf("contexts/meta/%x/meta.json", sha256.Sum256([]byte(name)))
	}
	const lab = `{"currentContext": "lab", "auths": {"x": {"auth": "SECRET"}}}`
	host := func(host string) map[string]string {
		return map[string]string{"config.json": lab, meta("lab"): `{"Name": "lab", "Endpoints": {"docker": {"Host": "` + host + `", "SkipTLSVerify": true}}}`}
	}
	for name, c := range map[string]struct {
		files       map[string]string
		environment string
		wanted      []string
	}{
		"no configuration":                 {nil, "", nil},
		"a configuration without context":  {map[string]string{"config.json": `{"auths": {"x": {"auth": "SECRET"}}}`}, "", nil},
		"the default context":              {map[string]string{"config.json": `{"currentContext": "default"}`}, "", nil},
		"a socket of this machine":         {host("unix:///home/me/.docker/run/docker.sock"), "", nil},
		"production over ssh":              {host("ssh://pi@192.0.2.1"), "", []string{"refused host ssh://pi@192.0.2.1: it resolves to 192.0.2.1, which is production (ROOT/home/.docker/contexts/meta/"}},
		"production over TCP":              {host("tcp://192.0.2.1:2376"), "", []string{"refused endpoint tcp://192.0.2.1:2376"}},
		"production by a hidden name":      {host("tcp://u:SECRET@hidden.test:2376"), "", []string{"refused endpoint tcp://u:***@hidden.test:2376: it resolves to 192.0.2.2"}},
		"the sandbox over TCP":             {host("tcp://node.test:2376"), "", []string{"allowed endpoint tcp://node.test:2376"}},
		"a pipe of another system":         {host("npipe:////./pipe/docker"), "", []string{"the process behind it is unknown"}},
		"a context that is not there":      {map[string]string{"config.json": lab}, "", []string{"refused external_reference docker's context: it cannot be read (no such file or directory), so docker's host is unknown"}},
		"a context without a host":         {map[string]string{"config.json": lab, meta("lab"): `{"Endpoints": {}}`}, "", []string{"it cannot be read (it names no host)"}},
		"a context that is broken":         {map[string]string{"config.json": lab, meta("lab"): `{"SECRET`}, "", []string{"it cannot be read (it names no host)"}},
		"a configuration that is broken":   {map[string]string{"config.json": `{"SECRET`}, "", []string{"it cannot be read (it is not what docker writes)"}},
		"a configuration in another place": {map[string]string{"config.json": `{}`}, "DOCKER_CONFIG=ROOT/other", []string{"refused endpoint tcp://192.0.2.1:2376"}},
		"a host that counts instead":       {host("tcp://192.0.2.1:2376"), "DOCKER_HOST=unix:///var/run/docker.sock", nil},
		"the default that counts instead":  {host("tcp://192.0.2.1:2376"), "DOCKER_CONTEXT=default", nil},
		"another context that counts":      {host("tcp://192.0.2.1:2376"), "DOCKER_CONTEXT=none", []string{"refused external_reference docker's context", "refused environment DOCKER_CONTEXT"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"home/x": ""}
			for file, text := range c.files {
				files["home/.docker/"+file] = text
			}
			for file, text := range host("tcp://192.0.2.1:2376") {
				files["other/"+file] = text
			}
			root := tree(t, files)
			reader := Reader{Home: filepath.Join(root, "home"), Environ: strings.Fields(strings.ReplaceAll(c.environment, "ROOT", root))}
			found := decisions(t, root, reader, Sources{Environment: true})
			slices.SortFunc(found, func(a, b string) int { return strings.Compare(b, a) }) // by what they say
			same(t, c.wanted, found)
		})
	}
	// A root that names no engine has this one.
	files := host("tcp://192.0.2.1:2376")
	files["main.tf"] = "terraform {\n backend \"inmem\" {}\n}\nprovider \"docker\" {}\n"
	root := tree(t, files)
	reader := Reader{Environ: []string{"DOCKER_CONFIG=" + root}}
	same(t, []string{"refused endpoint tcp://192.0.2.1:2376"}, decisions(t, root, reader, Sources{Tofu: []Root{{Directory: root}}}))
}

// doubled is a chain of locals, each of which is twice the one before.
func doubled(n int) string {
	text := "locals {\n a0 = \"xxxxxxxxxx\"\n b0 = [1]\n"
	for i := range n {
		text += fmt.Sprintf(" a%d = \"${local.a%d}${local.a%d}\"\n b%d = [local.b%d, local.b%d]\n", i+1, i, i, i+1, i, i)
	}
	return text + "}\n"
}

// What the environment adds to a root counts where only the root is asked about.
func TestARootIsCheckedWithTheSettingsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	const state = "terraform {\n backend \"http\" {\n address = \"http://198.51.100.11/state?ws=sandbox\"\n }\n}\n"
	for environment, wanted := range map[string][]string{
		"TF_CLI_ARGS_init=-backend-config=address=SECRET": {"refused external_reference TF_CLI_ARGS_init: it changes the root's configuration", "allowed", "allowed"},
		"TF_CLI_ARGS=-var-file=SECRET":                    {"refused external_reference TF_CLI_ARGS", "allowed", "allowed"},
		"TF_ENCRYPTION=SECRET":                            {"refused external_reference TF_ENCRYPTION", "allowed", "allowed"},
		"TF_CLI_ARGS_plan=-no-color TF_CLI_ARGS_apply=":   {"allowed", "allowed"},
		"TF_HTTP_LOCK_ADDRESS=http://192.0.2.1/lock":      {"allowed endpoint", "refused endpoint http://192.0.2.1/lock", "allowed tofu_state"},
	} {
		t.Run(environment, func(t *testing.T) {
			t.Parallel()
			root := tree(t, map[string]string{"main.tf": state})
			environ := strings.Fields(strings.ReplaceAll(environment, "SECRET", secret))
			same(t, wanted, decisions(t, root, Reader{Environ: environ}, Sources{Tofu: []Root{{Directory: root}}}))
		})
	}
}

// Neither many locals nor links to a module's own directory make work without end.
func TestARootIsReadInTime(t *testing.T) {
	t.Parallel()
	text := "terraform {\n backend \"gcs\" {\n bucket = \"sandbox-tf\"\n prefix = \"x\"\n }\n}\nmodule \"a\" {\n source = \"./a\"\n}\nmodule \"b\" {\n source = \"./b\"\n}\nlocals {\n"
	for i := range 2000 {
		text += fmt.Sprintf(" l%d = \"x\"\n", i)
	}
	root := tree(t, map[string]string{"main.tf": text + "}\n"})
	for _, link := range []string{"a", "b"} {
		require.NoError(t, os.Symlink(".", filepath.Join(root, link)))
	}
	done := make(chan []string)
	go func() { done <- decisions(t, root, Reader{}, Sources{Tofu: []Root{{Directory: root}}}) }()
	select {
	case found := <-done:
		same(t, []string{"allowed tofu_state gcs:sandbox-tf/x"}, found)
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
}

func TestArgoCDManifestsAreCheckedByDestinationAndSource(t *testing.T) {
	t.Parallel()
	app := func(spec string) string {
		return "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: a}\nspec:\n" + spec
	}
	cluster := func(config string) string {
		return "kind: Secret\nmetadata: {labels: {argocd.argoproj.io/secret-type: cluster}}\nstringData:\n  server: https://127.0.0.1:6443\n  config: '" + config + "'\n"
	}
	const inside = "  destination: {server: 'https://kubernetes.default.svc', namespace: a}\n"
	const source = "  source: {repoURL: 'https://forge.test/org/app.git', path: chart}\n"
	for name, c := range map[string]struct {
		text   string
		wanted []string
	}{
		"an application of the sandbox":               {app(inside + source), []string{"allowed git https://forge.test/org/app.git: it is sandbox (ROOT/a.yaml:6)"}},
		"a repository of production":                  {app(inside + "  source: {repoURL: 'git@forge.test:prod/app.git'}\n"), []string{"refused git git@forge.test:prod/app.git: it is a repository of production"}},
		"one of several sources":                      {app(inside + "  sources: [{repoURL: 'https://forge.test/a/b'}, {repoURL: 'https://gitea.prod.test/a/b'}]\n"), []string{"allowed git", "refused git https://gitea.prod.test/a/b: its name is production"}},
		"a cluster of production":                     {app("  destination: {server: 'https://192.0.2.1:6443'}\n" + source), []string{"refused kube https://192.0.2.1:6443", "allowed git"}},
		"a cluster by its name":                       {app("  destination: {name: prod}\n" + source), []string{"it names a cluster that", "allowed git"}},
		"its own cluster by name":                     {app("  destination: {name: in-cluster}\n" + source), []string{"allowed git"}},
		"no destination":                              {app(source), []string{"it names no cluster", "allowed git"}},
		"no source":                                   {app(inside), []string{"it is missing"}},
		"no spec":                                     {"apiVersion: argoproj.io/v1alpha1\nkind: Application\n", []string{"it is missing"}},
		"a chart in a registry":                       {app(inside + "  source: {repoURL: public.test/sandbox, chart: x}\n"), []string{"refused git"}},
		"a list of kubectl's":                         {"kind: List\nitems:\n- {apiVersion: argoproj.io/v1alpha1, kind: Application, spec: {destination: {server: 'https://192.0.2.1'}, source: {repoURL: 'https://forge.test/a/b'}}}\n", []string{"refused kube", "allowed git"}},
		"a second document":                           {"kind: ConfigMap\n---\n" + app(inside+"  source: {repoURL: 'https://192.0.2.1/a/b'}\n"), []string{"refused git"}},
		"a set of applications, with a list":          {"apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nspec:\n  generators: [{list: {elements: [{url: 'https://192.0.2.1'}]}}]\n  template: {spec: {destination: {server: '{{url}}'}, source: {repoURL: 'https://forge.test/a/b'}}}\n", []string{"refused kube https://192.0.2.1", "it is a pattern, or a cluster", "allowed git"}},
		"a set of applications, by clusters":          {"apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nspec:\n  generators: [{clusters: {}}]\n  template: {spec: {destination: {name: in-cluster}, source: {repoURL: 'https://forge.test/a/b'}}}\n", []string{"its targets are only known at run time", "allowed git"}},
		"a project":                                   {"apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nspec: {sourceRepos: ['https://forge.test/org/*', '*', '!https://x'], destinations: [{server: '*'}, {server: 'https://127.0.0.1'}]}\n", []string{"allowed git", "it is a pattern, or a repository", "it is a pattern, or a cluster", "allowed kube"}},
		"a secret that declares a cluster":            {"kind: Secret\nmetadata: {labels: {argocd.argoproj.io/secret-type: cluster}}\ndata: {server: " + base64.StdEncoding.EncodeToString([]byte("https://192.0.2.1")) + ", config: " + base64.StdEncoding.EncodeToString([]byte(`{"bearerToken": "hush-8d1f"}`)) + "}\n", []string{"refused kube https://192.0.2.1"}},
		"a cluster known by its CA":                   {cluster(`{"tlsClientConfig": {"caData": "` + base64.StdEncoding.EncodeToString([]byte(pemOf("abc"))) + `"}}`), []string{"refused kube https://127.0.0.1:6443: its CA is that of a cluster of production"}},
		"a cluster known by its name":                 {cluster(`{"tlsClientConfig": {"serverName": "api.prod.test"}}`), []string{"refused host api.prod.test: its name is production", "allowed kube"}},
		"a cluster through a proxy":                   {cluster(`{"proxyUrl": "http://u:SECRET@192.0.2.1:3128"}`), []string{"refused endpoint http://u:***@192.0.2.1:3128", "allowed kube"}},
		"a cluster with a program":                    {cluster(`{"execProviderConfig": {"command": "ssh"}}`), []string{"execProviderConfig runs a program", "allowed kube"}},
		"a cluster whose certificate is not verified": {cluster(`{"tlsClientConfig": {"insecure": true}}`), []string{"insecure accepts any server", "allowed kube"}},
		"a cluster that says nothing to read":         {cluster(`SECRET`), []string{"it is not JSON", "allowed kube"}},
		"a repository through a proxy":                {"kind: Secret\nmetadata: {labels: {argocd.argoproj.io/secret-type: repo-creds}}\nstringData: {url: 'https://forge.test/a/x', proxy: 'http://192.0.2.1:3128', githubAppEnterpriseBaseUrl: 'https://gitea.prod.test/api'}\n", []string{"allowed git", "refused endpoint http://192.0.2.1:3128", "refused endpoint https://gitea.prod.test/api"}},
		"values from elsewhere":                       {app(inside + "  source: {repoURL: 'https://forge.test/a/b', helm: {valueFiles: [values.yaml, $ref/x.yaml, 'https://192.0.2.1/v.yaml'], fileParameters: [{name: x, path: 'https://gitea.prod.test/p'}]}}\n"), []string{"allowed git", "refused endpoint https://192.0.2.1/v.yaml", "refused endpoint https://gitea.prod.test/p"}},
		"a component from elsewhere":                  {app(inside + "  source: {repoURL: 'https://forge.test/a/b', kustomize: {components: [../c, 'git@192.0.2.1:a/b']}}\n"), []string{"allowed git", "it is elsewhere"}},
		"a template of a generator's own":             {"apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nspec:\n  generators: [{list: {elements: [], template: {spec: {destination: {name: prod}, sources: [{repoURL: 'https://forge.test/a/b', helm: {valueFiles: ['https://192.0.2.1/v']}}]}}}}]\n  template: {spec: {destination: {name: in-cluster}, source: {repoURL: 'https://forge.test/a/b'}}}\n", []string{"it names a cluster that", "refused endpoint https://192.0.2.1/v", "allowed git", "allowed git"}},
		"a secret that declares a repository":         {"kind: Secret\nmetadata: {labels: {argocd.argoproj.io/secret-type: repository}}\nstringData: {url: 'https://u:SECRET@forge.test/prod/x', password: SECRET}\n", []string{"refused git https://u:***@forge.test/prod/x"}},
		"any other manifest":                          {"apiVersion: v1\nkind: ConfigMap\ndata: {server: 'https://192.0.2.1'}\n", nil},
		"a template":                                  {"kind: {{ .Values.x }}\n  - SECRET", []string{"it is not YAML"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, map[string]string{"a.yaml": c.text, "notes.txt": "{{"})
			same(t, c.wanted, decisions(t, root, Reader{}, Sources{ArgoCD: []string{root}}))
		})
	}
	same(t, []string{"there is none"}, decisions(t, t.TempDir(), Reader{}, Sources{ArgoCD: []string{t.TempDir()}}))
	same(t, []string{"they cannot be read"}, decisions(t, t.TempDir(), Reader{}, Sources{ArgoCD: []string{"/nonexistent/none"}}))
}

func TestRemotesAreCheckedByTheURLsThatGitUses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config string
		wanted []string
	}{
		"no remote":                        {"", nil},
		"a remote of the sandbox":          {"[remote \"origin\"]\n url = git@forge.test:org/app.git\n", []string{"allowed git git@forge.test:org/app.git: it is sandbox (ROOT/r/.git/config (remote.origin.url))"}},
		"a remote of production":           {"[remote \"prod\"]\n url = ssh://git@192.0.2.1:2222/org/app.git\n", []string{"refused git"}},
		"a public forge that is listed":    {"[remote \"o\"]\n url = https://public.test/sandbox/app\n pushurl = https://public.test/sandbox/app\n", []string{"allowed git", "allowed git"}},
		"a public forge, another's":        {"[remote \"o\"]\n url = https://public.test/other/app\n", []string{"refused git"}},
		"a push that goes elsewhere":       {"[remote \"o\"]\n url = https://forge.test/a/b\n pushurl = https://u:SECRET@192.0.2.1/a/b\n", []string{"allowed git", "refused git https://u:***@192.0.2.1/a/b"}},
		"insteadOf, the longest":           {"[remote \"o\"]\n url = https://forge.test/a/b\n[url \"https://192.0.2.1/\"]\n insteadOf = https://forge.test/a/\n[url \"https://forge.test/x/\"]\n insteadOf = https://forge.test/\n", []string{"refused git https://192.0.2.1/b"}},
		"pushInsteadOf":                    {"[remote \"o\"]\n url = https://forge.test/a/b\n[url \"git@192.0.2.1:\"]\n pushInsteadOf = https://forge.test/\n", []string{"allowed git https://forge.test/a/b", "refused git git@192.0.2.1:a/b"}},
		"an included file":                 {"[include]\n path = more\n", []string{"refused git https://192.0.2.1/inc: it resolves to 192.0.2.1, which is production (ROOT/r/.git/more (remote.inc.url))"}},
		"a branch with a URL":              {"[branch \"main\"]\n remote = https://192.0.2.1/a/b\n", []string{"refused git"}},
		"a branch of a remote and of self": {"[remote \"o\"]\n url = https://forge.test/a/b\n[branch \"main\"]\n remote = o\n[branch \"x\"]\n remote = .\n", []string{"allowed git"}},
		"a default to push to":             {"[remote]\n pushDefault = git@192.0.2.1:a/b\n", []string{"refused git"}},
		"a program in place of ssh":        {"[core]\n sshCommand = ssh -J pi@192.0.2.1\n", []string{"it names a program, which may lead anywhere"}},
		"a remote helper":                  {"[remote \"o\"]\n url = ext::ssh 192.0.2.1 %S\n", []string{"it is for a remote helper"}},
		"a proxy":                          {"[http]\n proxy = u:SECRET@192.0.2.1:3128\n", []string{"refused endpoint"}},
		"a submodule":                      {"[submodule \"s\"]\n url = https://192.0.2.1/a/b\n", []string{"refused git"}},
		"large files elsewhere":            {"[lfs]\n url = https://192.0.2.1/lfs\n", []string{"refused git"}},
		"where a name leads":               {"[http]\n curloptResolve = forge.test:443:192.0.2.1\n", []string{"it overrides the resolver"}},
		"a program that knows passwords":   {"[credential]\n helper = /opt/helper\n[credential \"https://forge.test\"]\n helper = cache\n", []string{"it names a program"}},
		"a program that updates":           {"[submodule \"s\"]\n url = https://forge.test/a/b\n update = !ssh 192.0.2.1\n", []string{"allowed git", "it names a program"}},
		"a bundle":                         {"[fetch]\n bundleURI = https://192.0.2.1/b\n", []string{"refused endpoint https://192.0.2.1/b"}},
		"a path":                           {"[remote \"o\"]\n url = ../other\n", []string{"refused git ROOT/other"}},
		"a path of the home":               {"[remote \"o\"]\n url = ~/other\n", []string{"refused git ROOT/other"}},
		"a path with a colon in it":        {"[remote \"o\"]\n url = ./a:b\n", []string{"refused git ROOT/r/a:b"}},
		"a path by insteadOf":              {"[remote \"o\"]\n url = https://forge.test/x\n[url \"../other/\"]\n insteadOf = https://forge.test/\n", []string{"refused git ROOT/other/x"}},
		"hooks of another place":           {"[core]\n hooksPath = ../hooks\n", []string{"refused external_reference core.hookspath: it names programs outside of the repository"}},
		"hooks of the home":                {"[core]\n hooksPath = ~/hooks\n", []string{"refused external_reference core.hookspath: it names programs outside of the repository"}},
		"hooks of nowhere":                 {"[core]\n hooksPath =\n", []string{"refused external_reference core.hookspath: it names programs outside of the repository"}},
		"hooks of the repository":          {"[core]\n hooksPath = .husky/_\n", nil},
		"hooks that are switched off":      {"[core]\n hooksPath = /dev/null\n", nil},
		"hooks, the last ones":             {"[core]\n hooksPath = ../hooks\n hooksPath = .husky\n", nil},
		"a syntax error":                   {"[remote SECRET\n", []string{"its configuration cannot be read"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, nil)
			repository := filepath.Join(root, "r")
			out, err := exec.CommandContext(t.Context(), "git", "init", "-q", repository).CombinedOutput()
			require.NoError(t, err, string(out))
			require.NoError(t, os.WriteFile(filepath.Join(repository, ".git/more"), []byte("[remote \"inc\"]\n url = https://192.0.2.1/inc\n"), 0o600))
			file, err := os.OpenFile(filepath.Join(repository, ".git/config"), os.O_APPEND|os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = file.WriteString(strings.ReplaceAll(c.config, "SECRET", secret))
			require.NoError(t, err)
			require.NoError(t, file.Close())
			reader := Reader{Home: root, Runner: run.Exec{}, Environ: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + root, "GIT_CONFIG_NOSYSTEM=1", "GIT_DIR=/nonexistent"}}
			found := decisions(t, root, reader, Sources{Git: []string{repository}})
			if name == "a syntax error" { // git repeats the place, never the text
				require.Len(t, found, 1)
			}
			same(t, c.wanted, found)
		})
	}
	t.Run("what a repository brings along", func(t *testing.T) {
		t.Parallel()
		root := tree(t, map[string]string{
			"r/.gitmodules": "[core]\n sshCommand = ssh\n[submodule \"a\"]\n path = a\n url = https://192.0.2.1/a\n[submodule \"b\"]\n path = b\n url = ../../prod/b.git\n",
			"r/.lfsconfig":  "[lfs]\n url = https://192.0.2.1/lfs\n", "r/sub/x": "",
		})
		git := func(args ...string) {
			cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", root + "/r"}, args...)...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + root, "GIT_CONFIG_NOSYSTEM=1"}
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
		}
		git("init", "-q")
		git("remote", "add", "origin", "git@forge.test:org/app.git")
		git("add", "-A")
		git("-c", "user.name=x", "-c", "user.email=x@example.net", "commit", "-qm", "x")
		git("worktree", "add", "-q", root+"/w")
		require.NoError(t, os.MkdirAll(root+"/r/.git/remotes", 0o700))
		require.NoError(t, os.WriteFile(root+"/r/.git/remotes/old", []byte("URL: git@192.0.2.1:a/b\n"), 0o600))
		reader := Reader{Runner: run.Exec{}, Environ: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + root, "GIT_CONFIG_NOSYSTEM=1"}}
		for _, directory := range []string{"/r", "/r/sub", "/w"} {
			found := decisions(t, root, reader, Sources{Git: []string{root + directory}})
			for _, wanted := range []string{
				"it has remotes in an obsolete format", "allowed git git@forge.test:org/app.git", "refused git https://192.0.2.1/a:",
				"refused git git@forge.test:prod/b.git: it is a repository of production", "refused git https://192.0.2.1/lfs:",
			} {
				assert.Contains(t, strings.Join(found, "\n"), wanted, directory)
			}
			assert.Len(t, found, 5, directory)
		}
	})
	t.Run("where links lead to", func(t *testing.T) {
		t.Parallel()
		root := tree(t, map[string]string{"lfs/pre-push": "#!/bin/sh\nexec git lfs pre-push \"$@\"\n", "r/sub/x": "", "deep/er/x": ""})
		git := func(args ...string) {
			cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", root + "/r"}, args...)...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + root, "GIT_CONFIG_NOSYSTEM=1"}
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
		}
		git("init", "-q", "--template=")
		// What git makes of a relative path, it makes of it at the top of the work tree, and behind a link `..` is the link's.
		git("remote", "add", "beside", "sub/../link/../other")
		require.NoError(t, os.Symlink("../deep/er", root+"/r/link"))
		reader := Reader{Runner: run.Exec{}, Environ: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + root, "GIT_CONFIG_NOSYSTEM=1"}}
		for _, directory := range []string{"/r", "/r/sub"} {
			same(t, []string{"refused git ROOT/r/sub/../link/../other"}, decisions(t, root, reader, Sources{Git: []string{root + directory}}))
		}
		git("remote", "remove", "beside")
		require.NoError(t, os.Mkdir(root+"/r/.git/hooks", 0o700))
		require.NoError(t, os.Rename(root+"/lfs/pre-push", root+"/r/.git/hooks/pre-push"))
		same(t, nil, decisions(t, root, reader, Sources{Git: []string{root + "/r"}}))
		require.NoError(t, os.RemoveAll(root+"/r/.git/hooks"))
		require.NoError(t, os.Symlink("../../lfs", root+"/r/.git/hooks"))
		same(t, []string{"refused external_reference hooks: it names programs outside of the repository"}, decisions(t, root, reader, Sources{Git: []string{root + "/r"}}))
	})
	reader := Reader{Runner: run.Exec{}, Environ: []string{"PATH=" + os.Getenv("PATH"), "GIT_CEILING_DIRECTORIES=/"}}
	same(t, []string{"its configuration cannot be read"}, decisions(t, t.TempDir(), reader, Sources{Git: []string{t.TempDir()}}))
}

func TestKeyFilesAreChecked(t *testing.T) {
	t.Parallel()
	const key = "AAAAC3NzaC1lZDI1NTE5AAAAIBv0bMZxkLWgJ3JjNSyDjKcDUdHnQqHZYyhCJ5GmJ1sD"
	const prod = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for name, c := range map[string]struct {
		file, text string
		wanted     []string
	}{
		"known hosts of the sandbox":      {"known_hosts", "# made\nnode.test,[127.0.0.1]:2222 ssh-ed25519 " + key + "\n", []string{"allowed ssh_host_key", "allowed host node.test: it is sandbox (ROOT/known_hosts:2)", "allowed host [127.0.0.1]:2222"}},
		"a host of production":            {"known_hosts", "192.0.2.1 ssh-ed25519 " + key + "\n", []string{"allowed ssh_host_key", "refused host 192.0.2.1"}},
		"hashed hosts":                    {"known_hosts", "|1|abc=|def= ssh-ed25519 " + key + "\n", []string{"allowed ssh_host_key"}},
		"a pattern":                       {"known_hosts", "*.test ssh-ed25519 " + key + "\n", []string{"allowed", "it is a pattern"}},
		"a revoked key":                   {"known_hosts", "@revoked * ssh-ed25519 " + key + "\n", nil},
		"production's key, forwarded":     {"known_hosts", "[127.0.0.1]:2222 ssh-ed25519 " + prod + "\n", []string{"refused ssh_host_key", "allowed host"}},
		"a public key":                    {"id.pub", "ssh-ed25519 " + key + " me@x\n", []string{"allowed ssh_host_key"}},
		"a private key that hides all":    {"id", "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", []string{"its format does not contain the public key"}},
		"a private key that is broken":    {"id", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", []string{"its format does not contain"}},
		"unseal keys in their place":      {"sandbox-keys.json", `{"keys_base64": ["SECRET"]}`, []string{"allowed key_file"}},
		"unseal keys in another's":        {"cluster-keys.json", `{"keys_base64": ["SECRET"]}`, []string{"refused key_file"}},
		"a line that is none, among keys": {"known_hosts", "node.test ssh-ed25519 " + key + "\nrubbish\n", []string{"allowed", "allowed", "refused external_reference key: it cannot be read (ROOT/known_hosts:2)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, map[string]string{c.file: c.text})
			same(t, c.wanted, decisions(t, root, Reader{}, Sources{Keys: []string{filepath.Join(root, c.file)}}))
		})
	}
	same(t, []string{"it cannot be read"}, decisions(t, t.TempDir(), Reader{}, Sources{Keys: []string{"/nonexistent/none"}}))

	// Beside a key may lie what never ends.
	root := tree(t, map[string]string{"id": "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"})
	require.NoError(t, os.Symlink("/dev/zero", filepath.Join(root, "id.pub")))
	same(t, []string{"its format does not contain the public key"}, decisions(t, root, Reader{}, Sources{Keys: []string{filepath.Join(root, "id")}}))

	// A key that ssh-keygen made is told by its public half, which ssh-keygen tells as well.
	file := filepath.Join(t.TempDir(), "id")
	out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", secret, "-f", file).CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.CommandContext(t.Context(), "ssh-keygen", "-lf", file+".pub").Output()
	require.NoError(t, err)
	found := decisions(t, filepath.Dir(file), Reader{}, Sources{Keys: []string{file}})
	require.Len(t, found, 1)
	assert.Contains(t, found[0], strings.Fields(string(out))[1])
}

// FuzzRead holds the readers to never panic, and never repeat a secret.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{config("- {name: a, cluster: {server: 'https://127.0.0.1'}}\n"), "kind: Secret\n", "terraform {\n backend \"gcs\" {}\n}\n", "x ssh-rsa AAAA\n", `{"backend": {}}`} {
		f.Add([]byte(seed))
	}
	m, err := boundary.Parse("/b/boundary.yml", []byte(manifestText))
	require.NoError(f, err)
	checker := boundary.Checker{Manifest: m, Resolver: dns}
	f.Fuzz(func(t *testing.T, data []byte) {
		root := t.TempDir()
		for _, name := range []string{"config.yaml", "main.tf", "x.tf.json", ".terraform/terraform.tfstate", "known_hosts"} {
			path := filepath.Join(root, name)
			_ = os.MkdirAll(filepath.Dir(path), 0o700)
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		found := Reader{}.Read(t.Context(), Sources{
			Kubeconfigs: []string{root + "/config.yaml"}, Tofu: []Root{{Directory: root}}, ArgoCD: []string{root + "/config.yaml"}, Keys: []string{root + "/known_hosts"},
		})
		for _, finding := range found {
			if d := finding.Decide(t.Context(), checker); d.Reason == "" || d.From == "" {
				t.Fatalf("%+v", d)
			}
		}
	})
}
