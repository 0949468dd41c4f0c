// SPDX-License-Identifier: GPL-3.0-or-later

package boundary

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	someSum   = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	otherSum  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	someUID   = "0f0f0f0f-0000-4000-8000-0123456789ab"
	otherUID  = "0e0e0e0e-0000-4000-8000-0123456789ab"
	someKey   = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"
	otherKey  = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0"
	machineID = "0123456789abcdef0123456789abcdef"
)

const services = `production:
  addresses: [192.168.1.201-192.168.1.203]
  names: ["*.lab.test"]
  endpoints: ["127.0.0.0/8:2222", "[::1]:2222", gate.test:2201, 203.0.113.7:22]
  ssh_host_keys: ["` + someKey + `"]
  machines: [{machine_id: ` + machineID + `}, {hostname: prod-*}]
  kube: [{server: "https://127.0.0.1:7443"}, {ca_sha256: ` + someSum + `}, {cluster_uid: ` + someUID + `}]
  vault: [{address: "https://127.0.0.1:8201", key_files: [prod/keys.json]}]
  git: [forge.test/prod/*, "git@forge.test:other/one.git", "/srv/git/*"]
  tofu_state: [{backend: gcs, locations: [prod-tf, prod-tf/*]}, {backend: http, locations: ["http://state.test/api?ws=prod*", "http://state.test/prod*"]}, {backend: local, locations: [prod/*]}]
  tofu_providers: [ovh]
  dns_zones: [{name: prod.fr}, {id: zone-1}]
  databases: ["127.0.0.1:5433", db.test]
  environment: [AWS_*]
sandbox:
  addresses: [127.0.0.0/8, "::1", 172.30.0.0/24]
  endpoints: ["198.51.100.7:2201"]
  ssh_host_keys: ["` + otherKey + `"]
  machines: [{machine_id: fedcba98-7654-3210-fedc-ba9876543210, hostname: sandbox-*}]
  kube: [{server: "https://172.30.0.11:6443", ca_sha256: ` + otherSum + `, cluster_uid: ` + otherUID + `}]
  vault: [{address: "198.51.100.8:8200", key_files: ["sandbox/*"]}]
  git: [public.test/sandbox/*, /srv/sandbox/*]
  tofu_state: [{backend: gcs, locations: [sandbox-tf/*]}, {backend: http, locations: ["http://state.test/api?ws=sandbox*", "http://state.test/own/*"]}, {backend: local, locations: [sandbox/*]}]
  tofu_providers: [cloudflare]
  dns_zones: [{name: sandbox.fr}, {id: zone-2}]
  databases: [198.51.100.9]
  environment: [TF_VAR_size]
policy: {cluster_name: lab, token_expiry: 15m, evidence: promoted.json}
`

func servicesChecker(t *testing.T) (Checker, string) {
	t.Helper()
	root := t.TempDir()
	file := filepath.Join(root, "boundary.yml")
	require.NoError(t, os.WriteFile(file, []byte(services), 0o600))
	for _, directory := range []string{"prod", "sandbox"} {
		require.NoError(t, os.Mkdir(filepath.Join(root, directory), 0o700))
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, "prod/keys.json"), nil, 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "prod/deep"), 0o700))
	for name, target := range map[string]string{
		"link.json": "../prod/keys.json", "folder": "../prod", "deep": root + "/prod/deep", "dangling": "../prod/new.tfstate", "out": "/elsewhere/x",
		"within": "x", "round": "round", "chain": "dangling",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(root, "sandbox", name)))
	}
	m, err := Load(file)
	require.NoError(t, err)
	resolver := names{
		"node.test": {"172.30.0.11"}, "forge.test": {"172.30.0.12"}, "public.test": {"203.0.113.9"}, "gate.test": {"172.30.0.13"},
		"hidden.test": {"192.168.1.201"}, "db.test": {"172.30.0.14"}, "mixed.test": {"172.30.0.11", "192.168.1.201"}, "localhost": {"127.0.0.1", "::1"},
	}
	return Checker{Manifest: m, Resolver: resolver, Timeout: 10 * time.Second}, root
}

func TestEveryKindOfTargetIsDecided(t *testing.T) {
	t.Parallel()
	k, root := servicesChecker(t)
	type list []Target
	of := func(kind Kind, values ...string) (all list) {
		for _, value := range values {
			all = append(all, Target{Kind: kind, Value: strings.ReplaceAll(value, "ROOT", root)})
		}
		return all
	}
	kube := func(server, ca, uid string) list {
		return list{{Kind: Kube, Value: server, CASHA256: ca, ClusterUID: uid}}
	}
	for name, c := range map[string]struct {
		targets list
		rule    string // in the rule that decided; empty if there is none
		allowed bool
		reason  string
	}{
		"a host beside a forwarded port":        {of(Host, "127.0.0.1", "localhost", "127.0.0.1:22"), "sandbox.addresses", true, "it is sandbox"},
		"a forwarded port of production":        {of(Host, "[127.0.0.1]:2222", "127.0.0.9:2222", "ssh://localhost:2222", "[::1]:2222", "127.1:2222"), "production.endpoints", false, "an endpoint of production"},
		"a forwarded port given apart":          {list{{Kind: Host, Value: "localhost", Port: 2222}}, "production.endpoints", false, "endpoint"},
		"a port-forward by its name":            {of(Endpoint, "gate.test:2201", "GATE.test.:2201", "https://gate.test:2201/x"), "production.endpoints: gate.test", false, "it is an endpoint of production"},
		"the same name at another port":         {of(Endpoint, "gate.test:22"), "sandbox.addresses", true, ""},
		"an endpoint of the sandbox":            {of(Endpoint, "198.51.100.7:2201"), "sandbox.endpoints", true, ""},
		"its host at another port":              {of(Host, "198.51.100.7", "198.51.100.7:2202"), "", false, "does not list as sandbox"},
		"an endpoint without port":              {of(Endpoint, "172.30.0.11", "tls://172.30.0.11"), "", false, "it has no port"},
		"an address":                            {of(Address, "172.30.0.11", "0254.30.11", "::ffff:172.30.0.11"), "sandbox.addresses", true, ""},
		"a name for an address":                 {of(Address, "node.test"), "", false, "it is not an address"},
		"a name with an address of production":  {of(Host, "mixed.test", "hidden.test"), "production.addresses", false, "which is production"},
		"production's host key":                 {of(HostKey, someKey, someKey+"="), "production.ssh_host_keys", false, "it is a host key of production"},
		"the sandbox's host key":                {of(HostKey, otherKey), "sandbox", true, ""},
		"a host key that is not known":          {of(HostKey, "SHA256:"+strings.Repeat("A", 43)), "", false, "does not list"},
		"what is no host key":                   {of(HostKey, "", "MD5:00", "SHA256:x", "ssh-rsa x"), "", false, "neither a SHA256 fingerprint nor a public key"},
		"production's machine-id":               {of(MachineID, machineID, strings.ToUpper(machineID)+"\n", "01234567-89ab-cdef-0123-456789abcdef"), "production.machines", false, ""},
		"the sandbox's machine-id":              {of(MachineID, "fedcba9876543210fedcba9876543210"), "sandbox.machines", true, ""},
		"a machine-id that is none":             {of(MachineID, "", "uninitialized", "123"), "", false, "it is not a machine-id"},
		"production's hostname":                 {of(Hostname, "prod-1", "PROD-1.", "x.lab.test"), "production", false, "it is a hostname of production"},
		"the sandbox's hostname":                {of(Hostname, "sandbox-pi1"), "sandbox.machines", true, ""},
		"a hostname that is not known":          {of(Hostname, "pi1"), "", false, ""},
		"a cluster of the sandbox":              {kube("https://172.30.0.12:6443", "", ""), "sandbox.addresses", true, ""},
		"a cluster that is known":               {kube("https://172.30.0.11:6443", otherSum, otherUID), "sandbox.kube", true, ""},
		"a cluster that is known, by its CA":    {kube("https://172.30.0.11:6443", strings.ToUpper(otherSum), ""), "sandbox.kube", true, ""},
		"another cluster at its address":        {kube("https://172.30.0.11:6443", strings.Repeat("0", 64), otherUID), "sandbox.kube", false, "it is not the cluster that the boundary manifest knows"},
		"another cluster, by its name":          {kube("https://node.test:6443", strings.Repeat("0", 64), ""), "sandbox.kube", false, "it is not the cluster"},
		"no CA at its address":                  {kube("https://172.30.0.11:6443", "", ""), "sandbox.kube", false, "it is not the cluster"},
		"production's CA behind a forward":      {kube("https://172.30.0.12:6443", someSum, ""), "production.kube", false, "its CA"},
		"production's CA, as openssl writes it": {kube("https://172.30.0.12", "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD", ""), "production.kube", false, "its CA"},
		"production's UID behind a forward":     {kube("https://172.30.0.12:6443", "", someUID), "production.kube", false, "its UID"},
		"production's CA alone":                 {kube("", someSum, ""), "production.kube", false, "its CA"},
		"the sandbox's CA alone":                {kube("", otherSum, ""), "sandbox.kube", true, ""},
		"nothing of a cluster":                  {kube("", "", ""), "", false, "does not list"},
		"a CA that is none":                     {kube("https://172.30.0.12", "x", ""), "", false, "not a SHA-256"},
		"a forwarded API server of production":  {kube("https://127.0.0.1:7443", "", ""), "production.kube", false, "endpoint of production"},
		"an API server by another scheme":       {kube("unix:///run/x", "", ""), "", false, ""},
		"a Vault of the sandbox":                {of(Vault, "http://172.30.0.11:8200", "172.30.0.11", "https://198.51.100.8:8200"), "sandbox", true, ""},
		"a Vault of production":                 {of(Vault, "https://127.0.0.1:8201", "https://vault.lab.test", "http://hidden.test:8200"), "production", false, ""},
		"a Vault behind a socket":               {of(Vault, "unix:///run/vault.sock", ""), "", false, ""},
		"key files of the sandbox":              {of(KeyFile, "ROOT/sandbox/keys.json", "ROOT/prod/../sandbox/x"), "sandbox.vault.key_files", true, ""},
		"key files of production":               {of(KeyFile, "ROOT/prod/keys.json", "ROOT/sandbox/../prod/keys.json", "ROOT/sandbox/link.json"), "production.vault.key_files", false, "it is a key file of production"},
		"key files elsewhere":                   {of(KeyFile, "/etc/keys.json", ""), "", false, ""},
		"a repository of the sandbox":           {of(Git, "https://forge.test/a/b.git", "git@forge.test:a/b", "ssh://git@172.30.0.12:2222/a/b", "git@[172.30.0.12]:a/b"), "sandbox.addresses", true, ""},
		"a repository that is listed":           {of(Git, "https://public.test/sandbox/app.git", "git@public.test:Sandbox/app", "/srv/sandbox/x.git", "file:///srv/sandbox/x"), "sandbox.git", true, ""},
		"a repository of production":            {of(Git, "https://forge.test/prod/app", "git@forge.test:/prod/app.git", "ssh://x@FORGE.test:22/PROD/app", "https://forge.test//x/../prod/app", "https://forge.test/%70rod/app", "forge.test:other/one", "/srv/git/x", "file:///srv/git/x.git"), "production.git", false, "it is a repository of production"},
		"a repository on production's host":     {of(Git, "https://git.lab.test/a/b", "git@192.168.1.201:a/b", "hidden.test:a"), "production", false, ""},
		"a repository of someone else":          {of(Git, "https://public.test/other/app", "/srv/other"), "", false, ""},
		"what is no repository":                 {of(Git, "", "-oProxyCommand=x", "ext::ssh x", "fd::3", "file://host/x", "svn://172.30.0.11/x"), "", false, ""},
		"a state of the sandbox":                {of(TofuState, "gcs:sandbox-tf/a", "local:ROOT/sandbox/x", "GCS:sandbox-tf//a"), "sandbox.tofu_state", true, ""},
		"a state of production":                 {of(TofuState, "gcs:prod-tf", "gcs:prod-tf/a/b", "local:ROOT/sandbox/../prod/x"), "production.tofu_state", false, "it is a state of production"},
		"a state of the sandbox by its query":   {of(TofuState, "http:http://state.test/api?ws=sandbox", "http:http://state.test/api?ws=sandbox&lock=a%20b", "http:http://state.test/own/a?ws=x", "http:http://state.test/own/a"), "sandbox.tofu_state", true, ""},
		"a state of production by its query":    {of(TofuState, "http:http://state.test/api?ws=prod", "http:http://state.test/api?ws=prod&x=sandbox"), "production.tofu_state", false, "it is a state of production"},
		"a query that is not known":             {of(TofuState, "http:http://state.test/api", "http:http://state.test/api?", "http:http://state.test/api?x=1&ws=sandbox"), "", false, "does not list as sandbox"},
		"a query that may be read in two ways":  {of(TofuState, "http:http://state.test/api?ws=sandbox&ws=prod", "http:http://state.test/api?ws=sandbox;ws=prod", "http:http://state.test/own/a?ws=%70rod", "http:http://state.test/own/%2e%2e/prod", "http:http://state.test/own/a%2", "http:http://state.test/own/a#?ws=sandbox"), "", false, "so the state that the server uses is unknown"},
		"a link to a state of the sandbox":      {of(TofuState, "local:ROOT/sandbox/within", "local:ROOT/sandbox/./within"), "sandbox.tofu_state", true, ""},
		"a link to a state of production":       {of(TofuState, "local:ROOT/sandbox/link.json", "local:ROOT/sandbox/folder/default.tfstate", "local:ROOT/sandbox/dangling", "local:ROOT/sandbox/chain", "local:ROOT/sandbox/folder/new/x", "local:ROOT/sandbox/deep/../default.tfstate"), "production.tofu_state", false, "it is a state of production"},
		"a link to a state that is not known":   {of(TofuState, "local:ROOT/sandbox/out", "local:ROOT/sandbox/out/x"), "", false, "does not list as sandbox"},
		"a link that leads round":               {of(TofuState, "local:ROOT/sandbox/round"), "", false, "its target cannot be resolved"},
		"a state that is not known":             {of(TofuState, "gcs:x", "s3:sandbox-tf/a", "gcs", "gcs:", "gcs:sandbox-tf/../prod-tf/a"), "", false, ""},
		"a provider that is allowed":            {of(TofuProvider, "cloudflare"), "sandbox.tofu_providers", true, ""},
		"a provider of production":              {of(TofuProvider, "ovh"), "production.tofu_providers", false, "it is a provider of production"},
		"a provider that is not known":          {of(TofuProvider, "aws", "*", ""), "", false, ""},
		"a zone of the sandbox":                 {of(DNSZone, "sandbox.fr", "a.b.Sandbox.FR.", "zone-2", "*.sandbox.fr"), "sandbox.dns_zones", true, ""},
		"a zone of production":                  {of(DNSZone, "prod.fr", "mail.prod.fr", "PROD.fr.", "zone-1", "ｐrod.fr"), "production.dns_zones", false, "it is a zone of production"},
		"a zone that is not known":              {of(DNSZone, "fr", "notsandbox.fr", "", "a b"), "", false, ""},
		"a database of the sandbox":             {of(Database, "postgres://u:p@node.test/d", "host=172.30.0.11 port=5432 password='a b'", "node.test", "node.test:5432", "u:p@tcp(172.30.0.11:3306)/d", "198.51.100.9", "postgresql+psycopg://u@node.test:1/d", "jdbc:postgresql://node.test/d", "postgres://node.test,172.30.0.12:1/d"), "sandbox", true, ""},
		"a database of production":              {of(Database, "postgres://u:p@192.168.1.202/d", "host=node.test hostaddr=192.168.1.201", "127.0.0.1:5433", "postgres://db.test:1/x", "u:p@tcp(192.168.1.201)/d", "postgres://node.test,hidden.test/d", "postgres://node.test/d?host=192.168.1.201", "jdbc:postgresql://node.test/d?PGHOST=192.168.1.201", "host=node.test,mixed.test", "mysql://x.lab.test"), "production", false, ""},
		"a database that is nowhere to be read": {of(Database, "", "postgres:///d", "postgres://%2Frun%2Fpostgresql/d", "service=prod", "host=/run", "u@unix(/run/x)/d", "sqlite:///x", "host='x", "x y", "dbname=x", "postgres://u@node.test/d?service=x", "postgres://u:p%zz@node.test/d?%zz", ":5432"), "", false, ""},
		"a database behind a proxy":             {of(Database, "jdbc:mysql://node.test/d?socksProxyHost=192.168.1.201", "jdbc:postgresql://node.test/d?socketFactory=x&socketFactoryArg=192.168.1.201"), "", false, "uses a proxy"},
		"a credential that is allowed":          {of(Environment, "TF_VAR_size"), "sandbox.environment", true, ""},
		"a credential of production":            {of(Environment, "AWS_PROFILE"), "production.environment", false, "it is a credential or connection setting of production"},
		"a credential that is not known":        {of(Environment, "TF_VAR_other", "tf_var_size", "", "*", "a b"), "", false, ""},
		"a kind that is not known":              {list{{Kind: "planet", Value: "mars"}}, "", false, "unknown kind of target"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, target := range c.targets {
				d := k.Decide(t.Context(), target)
				assert.Equal(t, c.allowed, d.Allowed, "%s\n%s", target.Value, d.Explain())
				assert.Contains(t, d.Reason, c.reason, target.Value)
				assert.NotEmpty(t, d.Reason)
				assert.Equal(t, target.Kind, d.Kind)
				if c.rule == "" {
					assert.Nil(t, d.Rule, "%s\n%s", target.Value, d.Explain())
				} else if assert.NotNil(t, d.Rule, "%s\n%s", target.Value, d.Explain()) {
					assert.Contains(t, d.Rule.Text, c.rule, target.Value)
					assert.Positive(t, d.Rule.Column)
				}
			}
		})
	}
}

func TestNoPasswordIsRepeated(t *testing.T) {
	t.Parallel()
	k, _ := servicesChecker(t)
	for _, target := range []Target{
		{Kind: Database, Value: "postgres://u:hidden-word@node.test/d"}, {Kind: Database, Value: "postgres://u:hidden-word/x@node.test/d"},
		{Kind: Database, Value: "host=node.test password=hidden-word"}, {Kind: Database, Value: "host=node.test password='hidden-word' x"},
		{Kind: Database, Value: "u:hidden-word@tcp(node.test)/d"}, {Kind: Database, Value: "://hidden-word"},
		{Kind: TofuState, Value: "http:http://state.test/api?ws=sandbox&token=hidden-word"}, {Kind: TofuState, Value: "http:http://state.test/x?token=hidden-word"},
		{Kind: Git, Value: "https://u:hidden-word@forge.test/a/b"}, {Kind: Git, Value: "https://hidden-word@forge.test/a/b"}, {Kind: Git, Value: "https://u:hidden/hidden-word@forge.test/a"},
		{Kind: Host, Value: "pi:hidden-word@node.test"}, {Kind: Vault, Value: "https://node.test?token=hidden-word"}, {Kind: Kube, Value: "https://u:hidden-word@node.test"},
		{Kind: Endpoint, Value: "socks5://u:hidden-word@node.test:1080"}, {Kind: Endpoint, Value: "u:hidden-word@node.test:1080"},
	} {
		d := k.Decide(t.Context(), target)
		text, err := json.Marshal(d)
		require.NoError(t, err)
		assert.NotContains(t, string(text)+d.Explain()+d.String(), "hidden-word", target.Value)
	}
}

// A repository in the file system is every one that git would end up at.
func TestALocalRepositoryIsCheckedByThePathsThatGitFollows(t *testing.T) {
	t.Parallel()
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for _, directory := range []string{"prod/app.git", "sandbox/app/.git", "sandbox/deep", "sandbox/work", "sandbox/named", "sandbox/round"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, directory), 0o700))
	}
	for name, target := range map[string]string{
		"sandbox/link": "../prod/app.git", "sandbox/new": "../prod/none.git", "sandbox/hid.git": "../prod/app.git", "sandbox/within": "app", "sandbox/out": "../prod",
		"sandbox/deep/.git": "../../prod/app.git", "sandbox/loop": "loop", "in": "sandbox/app",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(root, name)))
	}
	for name, text := range map[string]string{
		"sandbox/file": "gitdir: " + root + "/prod/app.git\n", "sandbox/work/.git": "gitdir: ../app/.git/worktrees/w\n", "sandbox/named/.git": "gitdir: ../../prod/app.git\n",
		"sandbox/round/.git": "gitdir: .git\n", "sandbox/bundle": "# v2 git bundle\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
	}
	m, err := Parse(filepath.Join(root, "boundary.yml"), []byte("production: {addresses: [192.168.1.201], git: ["+root+"/prod/*]}\nsandbox: {addresses: [172.30.0.11], git: ["+root+"/sandbox/*]}\n"))
	require.NoError(t, err)
	for path, why := range map[string]string{
		"app": "", "within": "", "work": "", "none": "", "round": "", "bundle": "", "app/../app": "", "%61pp": "",
		"link": "it is a repository of production", "new": "it is a repository of production", "hid": "it is a repository of production", "deep": "it is a repository of production",
		"file": "it is a repository of production", "named": "it is a repository of production", "out/app.git": "it is a repository of production",
		"within/../../prod/app.git": "it is a repository of production", "out/../none": "a repository that the boundary manifest does not list",
		"loop": "its target cannot be resolved", "../in": "a repository that the boundary manifest does not list",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			spellings := []string{"file://" + root + "/sandbox/" + path}
			if !strings.Contains(path, "%") {
				spellings = append(spellings, root+"/sandbox/"+path)
			}
			for _, value := range spellings {
				d := Checker{Manifest: m}.Decide(t.Context(), Target{Kind: Git, Value: value})
				assert.Equal(t, why == "", d.Allowed, "%s: %s", value, d.Reason)
				assert.Contains(t, d.Reason, why, value)
			}
		})
	}
	for _, value := range []string{"file://" + root + "/sandbox/%2e%2e/prod/app", "file://" + root + "/sandbox/%zz", "~", "~/app", "~nobody/app", "file://%2e/x"} {
		assert.False(t, Checker{Manifest: m}.Decide(t.Context(), Target{Kind: Git, Value: value}).Allowed, value)
	}
}

func TestADecisionExplainsItself(t *testing.T) {
	t.Parallel()
	k, root := servicesChecker(t)
	target := hostTarget("ssh://pi@NODE.test")
	target.From = "hosts.yml:7"
	d := k.Decide(t.Context(), target)
	assert.Equal(t, "allowed: ssh://pi@NODE.test (host)\n"+
		"  found in   hosts.yml:7\n"+
		"  means      node.test, port 22\n"+
		"  resolves to 172.30.0.11 (node.test through the resolver)\n"+
		"  because    it is sandbox\n"+
		"  by         "+root+"/boundary.yml:16: sandbox.addresses: 172.30.0.0/24\n"+
		"  connect to 172.30.0.11\n", d.Explain())
	text, err := json.Marshal(k.Decide(t.Context(), hostTarget("3232235977")))
	require.NoError(t, err)
	assert.JSONEq(t, `{"kind": "host", "target": "3232235977", "from": "", "allowed": false, "reason": "it resolves to 192.168.1.201, which is production",
		"canonical": "192.168.1.201", "port": 22, "addresses": ["192.168.1.201"], "pinned": "",
		"resolved": [{"name": "192.168.1.201", "address": "192.168.1.201", "through": "its own spelling"}],
		"rule": {"file": "`+root+`/boundary.yml", "line": 2, "column": 15, "text": "production.addresses: 192.168.1.201-192.168.1.203"}}`, string(text))
	assert.Equal(t, "3232235977 (host): it resolves to 192.168.1.201, which is production by "+root+"/boundary.yml:2: production.addresses: 192.168.1.201-192.168.1.203",
		k.Decide(t.Context(), hostTarget("3232235977")).String())
	assert.Equal(t, Policy{ClusterName: "lab", TokenExpiry: 15 * time.Minute, Evidence: filepath.Join(root, "promoted.json")}, k.Manifest.Policy)
}

func TestTheLineOfTheHostsFileIsNamed(t *testing.T) {
	t.Parallel()
	d := Checker{Manifest: parsed(t)}.Decide(t.Context(), hostTarget("localhost"))
	assert.True(t, d.Allowed, d.Reason)
	assert.True(t, slices.ContainsFunc(d.Resolved, func(a Answer) bool {
		return strings.HasPrefix(a.Through, "/etc/hosts:") || a.Through == "the system's resolver"
	}))
}

func TestAZoneStaysOnThePinnedAddress(t *testing.T) {
	t.Parallel()
	k := Checker{Manifest: parsed(t), Resolver: zoned{}}
	assert.Equal(t, "fd00:5a::1%eth0", k.Decide(t.Context(), hostTarget("fd00:5a::1%eth0")).Pinned)
	assert.Equal(t, "fd00:5a::1%eth1", k.Decide(t.Context(), hostTarget("node.test")).Pinned)
	assert.False(t, k.Decide(t.Context(), hostTarget("fd00:5a::1%$(x)")).Allowed)
}

type zoned struct{}

func (zoned) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("fd00:5a::1%eth1")}, nil
}

// deaf never answers, not even when its context ends, like getaddrinfo(3).
type deaf struct{}

func (deaf) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) { select {} }

func TestAResolverThatNeverReturnsIsLeftBehind(t *testing.T) {
	t.Parallel()
	d := Checker{Manifest: parsed(t), Resolver: deaf{}, Timeout: 10 * time.Millisecond}.Decide(t.Context(), hostTarget("node.test"))
	assert.False(t, d.Allowed)
	assert.Contains(t, d.Reason, "no answer within 10ms")
}

func TestEntriesThatAreNotUnderstoodAreRefusedWithTheirPlace(t *testing.T) {
	t.Parallel()
	const rest = "\nproduction: {addresses: [192.0.2.1]}\n"
	for text, message := range map[string]string{
		"endpoints: [a.test]":                            "b.yml:1:47: \"a.test\" has no port",
		"endpoints: ['a.test:0']":                        "has no port from 1 to 65535",
		"endpoints: ['u@a.test:1']":                      "leave out users and queries",
		"endpoints: ['1.2.3:1']":                         "does not begin with a host name or an address",
		"endpoints: ['192.0.2.1:22']":                    "overlaps with line 2",
		"endpoints: []":                                  "b.yml:1:46: empty list",
		"ssh_host_keys: [MD5:x]":                         "is not a fingerprint",
		"machines: [{}]":                                 "empty entry",
		"machines: [x]":                                  "not a mapping",
		"machines: [{machine_id: x}]":                    "is not a machine-id",
		"machines: [{name: x}]":                          "unknown key \"name\"",
		"kube: [{ca_sha256: x}]":                         "is not a SHA-256",
		"kube: [{cluster_uid: x}]":                       "is not a UID",
		"kube: [{server: 'a b'}]":                        "does not begin with a host name",
		"vault: [{key_files: ['~x/y']}]":                 "write another user's home in full",
		"vault: [{token: x}]":                            "unknown key",
		"git: [x]":                                       "has no host or no path",
		"git: ['ext::x']":                                "is not the URL of a repository",
		"tofu_state: [{backend: gcs}]":                   "a state requires backend and locations",
		"tofu_state: [{backend: gcs, locations: ['*']}]": "is not the location",
		"tofu_providers: ['a b']":                        "must be of letters",
		"dns_zones: [{name: 'a b'}]":                     "is not a host name",
		"databases: [a.test, 192.0.2.1]":                 "overlaps with line 2",
		"environment: ['*']":                             "is not the name of an environment variable",
		"names: ['nöde.test']":                           "write xn--nde-sna.test",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := parse("b.yml", []byte("sandbox: {addresses: [198.51.100.0/24], "+text+"}"+rest))
			require.ErrorContains(t, err, strings.ReplaceAll(strings.ReplaceAll(message, "1:47", "1:53"), "1:46", "1:52"))
		})
	}
	for text, message := range map[string]string{
		"git: [a.test/b*]\nX git: [a.test/*c]":                                                             "a repository is one or the other",
		"dns_zones: [{name: a.fr}]\nX dns_zones: [{name: x.a.fr}]":                                         "a zone is one or the other",
		"dns_zones: [{name: x.a.fr}]\nX dns_zones: [{name: a.fr}]":                                         "a zone is one or the other",
		"kube: [{ca_sha256: " + someSum + "}]\nX kube: [{ca_sha256: " + someSum + "}]":                     "a cluster is one or the other",
		"endpoints: ['a.test:1']\nX endpoints: ['*.test:1']":                                               "an endpoint is one or the other",
		"databases: [a.test]\nX endpoints: ['a.test:1']":                                                   "an endpoint is one or the other",
		"names: ['*.test']\nX vault: [{address: 'https://v.test'}]":                                        "a name is one or the other",
		"environment: [A_B]\nX environment: [A_*]":                                                         "a variable is one or the other",
		"vault: [{key_files: [/a/*]}]\nX vault: [{key_files: [/a/b]}]":                                     "a key file is one or the other",
		"tofu_state: [{backend: gcs, locations: [a/*]}]\nX tofu_state: [{backend: '*', locations: [a/b]}]": "a state is one or the other",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			production, sandbox, _ := strings.Cut(text, "\nX ")
			_, err := parse("b.yml", []byte("production: {"+production+"}\nsandbox: {addresses: [198.51.100.0/24], "+sandbox+"}\n"))
			require.ErrorContains(t, err, message)
			require.ErrorContains(t, err, "b.yml:2:")
		})
	}
	for text, message := range map[string]string{
		"{token_expiry: soon}": "is not a duration", "{token_expiry: -1m}": "is not a duration", "{evidence: 7}": "must be a string", "{x: y}": "unknown key", "{cluster_name: ''}": "must be a string",
	} {
		_, err := parse("b.yml", []byte(manifest+"policy: "+text+"\n"))
		require.ErrorContains(t, err, message, text)
	}
}
