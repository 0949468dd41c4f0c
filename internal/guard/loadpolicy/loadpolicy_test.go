// SPDX-License-Identifier: GPL-3.0-or-later

package loadpolicy

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/arcodange-org/sandbox/internal/boundary"
	"github.com/arcodange-org/sandbox/internal/guard/override"
	"github.com/arcodange-org/sandbox/internal/guard/targets"
)

const manifest = "plugin: arcodange.sandbox.boundary\nproduction:\n  addresses: [192.0.2.1-192.0.2.3]\n  names: ['*.prod.test']\nsandbox:\n  addresses: [172.30.0.0/24]\n  environment: [AWS_PROFILE, ANSIBLE_CONFIG]\n"

// loader returns a loader for the inventory in a new directory, and that directory.
func loader(t *testing.T, env ...string) (Loader, string) {
	t.Helper()
	directory, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	write(t, directory, "inv/boundary.yml", manifest)
	file := filepath.Join(directory, "inv/boundary.yml")
	parsed, err := boundary.Load(file)
	require.NoError(t, err)
	env = append([]string{"HOME=" + directory, "PATH=/bin"}, env...)
	return Loader{
		Targets: targets.Checker{Checker: boundary.Checker{Manifest: parsed}, Env: env}, Boundary: file, Digest: strings.Repeat("0", 64),
		State: filepath.Join(directory, "state"), Guard: "/opt/it's/prod-ip-guard",
	}, directory
}

func write(t *testing.T, directory, name, text string) {
	t.Helper()
	path := filepath.Join(directory, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func decide(t *testing.T, l Loader, r Request) Policy {
	t.Helper()
	policy, err := l.Decide(t.Context(), r)
	require.NoError(t, err)
	return policy
}

func TestVariablesLeaveTheEnvironment(t *testing.T) {
	t.Parallel()
	for variable, leaves := range map[string]bool{
		"KUBECONFIG=/home/me/.kube/config":                 true,
		"VAULT_ADDR=https://vault.example":                 true,
		"VAULT_FORMAT=json":                                false,
		"PGHOST=db":                                        true,
		"PGPORT=5432":                                      true,
		"PGSYSCONFDIR=/etc/pg":                             true,
		"DATABASE_URL=postgres://db":                       true,
		"APP_DATABASE_URL=postgres://db":                   false,
		"APP_DATABASE_URL=postgres://db.prod.test":         true,
		"AWS_SECRET_ACCESS_KEY=x":                          true,
		"AWS_REGION=eu-west-3":                             false,
		"AWS_CA_BUNDLE=/etc/ssl/ca.pem":                    false,
		"AWS_PROFILE=sandbox":                              false, // the manifest lists it
		"SSH_AUTH_SOCK=/tmp/agent":                         true,
		"SSH_AGENT_PID=1":                                  true,
		"SANDBOX_PROGRAMS=/opt":                            true,
		"DOCKER_HOST=tcp://192.0.2.9:2375":                 true,
		"DOCKER_HOST=ssh://192.0.2.9":                      true,
		"DOCKER_HOST=unix:///run/user/1000/docker.sock":    false,
		"TF_CLI_CONFIG_FILE=/home/me/.terraformrc":         true,
		"TF_PLUGIN_CACHE_DIR=/cache":                       false,
		"KUBE_CONFIG_PATH=/home/me/.kube/prod":             true,
		"KUBE_HOST=https://kube.example:6443":              true,
		"KUBE_EDITOR=vi":                                   false,
		"HCLOUD_TOKEN=x":                                   true,
		"GIT_CONFIG_COUNT=1":                               true,
		"HOME=/home/me":                                    false,
		"PWD=/src/192.0.2.1":                               false,
		"ANSIBLE_SSH_ARGS=-o ControlMaster=no":             false, // the connection checks it
		"https_proxy=http://proxy.example:3128":            false,
		"https_proxy=http://192.0.2.1:3128":                true,
		"NOTIFY=https://hook.prod.test/x":                  true,
		"NOTIFY=https://hook.example/x":                    false,
		"GIT_SSH_COMMAND=ssh -i /home/me/.ssh/id_ed25519":  true,
		"ANSIBLE_HASHI_VAULT_ADDR=https://vault.prod.test": true,
	} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			l, _ := loader(t, variable)
			e := decide(t, l, Request{}).Environment
			name, _, _ := strings.Cut(variable, "=")
			assert.Equal(t, leaves, slices.Contains(slices.Collect(maps.Keys(e.Unset)), name))
		})
	}
}

func TestVariablesThatMentionProductionAreReported(t *testing.T) {
	t.Parallel()
	l, _ := loader(t, "NOTIFY=192.0.2.1", "A=b.prod.test", "KUBECONFIG=/x", "HOSTNAME=a.prod.test")
	assert.Equal(t, []string{"prod-ip-guard: left out of this run's environment, since they mention production: A, NOTIFY"}, decide(t, l, Request{}).Warnings)
	l, _ = loader(t, "\xff=192.0.2.1")
	_, err := l.Decide(t.Context(), Request{})
	assert.ErrorContains(t, err, "its name is not UTF-8")
}

func TestTheDockerContextOfTheUserIsReplacedUnlessItIsThisMachine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config, wanted string
	}{
		"no configuration":            {"", ""},
		"no context":                  {`{}`, ""},
		"the default context":         {`{"currentContext": "default"}`, ""},
		"a context that is not there": {`{"currentContext": "lab"}`, "default"},
		"a configuration that breaks": {`{`, "default"},
	} {
		l, directory := loader(t)
		if c.config != "" {
			write(t, directory, ".docker/config.json", c.config)
		}
		assert.Equal(t, c.wanted, decide(t, l, Request{}).Environment.Set["DOCKER_CONTEXT"], name)
	}
}

func TestTheGuardsProgramsUseThisManifest(t *testing.T) {
	t.Parallel()
	l, _ := loader(t)
	e := decide(t, l, Request{}).Environment
	assert.Equal(t, e, decide(t, l, Request{}).Environment, "the same once more")
	for _, name := range []string{"ssh", "slogin", "scp", "sftp", "ssh-keyscan"} {
		info, err := os.Stat(filepath.Join(e.Path, name))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
		assert.NoError(t, exec.CommandContext(t.Context(), "sh", "-n", filepath.Join(e.Path, name)).Run())
	}
	text, err := os.ReadFile(filepath.Join(e.Path, "slogin"))
	require.NoError(t, err)
	assert.Contains(t, string(text), `exec '/opt/it'\''s/prod-ip-guard' ssh --boundary `+l.Boundary+" --digest "+l.Digest+` -- "$@"`)
	assert.FileExists(t, e.Set["KUBECONFIG"])
	assert.Equal(t, filepath.Join(e.Path, "ssh"), e.Set["GIT_SSH_COMMAND"])
	assert.Equal(t, l.Boundary, e.Set["SANDBOX_BOUNDARY"])

	// In a run that this one starts, the guard's own values are not reported.
	l.Targets.Env = append(l.Targets.Env, "GIT_SSH_COMMAND="+e.Set["GIT_SSH_COMMAND"], "KUBECONFIG="+e.Set["KUBECONFIG"])
	assert.Empty(t, decide(t, l, Request{}).Warnings)
	other := l
	other.Digest = strings.Repeat("1", 64)
	assert.NotEqual(t, e.Path, decide(t, other, Request{}).Environment.Path)
}

func TestTheCommandLineStaysInsideTheSandbox(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ request, refusal string }{
		"nothing":                              {`{}`, ""},
		"an address of the sandbox":            {`{"extra_vars": {"ansible_host": "172.30.0.11"}}`, ""},
		"an address of production":             {`{"extra_vars": {"ansible_host": "192.0.2.1"}}`, "-e ansible_host: 192.0.2.1: it resolves to 192.0.2.1"},
		"an unknown address":                   {`{"extra_vars": {"ansible_host": "198.51.100.1"}}`, "does not list as sandbox"},
		"an unknown address in another place":  {`{"extra_vars": {"other": "198.51.100.1"}}`, ""},
		"a mention of production deep inside":  {`{"extra_vars": {"a": {"b": ["x", "see c.prod.test"]}}}`, "-e a.b[1]: c.prod.test"},
		"a template, which is checked later":   {`{"extra_vars": {"ansible_host": "{{ x }}", "ansible_connection": "{{ y }}"}}`, ""},
		"another boundary":                     {`{"extra_vars": {"sandbox_boundary": "/x"}}`, "the boundary comes from the inventory"},
		"a connection that is not guarded":     {`{"extra_vars": {"ansible_connection": "paramiko"}}`, "-e ansible_connection: the connection paramiko is not guarded"},
		"a connection of another prefix":       {`{"extra_vars": {"ansible_network_connection": "paramiko"}}`, "is not guarded"},
		"a connection that is no text":         {`{"extra_vars": {"ansible_connection": ["ssh"]}}`, `the connection ["ssh"] is not the name of a plugin`},
		"the connections that are allowed":     {`{"extra_vars": {"ansible_connection": "local"}, "options": {"connection": "smart"}}`, ""},
		"a connection by an option":            {`{"options": {"connection": "docker"}}`, "-c: the connection docker is not guarded"},
		"arguments of ssh":                     {`{"options": {"ssh_common_args": "-J 192.0.2.1"}}`, "--ssh-common-args: 192.0.2.1"},
		"a limit":                              {`{"options": {"subset": "192.0.2.1"}}`, "--limit: 192.0.2.1"},
		"arguments of a module":                {`{"options": {"module_args": "curl 192.0.2.1"}}`, "-a: 192.0.2.1"},
		"a pattern":                            {`{"options": {"args": "192.0.2.1"}}`, "the command line: 192.0.2.1"},
		"patterns":                             {`{"options": {"args": ["a", "192.0.2.1"]}}`, "the command line[1]: 192.0.2.1"},
		"an option that tells no target":       {`{"options": {"extra_vars": ["192.0.2.1"], "unknown": "192.0.2.1"}}`, ""},
		"extra variables that cannot be read":  {`{"extra_vars_problem": "no such file"}`, "extra variables: cannot be read (no such file)"},
		"early, when they cannot be read yet":  {`{"early": true, "extra_vars_problem": "no such file"}`, ""},
		"several reasons":                      {`{"extra_vars": {"ansible_connection": "x", "b": "192.0.2.1"}}`, "is not guarded; leave it out, or use arcodange.sandbox.guarded_ssh; -e b: 192.0.2.1"},
		"hosts in place of an inventory":       {`{"sources": [{"name": "172.30.0.11, 192.0.2.1,"}]}`, "-i 172.30.0.11, 192.0.2.1,: 192.0.2.1"},
		"a source that does not exist":         {`{"sources": [{"name": "198.51.100.1"}]}`, "does not list as sandbox"},
		"an override that is not granted":      {`{"override": {"value": false, "command_line": true}}`, "i_mean_prod is false, which is not true"},
		"an override of a file":                {`{"override": {"value": true, "origin": "a file of variables"}}`, "i_mean_prod comes from a file of variables"},
		"an override of a file, early":         {`{"early": true, "override": {"value": true, "origin": "a file of variables"}}`, ""},
		"a playbook that names production":     {`{"playbooks": true, "options": {"args": ["192.0.2.1"]}}`, "the command line[0]: 192.0.2.1"},
		"a promotion with production in a var": {`{"playbooks": true, "options": {"args": ["arcodange.sandbox.promote"]}, "extra_vars": {"a": "192.0.2.1"}, "override": {"value": true, "command_line": true}}`, "-e a: 192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, _ := loader(t)
			var r Request
			require.NoError(t, json.Unmarshal([]byte(c.request), &r))
			policy := decide(t, l, r)
			if c.refusal == "" {
				assert.Empty(t, policy.Refusal)
				assert.NotNil(t, policy.Environment)
				return
			}
			assert.Contains(t, policy.Refusal, c.refusal)
			assert.Nil(t, policy.Environment)
		})
	}
}

func TestOtherSourcesOfTheInventoryAreChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(t *testing.T, directory string)
		source  string
		refusal string
	}{
		"the inventory itself":                {nil, "inv", ""},
		"a file of it":                        {nil, "inv/hosts.yml", ""},
		"a directory that contains it":        {nil, ".", "whose variables are not loaded from there"},
		"hosts of the sandbox":                {func(t *testing.T, d string) { write(t, d, "o/hosts", "a ansible_host=172.30.0.12\n") }, "o", ""},
		"hosts of production":                 {func(t *testing.T, d string) { write(t, d, "o/hosts", "a ansible_host=192.0.2.1\n") }, "o", "192.0.2.1"},
		"a mention of production":             {func(t *testing.T, d string) { write(t, d, "o/group_vars/all.yml", "a: b.prod.test\n") }, "o", "b.prod.test"},
		"an inventory that is shared by link": {func(t *testing.T, d string) { require.NoError(t, os.Symlink("inv", filepath.Join(d, "o"))) }, "o", ""},
		"a second manifest": {func(t *testing.T, d string) {
			write(t, d, "o/boundary.yml", strings.ReplaceAll(manifest, "192.0.2", "198.51.100"))
		}, "o", "it has a boundary manifest"},
		"a file of variables with that name": {func(t *testing.T, d string) { write(t, d, "o/group_vars/all/boundary.yml", "a: 1\n") }, "o", ""},
		"a plugin without requests":          {func(t *testing.T, d string) { write(t, d, "o/c.yml", "plugin: constructed\n") }, "o", ""},
		"a plugin that asks a cloud":         {func(t *testing.T, d string) { write(t, d, "o/c.yml", "plugin: amazon.aws.aws_ec2\n") }, "o", "is for the plugin amazon.aws.aws_ec2"},
		"a plugin behind an escape":          {func(t *testing.T, d string) { write(t, d, "o/c.yml", "\"pl\\x75gin\": amazon.aws.aws_ec2\n") }, "o", "is for the plugin amazon.aws.aws_ec2"},
		"a plugin in JSON":                   {func(t *testing.T, d string) { write(t, d, "o/c.json", `{"plugin": "amazon.aws.aws_ec2"}`) }, "o", "is for the plugin amazon.aws.aws_ec2"},
		"a plugin named twice":               {func(t *testing.T, d string) { write(t, d, "o/c.yml", "plugin: x.y.z\nplugin: constructed\n") }, "o", "is for the plugin x.y.z"},
		"a plugin of a merged mapping":       {func(t *testing.T, d string) { write(t, d, "o/c.yml", "a: &a {plugin: x.y.z}\n<<: *a\n") }, "o", "a plugin that cannot be read"},
		"a plugin with an encrypted option":  {func(t *testing.T, d string) { write(t, d, "o/c.yml", "plugin: constructed\nx: !vault |\n  a\n") }, "o", ""},
		"a file that breaks":                 {func(t *testing.T, d string) { write(t, d, "o/c.yml", "a: [\n") }, "o", "cannot be read"},
		"two documents":                      {func(t *testing.T, d string) { write(t, d, "o/c.yml", "a: 1\n---\nplugin: x\n") }, "o", "cannot be read"},
		"a list":                             {func(t *testing.T, d string) { write(t, d, "o/c.yml", "[a, b]\n") }, "o", ""},
		"a plugin under another extension":   {func(t *testing.T, d string) { write(t, d, "o/c.inv", "plugin: x.y.z\n") }, "o", "is for the plugin x.y.z"},
		"a plugin in a file that is no YAML": {func(t *testing.T, d string) { write(t, d, "o/c.txt", "plugin: x.y.z\n") }, "o", ""},
		"a pipe": {func(t *testing.T, d string) {
			write(t, d, "o/h", "")
			require.NoError(t, syscall.Mkfifo(filepath.Join(d, "o/c.yml"), 0o600))
		}, "o", "c.yml"},
		"a program": {func(t *testing.T, d string) {
			write(t, d, "o/run", "#!/bin/sh\n")
			require.NoError(t, os.Chmod(filepath.Join(d, "o/run"), 0o700))
		}, "o", "is a program"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, directory := loader(t)
			write(t, directory, "inv/hosts.yml", "all: {hosts: {a: {ansible_host: 172.30.0.11}}}\n")
			if c.prepare != nil {
				c.prepare(t, directory)
			}
			source := inventorySource{Name: filepath.Join(directory, c.source), Files: []string{}}
			require.NoError(t, filepath.WalkDir(source.Name, func(path string, entry os.DirEntry, err error) error {
				if err == nil && !entry.IsDir() {
					source.Files = append(source.Files, path)
				}
				return err
			}))
			policy := decide(t, l, Request{Sources: []inventorySource{source}, YAMLExtensions: []string{".inv"}})
			if c.refusal == "" {
				assert.Empty(t, policy.Refusal)
				return
			}
			assert.Contains(t, policy.Refusal, c.refusal)
		})
	}
}

func TestAnOverrideLeavesTheEnvironmentAsItIs(t *testing.T) {
	t.Parallel()
	l, _ := loader(t, "KUBECONFIG=/x")
	request := Request{Override: &override.Request{Value: json.RawMessage("true"), CommandLine: true, Run: "1"}, ExtraVars: map[string]any{"ansible_host": "192.0.2.1"}}
	policy := decide(t, l, request)
	assert.True(t, policy.Override)
	assert.Nil(t, policy.Environment)
	assert.Len(t, policy.Warnings, 1)
	log, err := os.ReadFile(filepath.Join(l.State, "overrides.log"))
	require.NoError(t, err)
	assert.Contains(t, string(log), `"event":"allowed"`)

	// What was granted when the first source was read is not recorded, or paid for, twice.
	policy = decide(t, l, Request{Granted: true, ExtraVars: request.ExtraVars})
	assert.True(t, policy.Override)
	assert.Empty(t, policy.Warnings)
	again, err := os.ReadFile(filepath.Join(l.State, "overrides.log"))
	require.NoError(t, err)
	assert.Equal(t, log, again)
}

func TestOnlyThePromotionPlaybookIsAPromotion(t *testing.T) {
	t.Parallel()
	l, directory := loader(t)
	write(t, directory, "promote.yml", "[]")
	write(t, directory, "other.yml", "[]")
	require.NoError(t, os.Symlink("promote.yml", filepath.Join(directory, "link.yml")))
	path := func(name string) string { return filepath.Join(directory, name) }
	for name, c := range map[string]struct {
		playbooks bool
		args      []any
		wanted    bool
	}{
		"its path":            {true, []any{path("promote.yml")}, true},
		"a link to it":        {true, []any{path("link.yml")}, true},
		"its name":            {true, []any{"arcodange.sandbox.promote"}, true},
		"another playbook":    {true, []any{path("other.yml")}, false},
		"another beside it":   {true, []any{path("promote.yml"), path("other.yml")}, false},
		"no playbook":         {true, nil, false},
		"no ansible-playbook": {false, []any{path("promote.yml")}, false},
		"one that is missing": {true, []any{path("missing.yml")}, false},
	} {
		policy := decide(t, l, Request{Playbooks: c.playbooks, Options: map[string]any{"args": c.args}, PromotionPlaybook: path("promote.yml")})
		assert.Equal(t, c.wanted, policy.Promotion, name)
	}
}
